"""Audit policy (audit.k8s.io/v1 Policy): how much is said of a request. Pure.

As apiserver pkg/audit/policy: the first rule that matches decides; where none does, nothing is
said.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgek.api.meta import Obj
from server.request.info import RequestInfo
from server.request.model import User

LEVELS = ("None", "Metadata", "Request", "RequestResponse")
STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
_VERSIONS = ("audit.k8s.io/v1",)
_LISTS = (
    "users", "userGroups", "verbs", "resources", "namespaces", "nonResourceURLs", "omitStages",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Detail:
    """How much is said of one request."""

    level: str = "None"
    omitted: frozenset[str] = frozenset()
    managed_fields: bool = True

    def at_least(self, level: str) -> bool:
        return LEVELS.index(self.level) >= LEVELS.index(level)


@dataclass(frozen=True, kw_only=True)
class Policy:
    rules: Sequence[Obj]
    omitted: frozenset[str]
    managed_fields: bool

    def detail_of(self, user: User | None, info: RequestInfo) -> Detail:
        for rule in self.rules:
            if matches(rule, user, info):
                managed = rule.get("omitManagedFields")
                return Detail(
                    level=rule["level"],
                    omitted=self.omitted | set(rule.get("omitStages") or ()),
                    managed_fields=self.managed_fields if managed is None else not managed,
                )
        return Detail()


def parse_policy(found: Any) -> Policy:
    """Raises ValueError with one line about what cannot be."""
    if not isinstance(found, dict) or found.get("kind") != "Policy":
        raise ValueError("the file is no Policy")
    if found.get("apiVersion") not in _VERSIONS:
        raise ValueError(f"apiVersion must be {_VERSIONS[0]}")
    rules = found.get("rules")
    if not isinstance(rules, list) or not rules:
        raise ValueError("the policy has no rules")
    for index, rule in enumerate(rules):
        _check_rule(rule, f"rules[{index}]")
    _check_stages(found.get("omitStages"), "omitStages")
    return Policy(
        rules=tuple(rules),
        omitted=frozenset(found.get("omitStages") or ()),
        managed_fields=not found.get("omitManagedFields", False),
    )


def _check_rule(rule: Any, where: str) -> None:
    if not isinstance(rule, dict) or rule.get("level") not in LEVELS:
        raise ValueError(f"{where}.level must be one of {', '.join(LEVELS)}")
    for field in _LISTS:
        if not isinstance(rule.get(field) or [], list):
            raise ValueError(f"{where}.{field} must be a list")
    if rule.get("nonResourceURLs") and (rule.get("resources") or rule.get("namespaces")):
        raise ValueError(
            f"{where}: rules cannot apply to both regular resources and non-resource URLs"
        )
    for resource in rule.get("resources") or ():
        if not isinstance(resource, dict):
            raise ValueError(f"{where}.resources must be objects with group and resources")
        if resource.get("resourceNames") and not resource.get("resources"):
            raise ValueError(f"{where}: using resourceNames requires at least one resource")
    _check_stages(rule.get("omitStages"), f"{where}.omitStages")


def _check_stages(stages: Any, where: str) -> None:
    for stage in stages or ():
        if stage not in STAGES:
            raise ValueError(f"{where}: {stage!r} is not one of {', '.join(STAGES)}")


def matches(rule: Obj, user: User | None, info: RequestInfo) -> bool:
    """``user`` None: nobody was recognised."""
    name, groups = (user.name, user.groups) if user else ("", ())
    if rule.get("users") and name not in rule["users"]:
        return False
    if rule.get("userGroups") and not set(rule["userGroups"]) & set(groups):
        return False
    if rule.get("verbs") and info.verb not in rule["verbs"]:
        return False
    if rule.get("namespaces") or rule.get("resources"):
        return info.is_resource and _matches_resource(rule, info)
    if rule.get("nonResourceURLs"):
        return not info.is_resource and _matches_path(rule["nonResourceURLs"], info.path)
    return True


def _matches_resource(rule: Obj, info: RequestInfo) -> bool:
    if rule.get("namespaces") and info.namespace not in rule["namespaces"]:
        return False
    resources = rule.get("resources")
    return not resources or any(_is_among(group, info) for group in resources)


def _is_among(group: Obj, info: RequestInfo) -> bool:
    if (group.get("group") or "") != info.group:
        return False
    names, found = group.get("resourceNames"), group.get("resources")
    if not found:
        return True
    if names and info.name not in names:
        return False
    sub = info.subresource
    wanted = {"*", f"{info.resource}/{sub}" if sub else info.resource, f"{info.resource}/*"}
    if sub:
        wanted.add(f"*/{sub}")
    return bool(wanted & set(found))


def _matches_path(paths: Sequence[str], path: str) -> bool:
    return any(
        wanted in ("*", path) or (wanted.endswith("*") and path.startswith(wanted[:-1]))
        for wanted in paths
    )
