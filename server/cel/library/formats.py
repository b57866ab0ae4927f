"""Named formats: format.dns1123Label().validate('x') gives what is wrong with it, as an optional
list (apiserver pkg/cel/library/format.go); and jsonpatch.escapeKey."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from edgek.api.validation import (
    is_dns1035_label,
    is_dns1123_label,
    is_dns1123_subdomain,
    is_label_value,
    is_qualified_name,
)
from server.cel.convert import to_timestamp
from server.cel.errors import CelError
from server.cel.library.url import parse as parse_url
from server.cel.overload import Overload, overload
from server.cel.values import Opaque, Optional

F = "kubernetes.NamedFormat"
_UUID = re.compile(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
Problems = Callable[[str], list[str]]


def _prefix(rule: Problems) -> Problems:
    """What a generated name begins with may end in a dash."""
    return lambda text: rule(text[:-1] + "a" if text.endswith("-") else text)


def _uri(text: str) -> list[str]:
    try:
        parse_url(text)
    except CelError as error:
        return [str(error)]
    return []


def _uuid(text: str) -> list[str]:
    return [] if _UUID.fullmatch(text) else ["does not match the UUID format"]


def _byte(text: str) -> list[str]:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ["invalid base64"]
    return []


def _date(text: str) -> list[str]:
    return ["invalid date"] if not _DAY.fullmatch(text) or _datetime(text) else []


def _datetime(text: str) -> list[str]:
    try:
        to_timestamp(text)
    except CelError:
        return ["invalid datetime"]
    return []


FORMATS: Mapping[str, Problems] = {
    "dns1123Label": is_dns1123_label,
    "dns1123Subdomain": is_dns1123_subdomain,
    "dns1035Label": is_dns1035_label,
    "qualifiedName": is_qualified_name,
    "dns1123LabelPrefix": _prefix(is_dns1123_label),
    "dns1123SubdomainPrefix": _prefix(is_dns1123_subdomain),
    "dns1035LabelPrefix": _prefix(is_dns1035_label),
    "labelValue": is_label_value,
    "uri": _uri,
    "uuid": _uuid,
    "byte": _byte,
    "date": _date,
    "datetime": _datetime,
}


@dataclass(frozen=True, kw_only=True)
class Format(Opaque):
    type_name: ClassVar[str] = F
    name: str


def _validate(format_: Format, text: str) -> Optional:
    problems = FORMATS[format_.name](text)
    return Optional(problems, True) if problems else Optional()


def _named(name: str) -> Optional:
    return Optional(Format(name=name), True) if name in FORMATS else Optional()


def _constant(name: str) -> Overload:
    found = Format(name=name)
    return overload(f"{name}() -> {F}", lambda: found, namespace="format")


OVERLOADS: tuple[Overload, ...] = (
    *(_constant(name) for name in FORMATS),
    overload(f"named(string) -> optional_type<{F}>", _named, namespace="format"),
    overload(f"{F}.validate(string) -> optional_type<list<string>>", _validate),
    overload(
        "escapeKey(string) -> string",
        lambda key: key.replace("~", "~0").replace("/", "~1"),
        namespace="jsonpatch",
    ),
)
