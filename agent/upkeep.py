"""Upkeep: how what keeps the node itself well is put together.

Pressure and eviction (``agent/pressure``), images, addresses that change, devices of the board, a
Podman that hangs: each runs by itself, and tells the registration what the Node object is to say.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.config import AgentConfig
from agent.devices.watch import DeviceWatch
from agent.network import NetworkFailure
from agent.network.watch import AddressWatch
from agent.node.addresses import Addresses
from agent.node.happened import reference
from agent.node.register import Registration
from agent.node.resources import pods_cgroup
from agent.node.status import NodeSpec, node_images
from agent.pods.image_archives import ImageArchives
from agent.pods.sync import PodSync
from agent.pods.volumes.image import images_of_volumes
from agent.pressure.evictor import Evictor
from agent.pressure.images import ImageCollector
from agent.pressure.reading import Reader
from agent.pressure.usage import Meter
from agent.runtime.image_work import ImageWork
from agent.runtime.libpod import Libpod
from agent.runtime.machine import Machine
from agent.runtime.podman import PodmanRuntime
from agent.runtime.runtime import RuntimeFailure
from agent.runtime.service import PodmanService
from agent.runtime.watchdog import Watchdog
from agent.stats.cgroups import CgroupReader
from agent.values import look_for_addresses, resources_of
from edgek.aio.clock import Clock
from edgek.control.events import Source

log = logging.getLogger(__name__)

STORAGE = Path("/var/lib/containers/storage")
IMAGES_SETTLE = 2.0
RETRY = 10.0
FAR = datetime.max.replace(tzinfo=UTC)
SMALL_STEP = timedelta(seconds=2)


@dataclass(kw_only=True)
class Upkeep:
    """``move(addresses)`` sets the network up for a new address of the node."""

    config: AgentConfig
    machine: Machine
    spec: NodeSpec
    service: PodmanService
    runtime: PodmanRuntime
    registration: Registration
    sync: PodSync
    devices: DeviceWatch
    events: Source
    clock: Clock
    move: Callable[[Addresses], Coroutine[Any, Any, None]]

    def __post_init__(self) -> None:
        self._node = reference(self.config.node_name)
        self.facts, self.addresses = self.spec.facts, self.spec.addresses
        parts = self.sync.parts
        self.meter = Meter(
            runtime=self.runtime,
            pods=parts.pods,
            containers=parts.containers,
            cgroups=parts.cgroups,
            reader=CgroupReader(machine=self.machine),
            pod_root=parts.volumes.root,
            log_root=parts.host.log_root,
        )
        self._images_changed = asyncio.Event()
        self._images_changed.set()
        self._moved = asyncio.Event()
        raw = Libpod(self.service.socket)
        self.archives = ImageArchives(
            folder=self.config.home / "images",
            memory=self.config.home / "image-archives.json",
            runtime=self.runtime,
            loader=ImageWork(raw),
            images=parts.launcher.images,
            tell=self._tell_of_images,
        )
        self._collector: asyncio.Future[ImageCollector]
        self._collector = asyncio.get_running_loop().create_future()
        parts.launcher.images.puller.on_pull = self._pulled
        self._watchdog = Watchdog(
            lambda seconds: raw.call("GET", "/_ping", timeout=seconds),
            on_problem=lambda text: self.registration.set_problem("podman answers", text),
            kill=self.service.kill,
        )
        self.runtime.on_slow(self._watchdog.suspect)
        self.devices.on_change = self._devices_changed
        self.devices.on_problem = self._devices_wrong
        if self.devices.problem:
            self._devices_wrong(self.devices.problem)

    def jobs(self) -> tuple[tuple[str, Coroutine[Any, Any, None]], ...]:
        """What is to run, by name."""
        return (
            ("pressure", self._run_pressure()),
            ("node images", self._run_images()),
            ("image archives", self.archives.run()),
            ("addresses", self._run_addresses()),
            ("devices", self.devices.run()),
            ("clock", self._run_clock()),
            ("podman answers", self._watchdog.run()),
        )

    def _tell(self, reason: str, message: str) -> None:
        self.events.warning(self._node, reason, message)

    def _tell_of_images(self, kind: str, reason: str, message: str) -> None:
        send = self.events.normal if kind == "Normal" else self.events.warning
        send(self._node, reason, message)

    # -- pressure -----------------------------------------------------------------------------

    async def _run_pressure(self) -> None:
        parts = self.sync.parts
        limits = pods_cgroup(self.facts, self.config.kubelet)
        try:
            parts.cgroups.create(parts.cgroups.root, limits)
        except OSError as err:
            log.warning("the pods' cgroup is not limited err=%s", err)
        root = await self._storage_root()
        parts.launcher.images.mounted = lambda: images_of_volumes(parts.volumes.root)
        images = ImageCollector(
            runtime=self.runtime,
            pods=parts.pods,
            containers=parts.containers,
            policy=self.config.kubelet.image_gc,
            clock=self.clock,
            root=root,
            tell=self._tell,
            changed=self._images_changed.set,
            kept=lambda: self.archives.kept() | parts.launcher.images.kept(),
            mounted=parts.launcher.images.mounted,
        )
        evictor = Evictor(
            args=self.config.kubelet,
            reader=Reader(
                node_fs=self.config.data_dir,
                image_fs=root,
                cgroups=self.meter.reader,
                pod_cgroup=parts.cgroups.root,
                allocatable_memory=(
                    limits.memory_limit_bytes if "memory" in self.config.kubelet.reserved else 0
                ),
            ),
            sync=self.sync,
            meter=self.meter,
            images=images,
            clock=self.clock,
            tell=self._tell,
            on_conditions=self._conditions,
        )
        self._collector.set_result(images)
        parts.launcher.images.collect = images.prune
        await evictor.run()

    async def _pulled(self, image_id: str) -> None:
        """One that comes before it is known where images lie waits for that."""
        collector = await asyncio.shield(self._collector)
        await collector.pulled(image_id)

    def _conditions(self, conditions: frozenset[str]) -> None:
        self.sync.parts.host.pressure = lambda: conditions
        self.registration.update(pressure=conditions)

    async def _storage_root(self) -> Path:
        try:
            return Path(await self.runtime.storage_root() or STORAGE)
        except RuntimeFailure:
            return STORAGE

    # -- images -------------------------------------------------------------------------------

    async def _run_images(self) -> None:
        """node.status.images, when a pull or a collection has changed them."""
        while True:
            await self._images_changed.wait()
            await asyncio.sleep(IMAGES_SETTLE)
            self._images_changed.clear()
            try:
                images = await self.runtime.images()
                self.registration.update(images=node_images(images))
                await self.sync.parts.launcher.images.records.keep(i.id for i in images)
            except RuntimeFailure as err:
                log.debug("images not listed err=%s", err)
                await asyncio.sleep(RETRY)
                self._images_changed.set()

    # -- addresses ----------------------------------------------------------------------------

    async def _run_addresses(self) -> None:
        watch = AddressWatch(self._moved.set)
        try:
            while True:
                await self._moved.wait()
                self._moved.clear()
                await self._look_for_lost()
                if not self.config.node_ips:  # given: not ours to follow
                    await self._follow()
        finally:
            watch.close()

    async def _look_for_lost(self) -> None:
        """A link that goes takes its route along, which is a change here too."""
        try:
            await self.sync.look_for_lost_sandboxes()
        except NetworkFailure as err:
            log.debug("sandboxes not looked at err=%s", err)

    async def _follow(self) -> None:
        new = look_for_addresses(self.config, self.facts)
        if not new.ip or new == self.addresses:
            return  # without a link the old address is as good as any
        log.warning("the node's address changed from=%s to=%s", self.addresses.ip, new.ip)
        try:
            await self.move(new)
        except NetworkFailure as err:
            log.warning("network not moved to the new address err=%s", err)
            await asyncio.sleep(RETRY)
            self._moved.set()
            return
        self.addresses = new
        self.registration.update(addresses=new)
        self.sync.host_moved(new.ip)

    # -- the clock ----------------------------------------------------------------------------

    async def _run_clock(self) -> None:
        """Boards without a clock battery are told the time while their pods run."""
        clock = self.clock
        while True:
            wall, steady = clock.now(), clock.monotonic()
            await clock.sleep_until(FAR)
            by = clock.now() - wall - timedelta(seconds=clock.monotonic() - steady)
            if abs(by) > SMALL_STEP:
                log.warning("the machine's clock was set by=%s", by)
                self.sync.clock_set(by)

    # -- devices ------------------------------------------------------------------------------

    def _devices_wrong(self, problem: str) -> None:
        self._tell("InvalidDevices", problem)

    def _devices_changed(self) -> None:
        resources = resources_of(self.config, self.facts, self.devices)
        self.sync.parts.host.allocatable = resources.allocatable
        self.registration.update(resources=resources)
