"""Aggregated ClusterRoles: one whose rules are those of all roles that its selectors find.

Pure; as pkg/controller/clusterroleaggregation. The controller of that name keeps them so, and the
defaults are summed up here too, so that nobody waits for it on a first start.
"""

from collections.abc import Iterable, Sequence

from edgek.api.meta import Obj, labels, name
from edgek.api.selectors import from_label_selector


def is_aggregated(role: Obj) -> bool:
    return bool((role.get("aggregationRule") or {}).get("clusterRoleSelectors"))


def aggregated_rules(role: Obj, others: Iterable[Obj]) -> list[Obj]:
    """Selector by selector, the roles of each in order of their names, each rule once."""
    rules: list[Obj] = []
    candidates = sorted((o for o in others if name(o) != name(role)), key=name)
    for wanted in role["aggregationRule"]["clusterRoleSelectors"]:
        selector = from_label_selector(wanted)
        for other in candidates:
            if selector.matches(labels(other)):
                rules += [rule for rule in other.get("rules") or () if rule not in rules]
    return rules


def summed_up(roles: Sequence[Obj]) -> tuple[Obj, ...]:
    """The same roles; the aggregated ones have their rules. An aggregated role may be part of
    another one that stands before it."""
    found = {name(role): role for role in roles}
    for _ in roles:
        before = dict(found)
        for role in before.values():
            if is_aggregated(role):
                found[name(role)] = {**role, "rules": aggregated_rules(role, before.values())}
        if found == before:
            break
    return tuple(found.values())
