"""Rates: CPU in use right now, from two snapshots; the counters alone tell only a sum.

The first who asks waits a second for the second snapshot. Who asks again soon is answered from
the counters kept from before, over an honest window. They are forgotten when nobody has asked
for a while, so an agent that is left alone keeps and does nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from agent.stats.snapshot import Snapshot

Counters = dict[str, tuple[float, int]]

SHORTEST, WINDOW, LONGEST = 1.0, 5.0, 90.0
"""Seconds between the two snapshots: at least, as a rule, and at most."""
FRESH_SECONDS = 1.0
"""A snapshot this young is given out again."""
_KEPT = 4


@dataclass(frozen=True, kw_only=True)
class Rated:
    """``before``: counters of ``window`` seconds earlier."""

    snapshot: Snapshot
    before: Counters

    @property
    def window(self) -> float:
        return self.snapshot.node.time - self.before["/"][0]

    def nano_cores(self, path: str) -> int | None:
        """None for what was not there before."""
        now, then = self.snapshot.counters().get(path), self.before.get(path)
        if now is None or then is None or now[0] <= then[0]:
            return None
        return max(int((now[1] - then[1]) / (now[0] - then[0])), 0)


@dataclass
class Rates:
    """``take`` makes a snapshot."""

    take: Callable[[], Awaitable[Snapshot]]
    _kept: list[Counters] = field(default_factory=list)
    _last: Rated | None = None
    _forget: asyncio.TimerHandle | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def now(self) -> Rated:
        """The same answer to all who ask at one time."""
        async with self._turn:
            self._forget_later()
            snapshot = await self.take()
            if self._last is not None and _age(self._last.snapshot, snapshot) < FRESH_SECONDS:
                return self._last
            before = choose(self._kept, snapshot.node.time)
            if before is None:
                before = snapshot.counters()
                self._keep(before)
                await asyncio.sleep(SHORTEST)
                snapshot = await self.take()
            self._keep(snapshot.counters())
            self._last = Rated(snapshot=snapshot, before=before)
            return self._last

    def _keep(self, counters: Counters) -> None:
        """Seldom enough for the oldest to be worth a window."""
        if not self._kept or counters["/"][0] - self._kept[-1]["/"][0] >= WINDOW / 2:
            self._kept = [*self._kept[1 - _KEPT :], counters]

    def _forget_later(self) -> None:
        if self._forget is not None:
            self._forget.cancel()
        self._forget = asyncio.get_running_loop().call_later(LONGEST, self._clear)

    def _clear(self) -> None:
        self._kept, self._last, self._forget = [], None, None


def choose(kept: list[Counters], now: float) -> Counters | None:
    """The newest that gives a whole window, else the one that gives the longest. Pure."""
    usable = [c for c in kept if SHORTEST <= now - c["/"][0] <= LONGEST]
    whole = [c for c in usable if now - c["/"][0] >= WINDOW]
    return whole[-1] if whole else usable[0] if usable else None


def _age(old: Snapshot, new: Snapshot) -> float:
    return new.node.time - old.node.time
