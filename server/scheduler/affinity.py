"""Affinity between pods: its terms, parsed once, and an index of those of placed pods.

A pod is kept away (or drawn) by pods that are placed already. To ask each of them for each
decision would cost as much as there are pods; equal terms of equal pods are one entry here, with
the number of pods that have them by the value of the term's node label. So a pod asks as many
entries as there are *distinct* terms, mostly one for each Deployment that has any.

``matchLabelKeys`` and ``mismatchLabelKeys`` are part of the selectors by the time a pod is
stored (edgek/kinds/pod_prepare.py).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from edgek.api.meta import Obj
from edgek.api.selectors import Selector, from_label_selector

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"

HARD_WEIGHT = 1
"""What a placed pod's required affinity draws with: upstream's hardPodAffinityWeight."""

Namespaces = Mapping[str, Mapping[str, str]]
"""The labels of each namespace."""


class Kin(NamedTuple):
    """All that selectors see of a pod; pods of one template share it."""

    namespace: str
    labels: frozenset[tuple[str, str]]
    deleting: bool


@dataclass(frozen=True, kw_only=True)
class Term:
    """One PodAffinityTerm. No ``selector`` selects nothing, as upstream."""

    topology_key: str
    namespaces: frozenset[str]
    namespace_selector: Selector | None
    selector: Selector | None

    def matches(self, kin: Kin, namespaces: Namespaces) -> bool:
        if self.selector is None or not self.selector.matches(dict(kin.labels)):
            return False
        if kin.namespace in self.namespaces:
            return True
        chosen = self.namespace_selector
        return chosen is not None and chosen.matches(namespaces.get(kin.namespace) or {})


Weighted = tuple[Term, int]


@dataclass(frozen=True, kw_only=True)
class PodTerms:
    """``preferred`` has those against a node with a weight below zero."""

    affinity: tuple[Term, ...]
    anti: tuple[Term, ...]
    preferred: tuple[Weighted, ...]

    @property
    def draws(self) -> Iterable[Weighted]:
        """What these terms say to pods that come later, apart from forbidding."""
        yield from self.preferred
        for term in self.affinity:
            yield term, HARD_WEIGHT


def _term(wire: Mapping[str, Any], namespace: str) -> Term:
    """As GetNamespacesFromPodAffinityTerm: the pod's own namespace where none is said."""
    named, chosen = wire.get("namespaces") or (), wire.get("namespaceSelector")
    selector = wire.get("labelSelector")
    return Term(
        topology_key=wire.get("topologyKey") or "",
        namespaces=frozenset(named or (() if chosen is not None else (namespace,))),
        namespace_selector=from_label_selector(chosen) if chosen is not None else None,
        selector=from_label_selector(selector) if selector is not None else None,
    )


def _weighted(wires: Sequence[Mapping[str, Any]], namespace: str, sign: int) -> list[Weighted]:
    found = [(_term(w["podAffinityTerm"], namespace), sign * w["weight"]) for w in wires]
    return [(term, weight) for term, weight in found if weight]


def parse_terms(spec: Obj, namespace: str) -> PodTerms | None:
    """None for the many pods that say nothing of others."""
    affinity = spec.get("affinity") or {}
    near, far = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
    if not near and not far:
        return None
    return PodTerms(
        affinity=tuple(_term(w, namespace) for w in near.get(REQUIRED) or ()),
        anti=tuple(_term(w, namespace) for w in far.get(REQUIRED) or ()),
        preferred=(
            *_weighted(near.get(PREFERRED) or (), namespace, 1),
            *_weighted(far.get(PREFERRED) or (), namespace, -1),
        ),
    )


class AffinityIndex:
    """The terms of placed pods: how many have each, by the value of its node label.

    ``version`` moves when a term is new or gone, or when namespaces have other labels: until
    then, a pod that knows which terms are about it need not look again.
    """

    def __init__(self) -> None:
        self.version = 0
        self.forbidden: dict[Term, Counter[str]] = {}
        self.drawn: dict[Term, Counter[str]] = {}

    def __bool__(self) -> bool:
        return bool(self.forbidden or self.drawn)

    def count(self, terms: PodTerms, labels: Mapping[str, str], sign: int) -> None:
        """A pod with ``terms`` came to a node with ``labels``, or left it (``sign`` -1)."""
        for term in terms.anti:
            self._count(self.forbidden, term, labels, sign)
        for term, weight in terms.draws:
            self._count(self.drawn, term, labels, sign * weight)

    def _count(
        self, table: dict[Term, Counter[str]], term: Term, labels: Mapping[str, str], by: int
    ) -> None:
        value = labels.get(term.topology_key)
        if value is None:
            return
        counts = table.get(term)
        if counts is None:
            counts = table[term] = Counter()
            self.version += 1
        counts[value] += by
        if not counts[value]:
            del counts[value]
            if not counts:
                del table[term]
                self.version += 1
