"""Candidates: the nodes that would do, best first, zone by zone.

A heap for each zone, so that what a zone is worth can change with every pod without the score of
any node having to. Most clusters have one zone, or none, and so one heap.
"""

import heapq
import random
from collections.abc import Callable

Worth = Callable[[str], float]


class Candidates:
    """Nodes of equal scores come in random order."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._now: dict[str, tuple[float, str]] = {}
        self._heaps: dict[str, list[tuple[float, float, str]]] = {}
        self._entries = 0

    def put(self, node: str, zone: str, score: float) -> None:
        self._now[node] = (-score, zone)
        heap = self._heaps.get(zone)
        if heap is None:
            heap = self._heaps[zone] = []
        heapq.heappush(heap, (-score, self._rng.random(), node))
        self._entries += 1
        if self._entries > 4 * len(self._now) + 64:
            self._rebuild()

    def drop(self, node: str) -> None:
        self._now.pop(node, None)

    def best(self, worth: Worth | None) -> str | None:
        """``worth`` is added to the scores of a zone's nodes."""
        if worth is None and len(self._heaps) == 1:
            ((zone, heap),) = self._heaps.items()
            first = self._first(zone, heap)
            return first[2] if first is not None else None
        found = []
        for zone, heap in self._heaps.items():
            if (entry := self._first(zone, heap)) is not None:
                found.append((worth(zone) - entry[0] if worth else -entry[0], entry[1], entry[2]))
        return max(found)[2] if found else None

    def _first(
        self, zone: str, heap: list[tuple[float, float, str]]
    ) -> tuple[float, float, str] | None:
        """NB: an entry counts only while it carries its node's present score and zone."""
        while heap:
            entry = heap[0]
            if self._now.get(entry[2]) == (entry[0], zone):
                return entry
            heapq.heappop(heap)
            self._entries -= 1
        return None

    def _rebuild(self) -> None:
        """Sheds what later scores left stale in the heaps."""
        self._heaps = {}
        for node, (cost, zone) in self._now.items():
            self._heaps.setdefault(zone, []).append((cost, self._rng.random(), node))
        for heap in self._heaps.values():
            heapq.heapify(heap)
        self._entries = len(self._now)
