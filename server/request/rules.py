"""One RBAC rule against one request: pure, on wire-shaped rules (rbac/v1 PolicyRule).

The authorizers ask whether a rule allows a request; admission asks, with the same matchers,
whether it covers what another rule would give.

As pkg/apis/rbac/v1/evaluation_helpers.go.
"""

from collections.abc import Collection

from edgek.api.meta import Obj
from server.request.info import RequestInfo


def rule_allows(rule: Obj, info: RequestInfo) -> bool:
    """Whether the rule covers the request, its ``resourceNames`` included."""
    if not rule_covers(rule, info):
        return False
    names = rule.get("resourceNames") or ()
    return not info.is_resource or not names or info.asked_name in names


def rule_covers(rule: Obj, info: RequestInfo) -> bool:
    """Whether the rule is about such requests, for some names at least."""
    if not has(rule.get("verbs"), info.verb):
        return False
    if not info.is_resource:
        return path_matches(rule.get("nonResourceURLs"), info.path)
    wanted = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    return has(rule.get("apiGroups"), info.group) and resource_matches(
        rule.get("resources"), wanted
    )


def has(values: Collection[str] | None, wanted: str) -> bool:
    found = values or ()
    return wanted in found or "*" in found


def resource_matches(resources: Collection[str] | None, wanted: str) -> bool:
    """``wanted`` is ``pods`` or ``pods/log``; the latter is matched by ``*/log`` too."""
    _, slash, subresource = wanted.partition("/")
    return has(resources, wanted) or (bool(slash) and f"*/{subresource}" in (resources or ()))


def path_matches(urls: Collection[str] | None, wanted: str) -> bool:
    return any(
        url in ("*", wanted) or (url.endswith("*") and wanted.startswith(url.rstrip("*")))
        for url in urls or ()
    )
