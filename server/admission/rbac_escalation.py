"""Nobody grants what they do not have: writes of roles and bindings are held against the writer.

A role may only be given rules that its writer has in that place already, or may ``escalate``; a
binding may only be to a role whose rules the writer has, or may ``bind``. Who sets an
aggregationRule may gather anything, and needs everything. As pkg/registry/rbac/escalation_check.go,
pkg/registry/rbac/validation and the policybased storage of the four kinds.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice, product
from typing import NamedTuple

from edgek.api.errors import BadRequest, NotFound
from edgek.api.meta import Key, Obj
from edgek.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING
from edgek.kinds.aggregation import is_aggregated
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
_ROLES = tuple(kind.storage_prefix for kind in (ROLE, CLUSTER_ROLE))
_BINDINGS = tuple(kind.storage_prefix for kind in (ROLE_BINDING, CLUSTER_ROLE_BINDING))
"""Where they are stored, as an older version of them grants just as much."""
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
    kinds = (ROLE, CLUSTER_ROLE, ROLE_BINDING, CLUSTER_ROLE_BINDING)

    def __init__(self, reader: Reader, *, rules_for: RulesFor, may: May) -> None:
        self._reader = reader
        self._rules_for = rules_for
        self._may = may

    async def admit(self, attributes: Attributes) -> None:
        """Changes nothing."""

    async def validate(self, attributes: Attributes) -> None:
        if attributes.obj is None or MASTERS in attributes.user.groups:
            return
        if attributes.kind.storage_prefix in _ROLES:
            self._check_role(attributes)
        elif attributes.kind.storage_prefix in _BINDINGS:
            self._check_binding(attributes)

    def _check_role(self, attributes: Attributes) -> None:
        """NB: of a role whose rules stay the same as well: a label may make them part of another
        role."""
        new, old = attributes.obj, attributes.old
        if old is not None and only_for_garbage(new, old):
            return
        # A role that is only now made is asked about without its name, as its URL has none.
        name = attributes.name if old is not None else ""
        kind, place = attributes.kind, attributes.namespace
        if self._allowed(attributes.user, "escalate", kind, name, place):
            return
        self._refuse_escalation(attributes, new.get("rules") or [])
        if is_aggregated(new) or is_aggregated(old or {}):
            self._check_aggregation(attributes)

    def _check_aggregation(self, attributes: Attributes) -> None:
        if missing(self._rules_for(attributes.user, ""), _EVERYTHING):
            text = "must have cluster-admin privileges to use the aggregationRule"
            raise forbidden(attributes, text)

    def _check_binding(self, attributes: Attributes) -> None:
        new, old = attributes.obj, attributes.old
        if old is not None and only_for_garbage(new, old):
            return
        ref, place = new.get("roleRef") or {}, attributes.namespace
        kind = ROLE if ref.get("kind") == "Role" else CLUSTER_ROLE
        if self._allowed(attributes.user, "bind", kind, ref.get("name", ""), place):
            return
        role = self._reader.get(kind, Key(place if kind == ROLE else "", ref.get("name", "")))
        # A role that is not there may be made later with any rules: who may not bind it, may not.
        if role is None:
            raise NotFound.of(kind, ref.get("name", ""))
        self._refuse_escalation(attributes, role.get("rules") or [])

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
        shown = "\n".join(described(lacking)[:_SHOWN])
        why = (
            f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not '
            f"currently held:\n{shown}"
        )
        raise forbidden(attributes, why)


_EVERYTHING: Sequence[Obj] = (
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
)
_OF_GARBAGE = ("finalizers", "ownerReferences", "managedFields", "resourceVersion")


def only_for_garbage(new: Obj, old: Obj) -> bool:
    """Whether nothing changes but what the garbage collector needs to let an object go."""
    return _without_garbage(new) == _without_garbage(old)


def _without_garbage(obj: Obj) -> Obj:
    meta = {k: v for k, v in obj["metadata"].items() if k not in _OF_GARBAGE}
    return {**obj, "metadata": meta}


def described(lacking: Iterable[_One]) -> list[str]:
    """One line for each thing, its verbs together, sorted; as CompactRules and CompactString."""
    verbs: dict[_One, list[str]] = {}
    for one in lacking:
        verbs.setdefault(one._replace(verb="" if not one.path else one.verb), []).append(one.verb)
    return sorted({_text(one, dict.fromkeys(found)) for one, found in verbs.items()})


def _text(one: _One, verbs: Iterable[str]) -> str:
    shown = " ".join(f'"{verb}"' for verb in verbs)
    if one.path:
        return f'{{NonResourceURLs:["{one.path}"], Verbs:[{shown}]}}'
    names = f', ResourceNames:["{one.name}"]' if one.name else ""
    return f'{{APIGroups:["{one.group}"], Resources:["{one.resource}"]{names}, Verbs:[{shown}]}}'
