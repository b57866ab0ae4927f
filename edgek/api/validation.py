"""Field paths, field errors and the name rules of Kubernetes (apimachinery util/validation).

Validation collects every problem of an object into ``FieldErrors`` and raises once, so that
a user sees all causes in one answer. Sentences are upstream's, because people search them.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

QUALIFIED_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
DNS1123_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
DNS1123_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
DNS1035_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
ENV_VAR_NAME = re.compile(r"[^\x00-\x1f\x7f=]+")
CONFIG_MAP_KEY = re.compile(r"[-._a-zA-Z0-9]+")
PORT_NAME = re.compile(r"[-a-z0-9]+")


class FieldPath:
    """``spec.containers[0].name``; ``child``, ``index`` and ``key`` go one step down.

    Not a dataclass: validation makes a path for each field it looks at, and that was most of
    its time.
    """

    __slots__ = ("text",)

    def __init__(self, text: str = "") -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text or "<nil>"

    def __repr__(self) -> str:
        return f"FieldPath({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldPath) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def child(self, *names: str) -> "FieldPath":
        more = names[0] if len(names) == 1 else ".".join(names)
        return FieldPath(f"{self.text}.{more}" if self.text else more)

    def index(self, number: int) -> "FieldPath":
        return FieldPath(f"{self.text}[{number}]")

    def key(self, key: str) -> "FieldPath":
        return FieldPath(f"{self.text}[{key}]")


@dataclass(frozen=True)
class FieldError:
    """One cause. ``reason`` is a metav1.CauseType such as FieldValueInvalid."""

    reason: str
    field: str
    message: str

    def cause(self) -> dict[str, str]:
        return {"reason": self.reason, "message": self.message, "field": self.field}

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def _shown(value: Any) -> str:
    """A value as Go's field.Error prints it: strings quoted, the rest compact."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if value is None:
        return "null"
    import json

    return json.dumps(value, separators=(",", ":")) if not isinstance(value, int) else str(value)


@dataclass
class FieldErrors:
    """Collects causes; falsy while there are none. Methods mirror field.Invalid and kin."""

    errors: list[FieldError] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.errors)

    def __iter__(self) -> Iterator[FieldError]:
        return iter(self.errors)

    def _add(self, reason: str, path: FieldPath, message: str) -> None:
        self.errors.append(FieldError(reason, str(path), message))

    def invalid(self, path: FieldPath, value: Any, detail: str) -> None:
        self._add("FieldValueInvalid", path, f"Invalid value: {_shown(value)}: {detail}")

    def invalid_unshown(self, path: FieldPath, detail: str) -> None:
        """An invalid value that is too large to show (field.OmitValueType)."""
        self._add("FieldValueInvalid", path, f"Invalid value: {detail}")

    def required(self, path: FieldPath, detail: str = "") -> None:
        self._add("FieldValueRequired", path, "Required value" + (f": {detail}" if detail else ""))

    def duplicate(self, path: FieldPath, value: Any) -> None:
        self._add("FieldValueDuplicate", path, f"Duplicate value: {_shown(value)}")

    def duplicate_unshown(self, path: FieldPath) -> None:
        """As invalid_unshown."""
        self._add("FieldValueDuplicate", path, "Duplicate value")

    def forbidden(self, path: FieldPath, detail: str) -> None:
        self._add("FieldValueForbidden", path, f"Forbidden: {detail}")

    def not_found(self, path: FieldPath, value: Any, detail: str = "") -> None:
        more = f": {detail}" if detail else ""
        self._add("FieldValueNotFound", path, f"Not found: {_shown(value)}{more}")

    def not_supported(self, path: FieldPath, value: Any, supported: Iterable[str]) -> None:
        allowed = ", ".join(_shown(s) for s in sorted(supported))
        text = f"Unsupported value: {_shown(value)}: supported values: {allowed}"
        self._add("FieldValueNotSupported", path, text)

    def too_long(self, path: FieldPath, limit: int) -> None:
        self._add("FieldValueTooLong", path, f"Too long: may not be more than {limit} bytes")

    def too_long_characters(self, path: FieldPath, limit: int) -> None:
        text = f"Too long: may not be more than {limit} characters"
        self._add("FieldValueTooLong", path, text)

    def too_many(self, path: FieldPath, count: int, limit: int) -> None:
        self._add("FieldValueTooMany", path, f"Too many: {count}: must have at most {limit} items")

    def wrong_type(self, path: FieldPath, value: Any, detail: str) -> None:
        self._add("FieldValueTypeInvalid", path, f"Invalid value: {_shown(value)}: {detail}")


_SUBDOMAIN_MESSAGE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    r"for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_MESSAGE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "
    "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_LABEL_1035_MESSAGE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or "
    "'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_LABEL_VALUE_MESSAGE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or "
    "'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_QUALIFIED_MESSAGE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used "
    "for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)

_QUALIFIED_FORM = (
    "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex "
    "used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS "
    "subdomain prefix and '/' (e.g. 'example.com/MyName')"
)


def _problems(value: str, rule: re.Pattern[str], limit: int, message: str) -> list[str]:
    out = []
    if len(value) > limit:
        out.append(f"must be no more than {limit} bytes")
    if not rule.fullmatch(value):
        out.append(message)
    return out


def is_dns1123_subdomain(value: str) -> list[str]:
    """The problems of ``value`` as an object name; empty when it is one."""
    return _problems(value, DNS1123_SUBDOMAIN, 253, _SUBDOMAIN_MESSAGE)


def is_dns1123_label(value: str) -> list[str]:
    return _problems(value, DNS1123_LABEL, 63, _LABEL_MESSAGE)


def is_dns1035_label(value: str) -> list[str]:
    return _problems(value, DNS1035_LABEL, 63, _LABEL_1035_MESSAGE)


def is_path_segment(value: str) -> list[str]:
    """The weakest name rule, as for RBAC objects: path.IsValidPathSegmentName."""
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{bad}'" for bad in "/%" if bad in value]


def is_label_value(value: str) -> list[str]:
    return _problems(value, LABEL_VALUE, 63, _LABEL_VALUE_MESSAGE)


def is_qualified_name(value: str) -> list[str]:
    """The problems of ``value`` as a label or annotation key, ``[prefix/]name``."""
    if value.count("/") > 1:
        return [_QUALIFIED_FORM]
    prefix, slash, part = value.rpartition("/")
    out: list[str] = []
    if slash and not prefix:
        out.append("prefix part must be non-empty")
    elif slash:
        out += [f"prefix part {p}" for p in is_dns1123_subdomain(prefix)]
    if not part:
        return [*out, "name part must be non-empty", _QUALIFIED_MESSAGE]
    return out + _problems(part, QUALIFIED_NAME, 63, _QUALIFIED_MESSAGE)


def validate_labels(labels: Any, path: FieldPath, errors: FieldErrors) -> None:
    for key, value in (labels or {}).items():
        for problem in is_qualified_name(key):
            errors.invalid(path, key, problem)
        for problem in is_label_value(value):
            errors.invalid(path, value, problem)


def validate_annotations(annotations: Any, path: FieldPath, errors: FieldErrors) -> None:
    total = 0
    for key, value in (annotations or {}).items():
        total += len(key) + len(value)
        for problem in is_qualified_name(key.lower()):
            errors.invalid(path, key, problem)
    if total > 256 * 1024:
        errors.too_long(path, 256 * 1024)
