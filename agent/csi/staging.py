"""What is staged on this node: taken away when no pod uses it any more.

Which volumes are staged, and who uses them, is read from the disk, so that it holds over restarts
of the agent and the reboot of the node. A pod's end does not wait for this; what does not succeed
is tried again, and at once when the driver comes back.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from agent.csi.alone import Alone
from agent.csi.driver import Driver, Drivers
from agent.csi.messages import STAGE_UNSTAGE
from agent.csi.places import Places, Staged, remove_empty, remove_target
from agent.pods.mounts import MountError, mounts_below, unmount_below
from agent.pods.threads import in_thread
from agent.pods.volumes.plugin import VolumeError

log = logging.getLogger(__name__)

FIRST_DELAY, MAX_DELAY = 5.0, 300.0


class Staging:
    """``done`` is called after a volume was unstaged."""

    def __init__(
        self, places: Places, drivers: Drivers, alone: Alone, *, done: Callable[[], Awaitable[None]]
    ) -> None:
        self._places, self._drivers, self._alone, self._done = places, drivers, alone, done
        self._stands: dict[Path, bool] = {}
        """What this life of the agent knows: staged, or tried without success."""
        self._look = asyncio.Event()
        drivers.on_come = self._look.set

    async def run(self) -> None:
        """Until cancelled."""
        delay = FIRST_DELAY
        while True:
            await self._look.wait()
            self._look.clear()
            staged = await asyncio.to_thread(lambda: list(self._places.staged()))
            # A driver that is not here calls when it comes.
            done = [await self._unstage(one) for one in staged if self._drivers.has(one.driver)]
            if all(done):
                delay = FIRST_DELAY
                continue
            asyncio.get_running_loop().call_later(delay, self._look.set)
            delay = min(delay * 2, MAX_DELAY)

    async def stage(self, driver: Driver, path: Path, **message: Any) -> None:
        """Once for all pods of the node, as upstream's MountDevice. Raises VolumeError."""
        stands = self._stands.get(path)
        if stands or (stands is None and path in mounts_below(path)):
            return
        self._stands[path] = False
        await in_thread(lambda: path.mkdir(0o750, parents=True, exist_ok=True))
        await driver.node("NodeStageVolume", staging_target_path=str(path), **message)
        self._stands[path] = True

    async def release(self, driver: str, handle: str) -> None:
        """A pod has left the volume."""
        staged = await asyncio.to_thread(lambda: list(self._places.staged()))
        mine = [one for one in staged if (one.driver, one.handle) == (driver, handle)]
        if not all([await self._unstage(one) for one in mine]):
            self._look.set()

    async def _unstage(self, staged: Staged) -> bool:
        """True where it is done, or somebody uses it."""
        driver, handle, path = staged.driver, staged.handle, staged.path
        async with self._alone.with_((driver, handle)):
            if await asyncio.to_thread(self._is_used, driver, handle):
                return True
            self._stands[path] = False
            try:
                own = self._drivers.get(driver)
                if await own.can(STAGE_UNSTAGE):
                    await own.node(
                        "NodeUnstageVolume", volume_id=handle, staging_target_path=str(path)
                    )
                await unmount_below(path)
                await in_thread(lambda: self._forget(path))
            except (VolumeError, MountError, OSError, TimeoutError) as err:
                log.warning("volume stays staged driver=%s handle=%s err=%s", driver, handle, err)
                return False
        self._stands.pop(path, None)
        if staged.attached:
            await self._done()
        return True

    def _is_used(self, driver: str, handle: str) -> bool:
        return any((r.driver, r.handle) == (driver, handle) for r in self._places.records())

    def _forget(self, path: Path) -> None:
        remove_target(path)
        data = self._places.data_of(path)
        data.unlink(missing_ok=True)
        for directory in (path.parent, data.parent):
            remove_empty(directory, up_to=self._places.plugins)
