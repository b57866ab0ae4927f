"""Volumes whose driver wants to be asked again and again (CSIDriver requiresRepublish), as for
tokens that expire. A timer runs only while there are such volumes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from agent.pods.sources import NotSynced
from agent.pods.volumes.plugin import VolumeError, Wanted
from edgek.api.errors import ApiError

log = logging.getLogger(__name__)

PERIOD = 90.0
"""About as often as the kubelet looks at a pod that nothing happens to."""


class Republish:
    def __init__(
        self, publish: Callable[[Wanted], Awaitable[None]], *, period: float = PERIOD
    ) -> None:
        self._publish, self._period = publish, period
        self._wanted: dict[Path, Wanted] = {}
        self._some = asyncio.Event()

    def keep(self, wanted: Wanted) -> None:
        self._wanted[wanted.directory] = wanted
        self._some.set()

    def drop(self, directory: Path) -> None:
        self._wanted.pop(directory, None)
        if not self._wanted:
            self._some.clear()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._some.wait()
            await asyncio.sleep(self._period)
            for wanted in list(self._wanted.values()):
                if wanted.directory in self._wanted:
                    await self._again(wanted)

    async def _again(self, wanted: Wanted) -> None:
        try:
            await self._publish(wanted)
        except (VolumeError, NotSynced, ApiError, OSError, TimeoutError) as err:
            log.warning("volume not published again directory=%s err=%s", wanted.directory, err)
