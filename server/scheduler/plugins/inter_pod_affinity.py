"""InterPodAffinity: pods that want to be near others, or far from them, and those they keep away.

Placed pods are asked through the snapshot's index of terms; their number hardly matters
(``affinity``). What the pod itself wants is counted by tallies that follow the snapshot.
"""

from collections.abc import Mapping, Sequence

from server.scheduler.affinity import Kin, Namespaces, PodTerms, Term
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

NOT_NEAR = Unresolvable(("node(s) didn't match pod affinity rules",))
NOT_FAR = ("node(s) didn't match pod anti-affinity rules",)
KEPT_AWAY = ("node(s) didn't satisfy existing pods anti-affinity rules",)

Counts = tuple[str, Mapping[str, int]]
"""A node label, and a number for each of its values."""


class _Others:
    """What placed pods say of this one; looked up anew when the index has other terms."""

    def __init__(self, kin: Kin) -> None:
        self._kin = kin
        self._version = -1
        self._forbidden: list[Term] = []
        self._drawn: list[Term] = []

    def look(self, snapshot: Snapshot) -> tuple[list[Counts], list[Counts]]:
        """Where it is forbidden, and what draws it where."""
        index, kin, known = snapshot.affinity, self._kin, snapshot.namespaces
        if self._version != index.version:
            self._forbidden = [t for t in index.forbidden if t.matches(kin, known)]
            self._drawn = [t for t in index.drawn if t.matches(kin, known)]
            self._version = index.version
        return (
            [(t.topology_key, index.forbidden[t]) for t in self._forbidden],
            [(t.topology_key, index.drawn[t]) for t in self._drawn],
        )


class _Own:
    """What the pod wants of others."""

    def __init__(self, terms: PodTerms, kin: Kin, namespaces: Namespaces) -> None:
        def match_all(other: Kin) -> bool:
            return all(term.matches(other, namespaces) for term in terms.affinity)

        def counted(term: Term) -> Tally:
            return Tally(term.topology_key, lambda other: term.matches(other, namespaces))

        self.near = [Tally(term.topology_key, match_all) for term in terms.affinity]
        self.far = [counted(term) for term in terms.anti]
        self.preferred = [(counted(term), weight) for term, weight in terms.preferred]
        self._is_own_kin = bool(terms.affinity) and match_all(kin)
        self._is_first = False

    def follow(self, snapshot: Snapshot) -> None:
        for tally in (*self.near, *self.far, *(tally for tally, _ in self.preferred)):
            tally.follow(snapshot)
        anybody = any(any(tally.counts.values()) for tally in self.near)
        self._is_first = self._is_own_kin and not anybody

    def is_near(self, node: NodeInfo) -> bool:
        """NB: the first pod of a group that wants to be together finds nobody, and may go
        anywhere; as satisfyPodAffinity."""
        if any(tally.key not in node.labels for tally in self.near):
            return False
        return self._is_first or all(tally.of(node) > 0 for tally in self.near)


def inter_pod_affinity(pod: PodInfo) -> Prepared:
    others, terms = _Others(pod.kin), pod.terms
    kept: list[_Own] = []

    def weigh(snapshot: Snapshot) -> Weighing | None:
        if terms is None and not snapshot.affinity:
            return None
        forbidden, drawn = others.look(snapshot)
        if terms is None and not forbidden and not drawn:
            return None
        if terms is not None and not kept:
            kept.append(_Own(terms, pod.kin, snapshot.namespaces))
        own = kept[0] if kept else None
        if own is not None:
            own.follow(snapshot)
        wanted: list[tuple[str, Mapping[str, int], int]] = []
        wanted += [(t.key, t.counts, weight) for t, weight in own.preferred] if own else []
        wanted += [(key, counts, 1) for key, counts in drawn]
        return Weighing(check=_checker(own, forbidden), rates=_Rates(wanted) if wanted else None)

    return weigh


def _checker(own: _Own | None, forbidden: Sequence[Counts]) -> Check:
    near = bool(own and own.near)

    def check(node: NodeInfo) -> Reasons:
        labels = node.labels
        if own is not None:
            if near and not own.is_near(node):
                return NOT_NEAR
            if any(tally.of(node) > 0 for tally in own.far):
                return NOT_FAR
        for key, counts in forbidden:
            if labels.get(key) in counts:
                return KEPT_AWAY
        return PASS

    return check


class _Rates:
    """As NormalizeScore: the least drawn node gets 0, the most drawn 100."""

    def __init__(self, wanted: Sequence[tuple[str, Mapping[str, int], int]]) -> None:
        self._wanted = wanted

    def __call__(self, nodes: Sequence[NodeInfo]) -> Rate | None:
        sums = [self._sum(node) for node in nodes]
        least, most = min(sums), max(sums)
        if least == most:
            return None
        return lambda node: 100 * (self._sum(node) - least) / (most - least)

    def _sum(self, node: NodeInfo) -> int:
        out = 0
        for key, counts, weight in self._wanted:
            value = node.labels.get(key)
            if value is not None and value in counts:
                out += weight * counts[value]
        return out
