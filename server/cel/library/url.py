"""URLs: url, isURL and the parts of one (apiserver pkg/cel/library/urls.go).

As Go's url.ParseRequestURI: absolute, or a path that begins with a slash.
"""

import re
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from server.cel.cost import Meter
from server.cel.errors import CelError
from server.cel.overload import Overload, overload
from server.cel.values import Opaque

_BAD = re.compile(r"[\x00-\x20\x7f]|%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, kw_only=True)
class Url(Opaque):
    type_name: ClassVar[str] = "kubernetes.URL"
    parts: SplitResult


def parse(text: str) -> Url:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise CelError(
            f'URL parse error during conversion from string: parse "{text}": {error}'
        ) from None
    absolute = bool(parts.scheme) and (bool(parts.netloc) or parts.path.startswith("/"))
    del port
    if _BAD.search(text) or not (absolute or text.startswith("/")):
        raise CelError(
            "URL parse error during conversion from string: "
            f'parse "{text}": invalid URI for request'
        )
    return Url(parts=parts)


def _is_url(text: str) -> bool:
    try:
        parse(text)
    except CelError:
        return False
    return True


def _host(url: Url) -> str:
    return url.parts.netloc.rpartition("@")[2]


def _hostname(url: Url) -> str:
    host = _host(url)
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _port(url: Url) -> str:
    return _host(url).rpartition("]")[2].partition(":")[2]


def _path(url: Url) -> str:
    return quote(unquote(url.parts.path), safe="/$&+,:;=@!*'()~")


def _query(meter: Meter, url: Url) -> dict[str, list[str]]:
    meter.spend(len(url.parts.query))
    found: dict[str, list[str]] = {}
    for key, value in parse_qsl(url.parts.query, keep_blank_values=True):
        found.setdefault(key, []).append(value)
    return found


OVERLOADS: tuple[Overload, ...] = (
    overload("url(string) -> kubernetes.URL", parse),
    overload("isURL(string) -> bool", _is_url),
    overload("kubernetes.URL.getScheme() -> string", lambda url: url.parts.scheme),
    overload("kubernetes.URL.getHost() -> string", _host),
    overload("kubernetes.URL.getHostname() -> string", _hostname),
    overload("kubernetes.URL.getPort() -> string", _port),
    overload("kubernetes.URL.getEscapedPath() -> string", _path),
    overload("kubernetes.URL.getQuery() -> map<string, list<string>>", _query, metered=True),
)
