"""Which priority level and which flow a request is of, by the cluster's FlowSchemas. Pure.

As apiserver pkg/util/flowcontrol: the first schema in order of matchingPrecedence whose rules
match names the level; its distinguisher, the user or the namespace, is the flow.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edgek.api.meta import Obj, get_path, name, uid
from server.request.info import RequestInfo
from server.request.model import User
from server.request.principals import SERVICE_ACCOUNT_PREFIX, service_account_user

SCHEMA_HEADER = "X-Kubernetes-PF-FlowSchema-UID"
LEVEL_HEADER = "X-Kubernetes-PF-PriorityLevel-UID"
MOST_WAITING = 2000
"""Of one level, whatever its queues add up to."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """Of a level: how many may work, wait in one flow, and wait in all."""

    limit: int
    per_flow: int = 0
    total: int = 0


@dataclass(frozen=True, kw_only=True)
class Flow:
    """``level`` is "" for requests that nothing holds up."""

    level: str
    key: tuple[str, str] = ("", "")
    headers: Mapping[str, str] = field(default_factory=dict)


def sizes(levels: Iterable[Obj], *, seats: int) -> dict[str, Size]:
    """The limited levels; ``seats`` are shared out by their nominal shares, rounded up. A level
    without a share lets nothing through: so upstream lets an operator jail requests."""
    limited = {name(o): o["spec"]["limited"] for o in levels if get_path(o, "spec", "limited")}
    shares = {of: _shares(spec) for of, spec in limited.items()}
    every = sum(shares.values()) or 1
    return {of: _size(spec, math.ceil(seats * shares[of] / every)) for of, spec in limited.items()}


def _shares(spec: Obj) -> int:
    given = spec.get("nominalConcurrencyShares")
    return 30 if given is None else int(given)


def _size(spec: Obj, limit: int) -> Size:
    queuing = get_path(spec, "limitResponse", "queuing")
    if get_path(spec, "limitResponse", "type") != "Queue" or queuing is None:
        return Size(limit=limit)
    queues, hand = queuing.get("queues") or 64, queuing.get("handSize") or 8
    length = queuing.get("queueLengthLimit") or 50
    total = min(queues * length, MOST_WAITING)
    return Size(limit=limit, per_flow=min(hand * length, total), total=total)


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """``schemas`` in order of precedence, without those whose level is missing."""

    schemas: Sequence[Obj]
    levels: Mapping[str, Obj]

    @classmethod
    def of(cls, schemas: Iterable[Obj], levels: Iterable[Obj]) -> "Classifier":
        by_name = {name(level): level for level in levels}
        known = [s for s in schemas if _level_of(s) in by_name]
        known.sort(key=lambda s: (s["spec"].get("matchingPrecedence") or 1000, name(s)))
        return cls(schemas=known, levels=by_name)

    def flow(self, user: User, info: RequestInfo) -> Flow:
        for schema in self.schemas:
            if any(_matches(r, user, info) for r in schema["spec"].get("rules") or ()):
                return self._flow(schema, user, info)
        return Flow(level="")  # nobody but a test is neither authenticated nor the contrary

    def _flow(self, schema: Obj, user: User, info: RequestInfo) -> Flow:
        level = self.levels[_level_of(schema)]
        exempt = level["spec"].get("type") == "Exempt"
        given = {SCHEMA_HEADER: uid(schema), LEVEL_HEADER: uid(level)}
        headers = {header: text for header, text in given.items() if text}
        return Flow(
            level="" if exempt else name(level),
            key=(name(schema), _distinguisher(schema, user, info)),
            headers=headers,
        )


def _level_of(schema: Obj) -> str:
    return str(get_path(schema, "spec", "priorityLevelConfiguration", "name", default=""))


def _distinguisher(schema: Obj, user: User, info: RequestInfo) -> str:
    match get_path(schema, "spec", "distinguisherMethod", "type"):
        case "ByUser":
            return user.name
        case "ByNamespace":
            return info.namespace
    return ""


def _matches(rule: Obj, user: User, info: RequestInfo) -> bool:
    if not any(_is_of(subject, user) for subject in rule.get("subjects") or ()):
        return False
    if info.is_resource:
        return any(_is_resource(r, info) for r in rule.get("resourceRules") or ())
    return any(_is_url(r, info) for r in rule.get("nonResourceRules") or ())


def _is_of(subject: Obj, user: User) -> bool:
    match subject.get("kind"):
        case "User":
            return get_path(subject, "user", "name") in ("*", user.name)
        case "Group":
            wanted = get_path(subject, "group", "name")
            return wanted == "*" or wanted in user.groups
        case "ServiceAccount":
            account = subject.get("serviceAccount") or {}
            space, of = account.get("namespace") or "", account.get("name") or ""
            if of == "*":
                return user.name.startswith(f"{SERVICE_ACCOUNT_PREFIX}{space}:")
            return user.name == service_account_user(space, of)
    return False


def _has(rule: Obj, field: str, value: str) -> bool:
    found = rule.get(field) or ()
    return "*" in found or value in found


def _is_resource(rule: Obj, info: RequestInfo) -> bool:
    resource = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
    in_scope = (
        _has(rule, "namespaces", info.namespace)
        if info.namespace
        else (bool(rule.get("clusterScope")))
    )
    return (
        in_scope
        and _has(rule, "verbs", info.verb)
        and _has(rule, "apiGroups", info.group)
        and _has(rule, "resources", resource)
    )


def _is_url(rule: Obj, info: RequestInfo) -> bool:
    if not _has(rule, "verbs", info.verb):
        return False
    urls = rule.get("nonResourceURLs") or ()
    prefixes = tuple(url[:-1] for url in urls if url.endswith("/*"))
    return "*" in urls or info.path in urls or info.path.startswith(prefixes)
