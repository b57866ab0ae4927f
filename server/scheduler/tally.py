"""Tally: how many pods match, by the value of a node label; kept up by what changed.

What spreading and affinity between pods ask of the cluster. A tally looks again only at nodes
that changed since it last looked, and there at each *kind* of pod once
(``NodeInfo.kins``), not at each pod.
"""

from collections import Counter
from collections.abc import Callable

from server.scheduler.affinity import Kin
from server.scheduler.snapshot import NodeInfo, Snapshot

MAX_KINS = 4096
"""Kinds of pods whose verdict is remembered."""


def every_node(_: NodeInfo) -> bool:
    return True


class Tally:
    """NB: of a node that is gone it learns nothing; such a change ends it (Rankings.clear)."""

    def __init__(
        self,
        key: str,
        matches: Callable[[Kin], bool],
        *,
        counts_node: Callable[[NodeInfo], bool] = every_node,
    ) -> None:
        self.key = key
        self.counts: Counter[str] = Counter()
        """By label value; a value that some node has is here, if only with 0."""
        self._nodes: Counter[str] = Counter()
        self._matches = matches
        self._counts_node = counts_node
        self._known: dict[Kin, bool] = {}
        self._by_node: dict[str, tuple[str, int]] = {}
        self._seen = -1

    def follow(self, snapshot: Snapshot) -> None:
        if self._seen != snapshot.generation:
            for node in snapshot.changed_since(self._seen):
                self._recount(node)
            self._seen = snapshot.generation

    def of(self, node: NodeInfo) -> int:
        value = node.labels.get(self.key)
        return self.counts[value] if value is not None else 0

    def _recount(self, node: NodeInfo) -> None:
        if (before := self._by_node.pop(node.name, None)) is not None:
            self._drop(*before)
        value = node.labels.get(self.key)
        if value is None or not self._counts_node(node):
            return
        number = sum([many for kin, many in node.kins.items() if self._match(kin)])
        self._by_node[node.name] = (value, number)
        self.counts[value] += number
        self._nodes[value] += 1

    def _drop(self, value: str, number: int) -> None:
        self.counts[value] -= number
        self._nodes[value] -= 1
        if not self._nodes[value]:
            del self.counts[value], self._nodes[value]

    def _match(self, kin: Kin) -> bool:
        known = self._known.get(kin)
        if known is None:
            if len(self._known) >= MAX_KINS:
                self._known.clear()
            known = self._known[kin] = self._matches(kin)
        return known
