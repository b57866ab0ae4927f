"""authorizer: may the requesting user also do something else? (apiserver
pkg/cel/library/authz.go)

This builds the question; ``Check``, given by whoever offers the variable, answers it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from server.cel.cost import Meter
from server.cel.errors import CelError
from server.cel.overload import Overload, overload
from server.cel.values import Opaque

_T = "kubernetes.authorization."
AUTHORIZER, RESOURCE = f"{_T}Authorizer", f"{_T}ResourceCheck"
PATH, GROUP, DECISION = f"{_T}PathCheck", f"{_T}GroupCheck", f"{_T}Decision"
CHECK_COST = 350_000
"""As upstream: a policy can afford two checks or so per expression."""


@dataclass(frozen=True, kw_only=True)
class Decision(Opaque):
    type_name: ClassVar[str] = DECISION
    allowed: bool
    reason: str = ""
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked for; ``path`` for what is no resource, ``account`` for another user."""

    verb: str = ""
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""
    account: tuple[str, str] | None = None


Check = Callable[[Question], Decision]


@dataclass(frozen=True, kw_only=True)
class _Asking(Opaque):
    check: Check
    question: Question = field(default_factory=Question)

    def with_(self, **words: Any) -> Any:
        return replace(self, question=replace(self.question, **words))


@dataclass(frozen=True, kw_only=True)
class PathCheck(_Asking):
    type_name: ClassVar[str] = PATH


@dataclass(frozen=True, kw_only=True)
class GroupCheck(_Asking):
    type_name: ClassVar[str] = GROUP


@dataclass(frozen=True, kw_only=True)
class ResourceCheck(_Asking):
    type_name: ClassVar[str] = RESOURCE


@dataclass(frozen=True, kw_only=True)
class Authorizer(_Asking):
    """``request`` is what the request itself asks for: authorizer.requestResource."""

    type_name: ClassVar[str] = AUTHORIZER
    request: Question = field(default_factory=Question)

    def select(self, name: str) -> Any:
        if name == "requestResource":
            return ResourceCheck(check=self.check, question=self.request)
        return super().select(name)


def _path(asking: Authorizer, path: str) -> PathCheck:
    if not path.strip():
        raise CelError("path must not be empty")
    return PathCheck(check=asking.check, question=replace(asking.question, path=path))


def _group(asking: Authorizer, group: str) -> GroupCheck:
    return GroupCheck(check=asking.check, question=replace(asking.question, group=group))


def _resource(asking: GroupCheck, resource: str) -> ResourceCheck:
    if not resource.strip():
        raise CelError("resource must not be empty")
    return ResourceCheck(check=asking.check, question=replace(asking.question, resource=resource))


def _account(asking: Authorizer, namespace: str, name: str) -> Authorizer:
    if not namespace or not name:
        raise CelError("Invalid service account name")
    made: Authorizer = asking.with_(account=(namespace, name))
    return made


def _check(meter: Meter, asking: _Asking, verb: str) -> Decision:
    meter.spend(CHECK_COST)
    return asking.check(replace(asking.question, verb=verb))


def _adds(word: str) -> Callable[[ResourceCheck, str], ResourceCheck]:
    def add(asking: ResourceCheck, value: str) -> ResourceCheck:
        made: ResourceCheck = asking.with_(**{word: value})
        return made

    return add


OVERLOADS: tuple[Overload, ...] = (
    overload(f"{AUTHORIZER}.path(string) -> {PATH}", _path),
    overload(f"{AUTHORIZER}.group(string) -> {GROUP}", _group),
    overload(f"{AUTHORIZER}.serviceAccount(string, string) -> {AUTHORIZER}", _account),
    overload(f"{GROUP}.resource(string) -> {RESOURCE}", _resource),
    overload(f"{RESOURCE}.subresource(string) -> {RESOURCE}", _adds("subresource")),
    overload(f"{RESOURCE}.namespace(string) -> {RESOURCE}", _adds("namespace")),
    overload(f"{RESOURCE}.name(string) -> {RESOURCE}", _adds("name")),
    overload(f"{RESOURCE}.fieldSelector(string) -> {RESOURCE}", _adds("field_selector")),
    overload(f"{RESOURCE}.labelSelector(string) -> {RESOURCE}", _adds("label_selector")),
    overload(f"{PATH}.check(string) -> {DECISION}", _check, metered=True),
    overload(f"{RESOURCE}.check(string) -> {DECISION}", _check, metered=True),
    overload(f"{DECISION}.allowed() -> bool", lambda decision: decision.allowed),
    overload(f"{DECISION}.reason() -> string", lambda decision: decision.reason),
    overload(f"{DECISION}.errored() -> bool", lambda decision: bool(decision.error)),
    overload(f"{DECISION}.error() -> string", lambda decision: decision.error),
)
OPAQUE: tuple[type[Opaque], ...] = (Authorizer, PathCheck, GroupCheck, ResourceCheck, Decision)
