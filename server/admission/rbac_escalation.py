"""Nobody grants what they do not have: writes of roles and bindings are held against the writer.

A role may only be given rules that its writer has in that place already, or may ``escalate``; a
binding may only be to a role whose rules the writer has, or may ``bind``. As
pkg/registry/rbac/escalation_check.go and pkg/registry/rbac/validation.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice, product
from typing import NamedTuple

from edgek.api.errors import BadRequest
from edgek.api.meta import Key, Obj
from edgek.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING
from edgek.kinds.kind import Kind
from server.admission.chain import Attributes
from server.admission.refusal import forbidden
from server.request.info import RequestInfo
from server.request.model import User
from server.request.principals import MASTERS
from server.request.reader import Reader
from server.request.rules import has, path_matches, resource_matches

RulesFor = Callable[[User, str], Iterable[Obj]]
"""Every rule that a user has in a namespace ("": cluster-wide)."""
May = Callable[[User, RequestInfo], bool]
_ROLES = (ROLE, CLUSTER_ROLE)
_BINDINGS = (ROLE_BINDING, CLUSTER_ROLE_BINDING)
_SHOWN = 10
_MAX_PIECES = 10_000


class _One(NamedTuple):
    """The smallest piece of a rule: one verb on one thing. ``path`` for non-resource URLs."""

    verb: str
    group: str = ""
    resource: str = ""
    name: str = ""
    path: str = ""


def pieces(rule: Obj) -> Iterator[_One]:
    verbs = rule.get("verbs") or ()
    groups, resources = rule.get("apiGroups") or (), rule.get("resources") or ()
    for verb, group, resource, name in product(
        verbs, groups, resources, rule.get("resourceNames") or ("",)
    ):
        yield _One(verb, group, resource, name)
    for verb, path in product(verbs, rule.get("nonResourceURLs") or ()):
        yield _One(verb, path=path)


def covers(rule: Obj, one: _One) -> bool:
    """Whether the rule gives all of the piece; a star is only covered by a star."""
    if not has(rule.get("verbs"), one.verb):
        return False
    if one.path:
        return path_matches(rule.get("nonResourceURLs"), one.path)
    names = rule.get("resourceNames") or ()
    return (
        has(rule.get("apiGroups"), one.group)
        and resource_matches(rule.get("resources"), one.resource)
        and (not names or one.name in names)
    )


def missing(owned: Iterable[Obj], asked: Iterable[Obj]) -> list[_One]:
    """The pieces of what is asked that nothing owned covers. Raises BadRequest where the rules
    fall into more pieces than anybody needs: their number is a product of four lists."""
    have = list(owned)
    every = list(islice(chain.from_iterable(map(pieces, asked)), _MAX_PIECES + 1))
    if len(every) > _MAX_PIECES:
        raise BadRequest("the rules say too much at once; split them into several roles")
    return [one for one in every if not any(covers(rule, one) for rule in have)]


class RbacEscalation:
    def __init__(self, reader: Reader, *, rules_for: RulesFor, may: May) -> None:
        self._reader = reader
        self._rules_for = rules_for
        self._may = may

    async def admit(self, attributes: Attributes) -> None:
        """Changes nothing."""

    async def validate(self, attributes: Attributes) -> None:
        if attributes.obj is None or MASTERS in attributes.user.groups:
            return
        if attributes.kind in _ROLES:
            self._check_role(attributes)
        elif attributes.kind in _BINDINGS:
            self._check_binding(attributes)

    def _check_role(self, attributes: Attributes) -> None:
        rules = attributes.obj.get("rules") or []
        if attributes.old is not None and rules == (attributes.old.get("rules") or []):
            return
        kind, place = attributes.kind, attributes.namespace
        if not self._allowed(attributes.user, "escalate", kind, attributes.name, place):
            self._refuse_escalation(attributes, rules)

    def _check_binding(self, attributes: Attributes) -> None:
        new, old = attributes.obj, attributes.old
        parts = ("roleRef", "subjects")
        if old is not None and all(new.get(p) == old.get(p) for p in parts):
            return
        ref, place = new.get("roleRef") or {}, attributes.namespace
        kind = ROLE if ref.get("kind") == "Role" else CLUSTER_ROLE
        if self._allowed(attributes.user, "bind", kind, ref.get("name", ""), place):
            return
        role = self._reader.get(kind, Key(place if kind == ROLE else "", ref.get("name", "")))
        # A role that is not there may be made later with any rules: who may not bind it, may not.
        rules = (role.get("rules") or []) if role is not None else [_EVERYTHING]
        self._refuse_escalation(attributes, rules)

    def _allowed(self, user: User, verb: str, kind: Kind, name: str, place: str) -> bool:
        info = RequestInfo(
            is_resource=True,
            verb=verb,
            group=kind.group,
            version=kind.version,
            resource=kind.plural,
            namespace=place,
            name=name,
        )
        return self._may(user, info)

    def _refuse_escalation(self, attributes: Attributes, rules: list[Obj]) -> None:
        user = attributes.user
        lacking = missing(self._rules_for(user, attributes.namespace), rules)
        if not lacking:
            return
        groups = " ".join(f'"{group}"' for group in user.groups)
        shown = "\n".join(_text(one) for one in lacking[:_SHOWN])
        why = (
            f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not '
            f"currently held:\n{shown}"
        )
        raise forbidden(attributes, why)


_EVERYTHING: Obj = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}


def _text(one: _One) -> str:
    if one.path:
        return f'{{NonResourceURLs:["{one.path}"], Verbs:["{one.verb}"]}}'
    names = f', ResourceNames:["{one.name}"]' if one.name else ""
    return (
        f'{{APIGroups:["{one.group}"], Resources:["{one.resource}"]{names}, Verbs:["{one.verb}"]}}'
    )
