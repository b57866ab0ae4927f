"""PodTopologySpread: pods that are alike go to different places.

By default pods of one controller are spread over nodes, softly and locally (``rate_group``).
``topologySpreadConstraints`` of a pod are weighed over the whole cluster
(``spread_constraints``): DoNotSchedule refuses nodes, ScheduleAnyway only rates them.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgek.api.meta import Obj, is_deleting, labels
from edgek.api.node_selector import NodeMatch, parse_required
from edgek.api.selectors import Requirement, Selector, from_label_selector
from edgek.api.taints import untolerated
from server.scheduler.plugins.plugin import PASS, Check, Rate, Reasons, Weighing
from server.scheduler.pod_info import PodInfo
from server.scheduler.snapshot import NodeInfo, Snapshot

REASON = ("node(s) didn't match pod topology spread constraints",)
MISSING_LABEL = ("node(s) didn't match pod topology spread constraints (missing required label)",)

NOTHING = Selector((Requirement("", "Exists"),))


def rate_group(pod: PodInfo) -> Rate | None:
    """Falls with each pod of the group that a node has.

    Upstream compares the counts of all nodes; falling as 1/n orders them the same way and
    needs to see one node only.
    """
    group = pod.group
    if group is None or pod.spec.get("topologySpreadConstraints"):
        return None

    def rate(node: NodeInfo) -> float:
        return 100 / (1 + node.groups[group]) if group in node.groups else 100

    return rate


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


class _Domains:
    """Matching pods per domain of one constraint; each node is counted when it changed only."""

    def __init__(self, constraint: Constraint, pod: PodInfo) -> None:
        self.constraint = constraint
        self._namespace = pod.namespace
        self.adds = int(constraint.selector.matches(labels(pod.pod)))
        self._by_node: dict[str, tuple[int, int]] = {}
        self.counts: Counter[str] = Counter()

    def recount(self, nodes: Sequence[NodeInfo], keys: Sequence[str]) -> None:
        """Only nodes that have every constraint's label make domains, as upstream."""
        counts: Counter[str] = Counter()
        for node in nodes:
            if all(key in node.labels for key in keys) and self.constraint.counts_node(node):
                counts[node.labels[self.constraint.key]] += self._on(node)
        self.counts = counts

    def _on(self, node: NodeInfo) -> int:
        known = self._by_node.get(node.name)
        if known is None or known[0] != node.generation:
            matches, namespace = self.constraint.selector.matches, self._namespace
            number = sum(
                p.namespace == namespace and not is_deleting(p.pod) and matches(labels(p.pod))
                for p in node.pods.values()
            )
            known = self._by_node[node.name] = (node.generation, number)
        return known[1]

    def fewest(self) -> int:
        if len(self.counts) < self.constraint.min_domains:
            return 0
        return min(self.counts.values(), default=0)

    def of(self, node: NodeInfo) -> int:
        return self.counts[node.labels[self.constraint.key]]


def spread_constraints(pod: PodInfo) -> Callable[[Snapshot], Weighing] | None:
    wires = pod.spec.get("topologySpreadConstraints")
    if not wires:
        return None
    domains = [_Domains(_constraint(wire, pod), pod) for wire in wires]
    hard = [d for d in domains if d.constraint.hard]
    soft = [d for d in domains if not d.constraint.hard]

    def weigh(snapshot: Snapshot) -> Weighing:
        nodes = snapshot.nodes()
        for part in (hard, soft):
            keys = [d.constraint.key for d in part]
            for d in part:
                d.recount(nodes, keys)
        return Weighing(
            check=_checker(hard) if hard else None, rate=_rater(soft, nodes) if soft else None
        )

    return weigh


def _checker(hard: Sequence[_Domains]) -> Check:
    limits = [(d, d.fewest() + d.constraint.max_skew - d.adds) for d in hard]

    def check(node: NodeInfo) -> Reasons:
        for d, most in limits:
            if d.constraint.key not in node.labels:
                return MISSING_LABEL
            if d.of(node) > most:
                return REASON
        return PASS

    return check


def _rater(soft: Sequence[_Domains], nodes: Sequence[NodeInfo]) -> Rate:
    """As podtopologyspread scoring: the more domains, the more a pod in one of them weighs."""
    weights = [(d, math.log(len(d.counts) + 2), d.constraint.max_skew - 1) for d in soft]

    def cost(node: NodeInfo) -> float | None:
        if any(d.constraint.key not in node.labels for d, _, _ in weights):
            return None
        return sum(d.of(node) * weight + extra for d, weight, extra in weights)

    costs = [c for c in map(cost, nodes) if c is not None]
    most, least = max(costs, default=0.0), min(costs, default=0.0)

    def rate(node: NodeInfo) -> float:
        own = cost(node)
        if own is None:
            return 0
        return 100 * (most + least - own) / most if most else 100

    return rate
