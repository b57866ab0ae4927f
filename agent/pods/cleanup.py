"""Taking away what a pod had on the node. Every step may be repeated, and is until it succeeds."""

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from agent.network import Network, NetworkFailure
from agent.pods.container_spec import pod_log_dir
from agent.pods.isolation import Isolation
from agent.pods.mounts import MountError
from agent.pods.store import Containers
from agent.pods.volumes.volumes import Volumes
from agent.runtime.cgroups import Cgroups
from agent.runtime.runtime import Runtime, RuntimeFailure, RuntimeUnavailable
from edgek.aio.outage import Outage
from edgek.api.meta import Obj, uid

log = logging.getLogger(__name__)

FIRST_DELAY, MAX_DELAY = 1.0, 60.0


@dataclass(frozen=True, kw_only=True)
class Cleaner:
    runtime: Runtime
    network: Network
    cgroups: Cgroups
    containers: Containers
    volumes: Volumes
    isolation: Isolation
    log_root: Path

    async def release(self, pod: Obj, *, returns: bool = False) -> None:
        """What a pod that is over needs no more; its containers and logs stay readable. One that
        may begin again at the next boot, with no server to ask, keeps address and files: tokens
        are among them."""
        await _insist("network", pod, lambda: self._detach(uid(pod), keep_address=returns))
        await _insist("processes", pod, lambda: self.isolation.release(uid(pod)))
        await _insist("volumes", pod, lambda: self.volumes.remove(uid(pod), keep_files=returns))

    async def remove(self, pod: Obj) -> None:
        """All the rest, after ``release``."""
        await _insist("containers", pod, lambda: self._remove_containers(uid(pod)))
        await _insist("cgroups", pod, lambda: self._remove_cgroups(uid(pod)))
        logs = pod_log_dir(self.log_root, pod)
        await asyncio.to_thread(shutil.rmtree, logs, ignore_errors=True)

    async def _detach(self, pod_uid: str, *, keep_address: bool) -> None:
        await self.network.set_host_ports(pod_uid, "", ())
        await self.network.detach(pod_uid, keep_address=keep_address)

    async def _remove_containers(self, pod_uid: str) -> None:
        for container in self.containers.of(pod_uid):
            await self.runtime.remove(container.id)
            self.containers.drop(container.id)

    async def _remove_cgroups(self, pod_uid: str) -> None:
        path = self.cgroups.pods().get(pod_uid)
        if path is not None and not await self.cgroups.remove(path):
            raise OSError(f"a process is left in cgroup {path}")


async def _insist(what: str, pod: Obj, step: Callable[[], Awaitable[None]]) -> None:
    delay = FIRST_DELAY
    outage = Outage(log, f"clean-up of {what} of pod {uid(pod)}")
    while True:
        try:
            await step()
            outage.over()
            return
        except (NetworkFailure, RuntimeFailure, MountError, OSError) as err:
            outage.failed(err, known=isinstance(err, RuntimeUnavailable))
        await asyncio.sleep(delay)
        delay = min(delay * 2, MAX_DELAY)
