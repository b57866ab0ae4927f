"""RBAC: Roles and ClusterRoles, bound to subjects, allow; nothing denies.

Two things make it fast. The bindings are turned into an index by subject, rebuilt only when an
RBAC object has changed. And for each (user, verb, resource, namespace) the answer is worked out
once per index: yes, no, or "for these names only". Neither is needed for correctness.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
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
from server.request.rules import rule_allows, rule_covers

_ALLOW = Verdict(Decision.ALLOW)
_KINDS = (CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING)
_MAX_ANSWERS = 8192
_MAX_PATH = 512
"""Longer ones are answered and not remembered: anybody may send them, and thousands of them."""


class Grant(NamedTuple):
    """Rules that a subject has in ``namespace`` ("" is the whole cluster), and by which binding.
    Without rules where the role is ``missing``."""

    namespace: str
    rules: Sequence[Obj]
    binding: Obj
    subject: Obj
    missing: bool


class RbacAuthorizer:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._freshness = reader.freshness(*_KINDS)
        self._grants: dict[tuple[str, str], list[Grant]] = {}
        self._answers: dict[tuple[object, ...], frozenset[str] | None] = {}

    def authorize(self, user: User, info: RequestInfo, *, explain: bool = False) -> Verdict:
        verdict = self._authorize(user, info)
        if verdict is NO_OPINION:
            return _refusal(self._missing(user, info.namespace))
        return Verdict(Decision.ALLOW, self._why(user, info)) if explain else verdict

    def _authorize(self, user: User, info: RequestInfo) -> Verdict:
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
        return self._authorize(user, info).decision is Decision.ALLOW

    def rules_for(self, user: User, namespace: str) -> Iterator[Obj]:
        """Every rule the user has in that namespace ("": cluster-wide only)."""
        self._refresh()
        for grant in self._granted(user, namespace):
            yield from grant.rules

    def _granted(self, user: User, namespace: str) -> Iterator[Grant]:
        subjects = [("User", user.name), *(("Group", group) for group in user.groups)]
        for subject in subjects:
            for grant in self._grants.get(subject, ()):
                if grant.namespace in ("", namespace):
                    yield grant

    def _why(self, user: User, info: RequestInfo) -> str:
        """As RBACAuthorizer's, of the first binding that allows; cluster-wide ones come first."""
        grants = sorted(self._granted(user, info.namespace), key=lambda g: bool(g.namespace))
        by = next(g for g in grants if any(rule_allows(rule, info) for rule in g.rules))
        return f"RBAC: allowed by {describe_grant(by)}"

    def _missing(self, user: User, namespace: str) -> list[str]:
        """Roles that bindings of the user's name and that are not there."""
        refs = (g.binding["roleRef"] for g in self._granted(user, namespace) if g.missing)
        return list(dict.fromkeys(_not_found(ref) for ref in refs))

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
        if self._freshness.stale:
            self._grants = index_grants(self._reader)
            self._answers.clear()
            self._freshness.stale = False


def _verdict(names: frozenset[str] | None, info: RequestInfo) -> Verdict:
    return _ALLOW if names is None or info.asked_name in names else NO_OPINION


def _refusal(problems: list[str]) -> Verdict:
    if not problems:
        return NO_OPINION
    shown = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
    return Verdict(Decision.NO_OPINION, f"RBAC: {shown}")


def _not_found(ref: Obj) -> str:
    return f'{ref["kind"].lower()}.{CLUSTER_ROLE.group} "{ref["name"]}" not found'


def describe_grant(grant: Grant) -> str:
    """``ClusterRoleBinding "a" of ClusterRole "b" to User "c"``, as upstream's describers."""
    binding, ref, subject = grant.binding, grant.binding["roleRef"], grant.subject
    name = binding["metadata"]["name"]
    kind, shown = "ClusterRoleBinding", name
    if grant.namespace:
        kind, shown = "RoleBinding", f"{name}/{grant.namespace}"
    whom = subject["name"]
    if subject["kind"] == "ServiceAccount":
        whom = f"{whom}/{subject.get('namespace') or grant.namespace}"
    return f'{kind} "{shown}" of {ref["kind"]} "{ref["name"]}" to {subject["kind"]} "{whom}"'


def index_grants(reader: Reader) -> dict[tuple[str, str], list[Grant]]:
    """(subject kind, name) -> what bindings grant it. A binding to a role that does not exist
    grants nothing, until the role comes; who is refused is told."""
    index: dict[tuple[str, str], list[Grant]] = defaultdict(list)
    for binding in reader.list(CLUSTER_ROLE_BINDING):
        _add(index, binding, "", reader)
    for binding in reader.list(ROLE_BINDING):
        _add(index, binding, namespace(binding), reader)
    return dict(index)


def _add(
    index: dict[tuple[str, str], list[Grant]], binding: Obj, space: str, reader: Reader
) -> None:
    role = _role_of(binding["roleRef"], space, reader)
    rules = (role or {}).get("rules") or ()
    if rules or role is None:
        for subject in binding.get("subjects") or ():
            if who := _subject(subject, space):
                index[who].append(Grant(space, rules, binding, subject, role is None))


def _role_of(ref: Obj, space: str, reader: Reader) -> Obj | None:
    if ref.get("kind") == "ClusterRole":
        return reader.get(CLUSTER_ROLE, Key("", ref["name"]))
    return reader.get(ROLE, Key(space, ref["name"])) if space else None


def _subject(subject: Obj, space: str) -> tuple[str, str] | None:
    kind, name = subject.get("kind", ""), subject.get("name", "")
    if kind == "ServiceAccount":
        return "User", service_account_user(subject.get("namespace") or space, name)
    return (kind, name) if kind in ("User", "Group") else None
