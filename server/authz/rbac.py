"""RBAC: Roles and ClusterRoles, bound to subjects, allow; nothing denies.

Two things make it fast. The bindings are turned into an index by subject, rebuilt only when an
RBAC object has changed. And for each (user, verb, resource, namespace) the answer is worked out
once per index: yes, no, or "for these names only". Neither is needed for correctness.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from edgek.api.meta import Key, Obj, namespace
from edgek.kinds.cluster_role import CLUSTER_ROLE
from edgek.kinds.cluster_role_binding import CLUSTER_ROLE_BINDING
from edgek.kinds.role import ROLE
from edgek.kinds.role_binding import ROLE_BINDING
from server.authz.authorizer import NO_OPINION, Decision, Verdict
from server.request.info import RequestInfo
from server.request.model import User
from server.request.principals import service_account_user
from server.request.reader import Reader
from server.request.rules import rule_covers

_ALLOW = Verdict(Decision.ALLOW)
_KINDS = (CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING)
_MAX_ANSWERS = 8192
_MAX_PATH = 512
"""Longer ones are answered and not remembered: anybody may send them, and thousands of them."""


class Grant(NamedTuple):
    """Rules that a subject has in ``namespace``; "" is the whole cluster."""

    namespace: str
    rules: Sequence[Obj]


class RbacAuthorizer:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._revisions: tuple[int, ...] = ()
        self._grants: dict[tuple[str, str], list[Grant]] = {}
        self._answers: dict[tuple[object, ...], frozenset[str] | None] = {}

    def authorize(self, user: User, info: RequestInfo) -> Verdict:
        self._refresh()
        if len(info.path) > _MAX_PATH:
            return _verdict(self._answer(user, info), info)
        where = (info.namespace, info.group, info.resource, info.subresource)
        question = (user.name, user.groups, info.verb, where if info.is_resource else info.path)
        try:
            names = self._answers[question]
        except KeyError:
            names = self._answer(user, info)
            if len(self._answers) >= _MAX_ANSWERS:
                self._answers.clear()
            self._answers[question] = names
        return _verdict(names, info)

    def allows(self, user: User, info: RequestInfo) -> bool:
        return self.authorize(user, info).decision is Decision.ALLOW

    def rules_for(self, user: User, namespace: str) -> Iterator[Obj]:
        """Every rule the user has in that namespace ("": cluster-wide only)."""
        self._refresh()
        subjects = [("User", user.name), *(("Group", group) for group in user.groups)]
        for subject in subjects:
            for grant in self._grants.get(subject, ()):
                if grant.namespace in ("", namespace):
                    yield from grant.rules

    def _answer(self, user: User, info: RequestInfo) -> frozenset[str] | None:
        """The names it is allowed for; None for all of them."""
        names: set[str] = set()
        for rule in self.rules_for(user, info.namespace):
            if rule_covers(rule, info):
                only = rule.get("resourceNames") or ()
                if not only or not info.is_resource:
                    return None
                names.update(only)
        names.discard("")  # a request without a name is never allowed by name
        return frozenset(names)

    def _refresh(self) -> None:
        revisions = tuple(self._reader.revision(kind) for kind in _KINDS)
        if revisions != self._revisions:
            self._grants = index_grants(self._reader)
            self._answers.clear()
            self._revisions = revisions


def _verdict(names: frozenset[str] | None, info: RequestInfo) -> Verdict:
    return _ALLOW if names is None or info.asked_name in names else NO_OPINION


def index_grants(reader: Reader) -> dict[tuple[str, str], list[Grant]]:
    """(subject kind, name) -> what bindings grant it. A binding to a role that does not exist
    grants nothing, until the role comes."""
    index: dict[tuple[str, str], list[Grant]] = defaultdict(list)
    for binding in reader.list(CLUSTER_ROLE_BINDING):
        _add(index, binding, "", reader)
    for binding in reader.list(ROLE_BINDING):
        _add(index, binding, namespace(binding), reader)
    return dict(index)


def _add(
    index: dict[tuple[str, str], list[Grant]], binding: Obj, space: str, reader: Reader
) -> None:
    rules = _rules_of(binding["roleRef"], space, reader)
    if rules:
        for subject in _subjects(binding.get("subjects") or (), space):
            index[subject].append(Grant(space, rules))


def _rules_of(ref: Obj, space: str, reader: Reader) -> Sequence[Obj]:
    if ref.get("kind") == "ClusterRole":
        role = reader.get(CLUSTER_ROLE, Key("", ref["name"]))
    else:
        role = reader.get(ROLE, Key(space, ref["name"])) if space else None
    return (role or {}).get("rules") or ()


def _subjects(subjects: Iterable[Obj], space: str) -> Iterator[tuple[str, str]]:
    for subject in subjects:
        kind, name = subject.get("kind", ""), subject.get("name", "")
        if kind == "ServiceAccount":
            yield "User", service_account_user(subject.get("namespace") or space, name)
        elif kind in ("User", "Group"):
            yield kind, name
