"""Which node a pod gets: filters, scores, and memory of both.

A Deployment's pods have one shape, so what the plugins said of a node for the first holds for
the next one until the node changes. A ``Ranking`` keeps, per shape, each node's verdict and
the best nodes in a heap; placing one more pod looks only at the nodes that changed since,
mostly the one that got the pod before: O(log nodes), not O(nodes). Upstream approaches the
same cost with percentageOfNodesToScore, and with batching since 1.35.

Pure: reads a Snapshot, changes nothing in it.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from edgek.api.node_selector import named_nodes
from server.scheduler.candidates import Candidates
from server.scheduler.node_info import NodeInfo
from server.scheduler.plugins.default_spread import GroupZones, zone_of
from server.scheduler.plugins.node_affinity import CONFLICT, OTHERS
from server.scheduler.plugins.plugin import (
    ClusterPlugin,
    Filter,
    Reasons,
    Score,
    Unresolvable,
    Weighing,
)
from server.scheduler.pod_info import PodInfo
from server.scheduler.snapshot import Snapshot

A = TypeVar("A")
B = TypeVar("B")

MAX_SHAPES = 32

NO_NODES = "no nodes available to schedule pods"


@dataclass(frozen=True, kw_only=True)
class Unschedulable:
    """Why no node would do, for users, and which plugins said so, for the queue.

    ``curable``: the nodes where it could help if other pods were gone.
    """

    message: str
    plugins: frozenset[str] = frozenset()
    curable: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Refusal:
    plugin: str
    reasons: Reasons

    @property
    def curable(self) -> bool:
        return not isinstance(self.reasons, Unresolvable)


Verdict = float | Refusal
Weighings = list[tuple[ClusterPlugin, Weighing]]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The plugins in use; ``server.scheduler.plugins`` has the default ones."""

    filters: Sequence[Filter]
    scores: Sequence[Score]
    cluster: Sequence[ClusterPlugin]
    zones: Callable[[PodInfo], GroupZones | None] | None = None
    """What spreads pods over zones by default."""


def counted(reasons: Iterable[Iterable[str]], *, nodes: int) -> str:
    """As framework.FitError: every reason with its count, sorted as text."""
    counts = Counter(reason for each in reasons for reason in each)
    shown = ", ".join(sorted(f"{number} {reason}" for reason, number in counts.items()))
    return told(shown, nodes=nodes)


def told(why: str, *, nodes: int) -> str:
    end = f" {why}." if why else ""
    return f"0/{nodes} nodes are available:{end}"


def explain(refusals: Mapping[str, Refusal], *, nodes: int, others: int = 0) -> Unschedulable:
    """``others``: how many nodes more are refused for not being named by the pod."""
    reasons: list[Reasons] = [refusal.reasons for refusal in refusals.values()]
    plugins = {refusal.plugin for refusal in refusals.values()}
    if others:
        reasons += [OTHERS] * others
        plugins.add("NodeAffinity")
    return Unschedulable(
        message=counted(reasons, nodes=nodes),
        plugins=frozenset(plugins),
        curable=frozenset(name for name, refusal in refusals.items() if refusal.curable),
    )


class Ranking:
    """The verdicts on all nodes for one pod shape. ``barred`` nodes are refused beforehand."""

    def __init__(
        self,
        pod: PodInfo,
        snapshot: Snapshot,
        profile: Profile,
        rng: random.Random,
        *,
        barred: Mapping[str, Refusal] | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._rng = rng
        self._barred = barred or {}
        self._checks = _prepared((f.name, f.prepare(pod)) for f in profile.filters)
        self._rates = _prepared((s.weight, s.prepare(pod)) for s in profile.scores)
        self._cluster = _prepared((p, p.prepare(pod)) for p in profile.cluster)
        self._only = named_nodes(pod.spec)
        self._seen = -1
        self._verdicts: dict[str, Verdict] = {}
        self._candidates = Candidates(rng)
        self._zones = profile.zones(pod) if profile.zones is not None else None

    @property
    def names_nodes(self) -> bool:
        return self._only is not None

    def best(self) -> str | Unschedulable:
        weighings = self._weighings()
        self._refresh()
        return self._weighed(weighings) if weighings else self._top()

    def check(self, info: NodeInfo) -> Refusal | None:
        """Whether this one node would do, as it is now."""
        if self._only is not None and info.name not in self._only:
            return Refusal("NodeAffinity", OTHERS)
        for plugin, check in self._checks:
            if reasons := check(info):
                return Refusal(plugin, reasons)
        for p, weighing in self._weighings():
            if weighing.refused:
                return Refusal(p.name, Unresolvable((weighing.refused,)))
            if weighing.check is not None and (reasons := weighing.check(info)):
                return Refusal(p.name, reasons)
        return None

    # Each node alone

    def _refresh(self) -> None:
        if self._seen == self._snapshot.generation:
            return
        if self._only is not None:
            found = [self._snapshot.node(node_name) for node_name in sorted(self._only)]
            changed: Iterable[NodeInfo] = [info for info in found if info is not None]
        else:
            changed = self._snapshot.changed_since(self._seen)
        for info in changed:
            verdict = self._verdicts[info.name] = self._judge(info)
            zone = self._zones.note(info) if self._zones is not None else ""
            if isinstance(verdict, Refusal):
                self._candidates.drop(info.name)
            else:
                self._candidates.put(info.name, zone, verdict)
        self._seen = self._snapshot.generation

    def _judge(self, info: NodeInfo) -> Verdict:
        for plugin, check in self._checks:
            if reasons := check(info):
                return Refusal(plugin, reasons)
        if self._barred and (refusal := self._barred.get(info.name)) is not None:
            return refusal
        return sum([weight * rate(info) for weight, rate in self._rates])

    def _top(self) -> str | Unschedulable:
        worth = self._zones.worth if self._zones is not None and self._zones else None
        return self._candidates.best(worth) or self._refused({})

    # Nodes against each other

    def _weighings(self) -> Weighings:
        found = []
        for plugin, weigh in self._cluster:
            if (weighing := weigh(self._snapshot)) is not None:
                found.append((plugin, weighing))
        return found

    def _weighed(self, weighings: Weighings) -> str | Unschedulable:
        """Local verdicts, then the cluster plugins over the nodes these leave."""
        if (at_once := self._refused_by(weighings)) is not None:
            return at_once
        good: list[tuple[float, NodeInfo]] = []
        refused: dict[str, Refusal] = {}
        checks = [(p.name, w.check) for p, w in weighings if w.check is not None]
        for node_name, verdict in self._verdicts.items():
            info = self._snapshot.node(node_name)
            if info is None or isinstance(verdict, Refusal):
                continue
            refusal = _first(checks, info)
            if refusal is None:
                good.append((verdict, info))
            else:
                refused[node_name] = refusal
        return self._chosen(good, weighings) if good else self._refused(refused)

    def _chosen(self, good: list[tuple[float, NodeInfo]], weighings: Weighings) -> str:
        nodes, rng = [info for _, info in good], self._rng
        found = [(p.weight, w.rates(nodes)) for p, w in weighings if w.rates is not None]
        rates = _prepared(found)
        if zones := self._zones:
            rates.append((1, lambda info: zones.worth(zone_of(info))))
        totals = [
            (score + sum([weight * rate(info) for weight, rate in rates]), rng.random(), info.name)
            for score, info in good
        ]
        return max(totals)[2]

    # No node

    def _refused_by(self, weighings: Weighings) -> Unschedulable | None:
        """By what is wrong with the pod, wherever it would go."""
        number = len(self._snapshot)
        for plugin, weighing in weighings:
            if weighing.refused and number:
                message = told(weighing.refused, nodes=number)
                return Unschedulable(message=message, plugins=frozenset((plugin.name,)))
        return None

    def _refused(self, more: Mapping[str, Refusal]) -> Unschedulable:
        number = len(self._snapshot)
        if not number:
            return Unschedulable(message=NO_NODES)
        if self._only is not None and not self._only:
            plugins = frozenset(("NodeAffinity",))
            return Unschedulable(message=told(CONFLICT, nodes=number), plugins=plugins)
        refusals = {n: v for n, v in self._verdicts.items() if isinstance(v, Refusal)}
        refusals |= more
        others = number - len(refusals) if self._only is not None else 0
        return explain(refusals, nodes=number, others=others)


def _first(
    checks: Sequence[tuple[str, Callable[[NodeInfo], Reasons]]], info: NodeInfo
) -> Refusal | None:
    for plugin, check in checks:
        if reasons := check(info):
            return Refusal(plugin, reasons)
    return None


def _prepared(pairs: Iterable[tuple[A, B | None]]) -> list[tuple[A, B]]:
    return [(a, b) for a, b in pairs if b is not None]
