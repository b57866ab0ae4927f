"""How fast silent nodes are given up: a pace for each zone, and none where a zone is lost whole.

As pkg/controller/nodelifecycle handleDisruption and its rate limiters, for ``node_lifecycle``. In
memory and on the monotonic clock: a restart begins with all nodes' grace anew.
"""

from collections.abc import Sequence
from typing import NamedTuple

from edgek.aio.clock import Clock
from edgek.api.meta import Obj
from server.controllers.node_health import (
    Disruption,
    disruption,
    eviction_interval,
    needs_eviction,
    zone_of,
)

EPSILON = 0.001


class Verdict(NamedTuple):
    """``evict``: give the node up (True), take that back (False), or leave it as it is (None);
    ``wait``: seconds until to ask again."""

    evict: bool | None = None
    wait: float | None = None


class EvictionPace:
    """One node of a zone after the other."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next: dict[tuple[str, str], float] = {}
        self._states: dict[tuple[str, str], Disruption] = {}

    def was_lost(self, zone: tuple[str, str]) -> bool:
        """Whether the zone was lost whole at the last look."""
        return self._states.get(zone) is Disruption.FULL

    def has_come_back(self, zone: tuple[str, str], nodes: Sequence[Obj]) -> bool:
        """Whether the zone, of which ``nodes`` are all, was lost whole at the last look and is
        not now. Its other nodes then deserve a grace of their own to be heard of."""
        was_lost = self.was_lost(zone)
        self._states[zone] = disruption(nodes)
        return was_lost and not self.was_lost(zone)

    def verdict(self, node: Obj, nodes: Sequence[Obj], *, grace_left: float) -> Verdict:
        """``nodes`` are all of the node's zone; a True uses up the zone's turn."""
        state = disruption(nodes)
        interval = eviction_interval(state, len(nodes))
        if interval is None:
            return Verdict(evict=False if state is Disruption.FULL else None)
        if not needs_eviction(node):
            return Verdict()
        zone, now = zone_of(node), self._clock.monotonic()
        wait = max(self._next.get(zone, 0.0) - now, grace_left)
        if wait > EPSILON:
            return Verdict(wait=wait)
        self._next[zone] = now + interval
        return Verdict(evict=True)
