"""What pods have on disk: expensive to measure, so only on demand, and kept for a minute."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

KEPT_SECONDS = 60.0
"""As the kubelet's volume stats aggregation period."""
SECONDS = 20.0
"""For all pods together; beyond it they are left out of the answer."""


@dataclass(frozen=True, kw_only=True)
class PodDisk:
    """Bytes: of writable layers and logs by container, of volumes on the node's disk by name, and
    of all of it."""

    time: float
    total: int = 0
    inodes: int = 0
    layers: Mapping[str, int] = field(default_factory=dict)
    logs: Mapping[str, int] = field(default_factory=dict)
    volumes: Mapping[str, int] = field(default_factory=dict)


Measure = Callable[[], Awaitable[Mapping[str, PodDisk]]]


@dataclass
class Disks:
    """``measure`` gives what each pod has, by uid."""

    measure: Measure
    _found: Mapping[str, PodDisk] = field(default_factory=dict)
    _time: float | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def pods(self) -> Mapping[str, PodDisk]:
        """All who ask at one time share a measurement."""
        async with self._turn:
            if self._time is None or time.monotonic() - self._time > KEPT_SECONDS:
                try:
                    async with asyncio.timeout(SECONDS):
                        self._found = await self.measure()
                except TimeoutError:
                    self._found = {}
                self._time = time.monotonic()
            return self._found
