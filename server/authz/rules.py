"""One RBAC rule against one request: pure, on wire-shaped rules (rbac/v1 PolicyRule).

As pkg/apis/rbac/v1/evaluation_helpers.go.
"""

from collections.abc import Sequence

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
    if not _has(rule.get("verbs") or (), info.verb):
        return False
    if not info.is_resource:
        return any(_path_matches(url, info.path) for url in rule.get("nonResourceURLs") or ())
    return _has(rule.get("apiGroups") or (), info.group) and _resource_matches(
        rule.get("resources") or (), info
    )


def _has(values: Sequence[str], wanted: str) -> bool:
    return wanted in values or "*" in values


def _resource_matches(resources: Sequence[str], info: RequestInfo) -> bool:
    if not info.subresource:
        return _has(resources, info.resource)
    full = f"{info.resource}/{info.subresource}"
    return _has(resources, full) or f"*/{info.subresource}" in resources


def _path_matches(url: str, path: str) -> bool:
    return url in ("*", path) or (url.endswith("*") and path.startswith(url.rstrip("*")))
