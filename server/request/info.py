"""URL + method -> RequestInfo, parsed once; every later stage reads it and nothing re-parses.

As apiserver pkg/endpoints/request/requestinfo.go.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from edgek.api.selectors import parse_field_selector, parse_selector

_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch",
          "DELETE": "delete"}  # fmt: skip
TRUE = ("true", "1", "t", "T", "TRUE", "True")
"""What Go takes for a yes (strconv.ParseBool); clients send any of them."""
_SELECTING = ("list", "watch", "deletecollection")
_NAMESPACE_SUBRESOURCES = ("status", "finalize")


@dataclass(frozen=True, kw_only=True)
class RequestInfo:
    """What a request means. For a non-resource URL only ``verb`` (lower-case method) and
    ``path`` are set. ``parts`` are the segments after the version, namespace stripped.
    ``field_selector`` and ``label_selector`` are raw text, for verbs on many objects only."""

    is_resource: bool = False
    verb: str = ""
    path: str = ""
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    parts: tuple[str, ...] = ()
    field_selector: str = ""
    label_selector: str = ""

    @property
    def asked_name(self) -> str:
        """The one object this is about, also where a field selector and not the path says so:
        what permissions by name are held against."""
        return self.name or self.asked_field("metadata.name")

    def asked_field(self, path: str) -> str:
        """The value the field selector demands at ``path``; "" where it leaves it open."""
        if not self.field_selector:
            return ""
        try:
            return parse_field_selector(self.field_selector).exact(path) or ""
        except ValueError:  # the verb will say so; until then it selects nothing
            return ""

    def asked_label(self, key: str) -> str:
        """The value the label selector demands of ``key``; "" where it leaves it open."""
        try:
            found = parse_selector(self.label_selector).requirements if self.label_selector else ()
        except ValueError:
            return ""
        alone = (r.values[0] for r in found
                 if r.key == key and r.operator == "In" and len(r.values) == 1)  # fmt: skip
        return next(alone, "")


def parse_request_info(method: str, path: str, query: Mapping[str, str]) -> RequestInfo:
    """Most URLs come again and again: heartbeats, the same object, the same collection."""
    watch, selector = query.get("watch", ""), query.get("fieldSelector", "")
    labels = query.get("labelSelector", "")
    long = len(path) + len(selector) + len(labels) > _LONGEST_KEPT
    return (_parse if long else _parse_once)(method, path, watch in TRUE, selector, labels)


def _parse(method: str, path: str, watch: bool, selector: str, labels: str) -> RequestInfo:
    parts = [p for p in path.split("/") if p]
    if len(parts) < 3 or parts[0] not in ("api", "apis"):
        return RequestInfo(verb=method.lower(), path=path)
    if parts[0] == "apis":
        if len(parts) < 4:
            return RequestInfo(verb=method.lower(), path=path)
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        group, version, rest = "", parts[1], parts[2:]
    namespace, rest = _split_namespace(rest)
    name = rest[1] if len(rest) > 1 else ""
    verb = _verb(method, name, watch=watch)
    return RequestInfo(
        is_resource=True,
        verb=verb,
        path=path,
        group=group,
        version=version,
        namespace=namespace,
        resource=rest[0],
        name=name,
        subresource=rest[2] if len(rest) > 2 else "",
        parts=tuple(rest),
        field_selector=selector if verb in _SELECTING else "",
        label_selector=labels if verb in _SELECTING else "",
    )


_LONGEST_KEPT = 256
"""Anybody may send long ones, and thousands of them."""
_parse_once = lru_cache(maxsize=2048)(_parse)


def _split_namespace(rest: list[str]) -> tuple[str, list[str]]:
    """``namespaces/x/pods/y`` is a pod in x; ``namespaces/x`` and its own subresources are not."""
    if rest[0] != "namespaces" or len(rest) < 2:
        return "", rest
    if len(rest) == 2 or (len(rest) == 3 and rest[2] in _NAMESPACE_SUBRESOURCES):
        return rest[1], rest
    return rest[1], rest[2:]


def _verb(method: str, name: str, *, watch: bool) -> str:
    verb = _VERBS.get(method, "")
    if verb == "get" and not name:
        verb = "list"
    if verb == "list" and watch:
        verb = "watch"
    if verb == "delete" and not name:
        verb = "deletecollection"
    return verb
