"""PodTopologySpread: pods that are alike go to different places.

``topologySpreadConstraints`` of a pod are weighed over the whole cluster: DoNotSchedule refuses
nodes, ScheduleAnyway only rates them. Pods without any are spread by ``default_spread``.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgek.api.meta import Obj, labels
from edgek.api.node_selector import NodeMatch, parse_required
from edgek.api.selectors import Requirement, Selector, from_label_selector
from edgek.api.taints import untolerated
from server.scheduler.affinity import Kin
from server.scheduler.node_info import NodeInfo
from server.scheduler.plugins.plugin import (
    PASS,
    Check,
    Prepared,
    Rate,
    Reasons,
    Unresolvable,
    Weighing,
)
from server.scheduler.pod_info import PodInfo
from server.scheduler.snapshot import Snapshot
from server.scheduler.tally import Tally

REASON = ("node(s) didn't match pod topology spread constraints",)
MISSING_LABEL = Unresolvable(
    ("node(s) didn't match pod topology spread constraints (missing required label)",)
)

NOTHING = Selector((Requirement("", "Exists"),))


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """``counts_node``: whether a node's pods count (node inclusion policies)."""

    key: str
    max_skew: int
    hard: bool
    min_domains: int
    selector: Selector
    counts_node: Callable[[NodeInfo], bool]


def _selector(wire: Mapping[str, Any], own: Mapping[str, str]) -> Selector:
    """``labelSelector`` narrowed to the pod's own values of ``matchLabelKeys``; a constraint
    without a selector counts nothing."""
    if wire.get("labelSelector") is None:
        return NOTHING
    same = [Requirement(k, "In", (own[k],)) for k in wire.get("matchLabelKeys") or () if k in own]
    return Selector((*from_label_selector(wire["labelSelector"]).requirements, *same))


def _counts_node(wire: Mapping[str, Any], spec: Obj) -> Callable[[NodeInfo], bool]:
    match: NodeMatch | None = None
    if wire.get("nodeAffinityPolicy") != "Ignore":
        match = parse_required(spec)
    honor_taints = wire.get("nodeTaintsPolicy") == "Honor"
    tolerations = spec.get("tolerations") or ()

    def counts(node: NodeInfo) -> bool:
        if match is not None and not match(node.name, node.labels):
            return False
        return not honor_taints or untolerated(node.taints, tolerations) is None

    return counts


def _constraint(wire: Mapping[str, Any], pod: PodInfo) -> Constraint:
    return Constraint(
        key=wire["topologyKey"],
        max_skew=wire["maxSkew"],
        hard=wire.get("whenUnsatisfiable") != "ScheduleAnyway",
        min_domains=wire.get("minDomains") or 1,
        selector=_selector(wire, labels(pod.pod)),
        counts_node=_counts_node(wire, pod.spec),
    )


class _Domains(Tally):
    """Matching pods per domain of one constraint. Only nodes that have the label of each of
    ``keys`` make domains, as upstream."""

    def __init__(self, constraint: Constraint, pod: PodInfo, keys: Sequence[str]) -> None:
        selector, namespace = constraint.selector, pod.namespace

        def matches(kin: Kin) -> bool:
            same = kin.namespace == namespace and not kin.deleting
            return same and selector.matches(dict(kin.labels))

        def counts(node: NodeInfo) -> bool:
            has = node.labels
            return all(key in has for key in keys) and constraint.counts_node(node)

        super().__init__(constraint.key, matches, counts_node=counts)
        self.constraint = constraint
        self.adds = int(selector.matches(labels(pod.pod)))

    def fewest(self) -> int:
        if len(self.counts) < self.constraint.min_domains:
            return 0
        return min(self.counts.values(), default=0)


def spread_constraints(pod: PodInfo) -> Prepared:
    wires = pod.spec.get("topologySpreadConstraints")
    if not wires:
        return None
    constraints = [_constraint(wire, pod) for wire in wires]
    hard = _domains([c for c in constraints if c.hard], pod)
    soft = _domains([c for c in constraints if not c.hard], pod)

    def weigh(snapshot: Snapshot) -> Weighing:
        for domains in (*hard, *soft):
            domains.follow(snapshot)
        return Weighing(
            check=_checker(hard) if hard else None, rates=_raters(soft) if soft else None
        )

    return weigh


def _domains(constraints: Sequence[Constraint], pod: PodInfo) -> list[_Domains]:
    keys = [c.key for c in constraints]
    return [_Domains(c, pod, keys) for c in constraints]


def _checker(hard: Sequence[_Domains]) -> Check:
    limits = [(d.key, d.counts, d.fewest() + d.constraint.max_skew - d.adds) for d in hard]

    def check(node: NodeInfo) -> Reasons:
        has = node.labels
        for key, counts, most in limits:
            value = has.get(key)
            if value is None:
                return MISSING_LABEL
            if counts[value] > most:
                return REASON
        return PASS

    return check


def _raters(soft: Sequence[_Domains]) -> Callable[[Sequence[NodeInfo]], Rate]:
    """As podtopologyspread scoring: the more domains, the more a pod in one of them weighs."""

    def rates(nodes: Sequence[NodeInfo]) -> Rate:
        weights = [(d, math.log(_size(d, nodes) + 2), d.constraint.max_skew - 1) for d in soft]

        def cost(node: NodeInfo) -> float | None:
            if any(d.key not in node.labels for d in soft):
                return None
            return round(sum([d.of(node) * weight + extra for d, weight, extra in weights]))

        return _scaled(cost, nodes)

    return rates


def _size(domains: _Domains, nodes: Sequence[NodeInfo]) -> int:
    """How many domains there are to choose from."""
    return len({node.labels[domains.key] for node in nodes if domains.key in node.labels})


def _scaled(cost: Callable[[NodeInfo], float | None], nodes: Sequence[NodeInfo]) -> Rate:
    costs = [c for c in map(cost, nodes) if c is not None]
    most, least = max(costs, default=0.0), min(costs, default=0.0)

    def rate(node: NodeInfo) -> float:
        own = cost(node)
        if own is None:
            return 0
        return 100 * (most + least - own) / most if most else 100

    return rate
