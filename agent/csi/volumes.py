"""CsiVolumes: the volume type ``csi``. Stages and publishes, and undoes both.

What was published is written down before the driver is asked (``places.py``), so that a restarted
agent, or one whose pod was removed meanwhile, can undo it. Steps for one volume are done one after
the other. A driver that is gone holds a pod's end up for GIVE_UP seconds; then the mounts are taken
away without it, and what stays staged is unstaged when it comes back.
"""

import asyncio
import logging
from functools import partial
from pathlib import Path

from agent.csi.alone import Alone
from agent.csi.csi_node import NodeReport
from agent.csi.driver import Driver, Drivers
from agent.csi.measure import measure
from agent.csi.messages import EXPAND, MOUNT_GROUP, SINGLE_NODE_MULTI_WRITER, STAGE_UNSTAGE
from agent.csi.places import (
    ATTACHED,
    ATTACHMENT,
    RECORD,
    VOL_DATA,
    Places,
    Record,
    read_attachment,
    read_record,
    remove_empty,
    remove_target,
    write_json,
    write_record,
)
from agent.csi.republish import Republish
from agent.csi.request import (
    Volume,
    capability,
    owned_by_group,
    plan_volume,
    pod_attributes,
    secret_key,
    secret_values,
)
from agent.csi.server import ServerSide
from agent.csi.staging import Staging
from agent.grpc.messages import Message
from agent.pods.mounts import MountError, mounts_below, unmount_below
from agent.pods.threads import in_thread
from agent.pods.volumes.objects import fs_group
from agent.pods.volumes.plugin import Provided, VolumeError, Wanted
from edgek.aio.tasks import Tasks
from edgek.api.errors import ServiceUnavailable
from edgek.control.events import Source
from edgek.kinds import CSI_DRIVER, SECRET

log = logging.getLogger(__name__)

GIVE_UP = 120.0


class CsiVolumes:
    types = ("csi",)

    def __init__(
        self,
        places: Places,
        drivers: Drivers,
        report: NodeReport,
        server: ServerSide,
        *,
        events: Source,
        node_name: str,
    ) -> None:
        self._places, self._drivers, self._report = places, drivers, report
        self._server, self._events, self._node = server, events, node_name
        self._alone = Alone()
        self._staging = Staging(places, drivers, self._alone, done=self._tell_in_use)
        self._republish = Republish(self._publish_again)
        self._published: set[str] = set()
        self._failing: dict[Path, float] = {}
        """Directories whose tear-down failed -> loop time of the first time."""

    # -- up --------------------------------------------------------------------------------

    async def set_up(self, wanted: Wanted) -> Provided:
        own = str(wanted.source["driver"])
        driver_object = wanted.around.lookup(CSI_DRIVER, "", own)
        volume = plan_volume(wanted, driver_object, self._places, node=self._node)
        record = volume.record
        async with self._alone.with_((own, record.handle)):
            was = await asyncio.to_thread(read_record, wanted.directory)
            if was == record and self._is_published(record) and not volume.republish:
                mount_group = await self._mount_group_known(volume)
            else:
                driver = await self._drivers.wait(own)
                mount_group = await self._bring(driver, volume, wanted)
            await self._grow(volume, wanted)
        if volume.republish:
            self._republish.keep(wanted)
        return Provided(
            path=Path(record.target),
            read_only=volume.read_only,
            device=record.block,
            owned=owned_by_group(volume) and not mount_group,
            measure=partial(measure, self._drivers, record),
        )

    def _is_published(self, record: Record) -> bool:
        target = Path(record.target)
        return record.target in self._published or target in mounts_below(target)

    async def _mount_group_known(self, volume: Volume) -> bool:
        """Of a volume that stands: without its driver the group is left as it is."""
        try:
            return await self._drivers.get(volume.record.driver).can(MOUNT_GROUP)
        except VolumeError:
            return True

    async def _bring(self, driver: Driver, volume: Volume, wanted: Wanted) -> bool:
        """Whether the driver itself sees to the fsGroup."""
        record = volume.record
        await in_thread(lambda: self._write_down(wanted.directory, record))
        context = await self._attachment(record, wanted.directory) if record.attached else {}
        group = fs_group(wanted.pod) if await driver.can(MOUNT_GROUP) else None
        single = await driver.can(SINGLE_NODE_MULTI_WRITER)
        asked = capability(volume, single=single, mount_group=group)
        attributes = dict(volume.source.get("volumeAttributes") or {})
        if record.staging and await driver.can(STAGE_UNSTAGE):
            await self._staging.stage(
                driver, Path(record.staging), volume_id=record.handle, publish_context=context,
                volume_capability=asked, volume_context=attributes,
                secrets=self._secrets(volume, "nodeStageSecretRef", wanted),
            )  # fmt: skip
            staging = record.staging
        else:
            staging = ""
        attributes |= pod_attributes(volume, wanted.pod)
        secrets = self._secrets(volume, "nodePublishSecretRef", wanted)
        tokens = await self._server.tokens(volume, wanted.pod)
        into = secrets if volume.driver.get("serviceAccountTokenInSecrets") else attributes
        into |= tokens
        message: Message = {
            "volume_id": record.handle, "publish_context": context, "staging_target_path": staging,
            "target_path": record.target, "volume_capability": asked,
            "readonly": volume.read_only, "secrets": secrets, "volume_context": attributes,
        }  # fmt: skip
        await driver.node("NodePublishVolume", **message)
        await in_thread(lambda: check_published(Path(record.target)))
        self._published.add(record.target)
        return group is not None

    async def _attachment(self, record: Record, directory: Path) -> dict[str, str]:
        """With no server in reach, what it was when the pod came here: the node may have booted
        since, but nobody can have moved the pod."""
        used = await self._in_use()
        try:
            await self._report.tell_in_use(used)
            found = await self._server.attachment(record, self._node)
        except ServiceUnavailable:
            kept = await asyncio.to_thread(read_attachment, directory)
            if kept is None:
                raise
            self._report.in_use(used)  # when the server is back
            return kept
        await in_thread(lambda: write_json(directory / ATTACHMENT, found))
        return found

    def _write_down(self, directory: Path, record: Record) -> None:
        target = Path(record.target)
        write_record(directory, record)
        data = {
            "specVolID": record.spec_name, "volumeHandle": record.handle,
            "driverName": record.driver, "nodeName": self._node,
            "volumeLifecycleMode": "Ephemeral" if record.ephemeral else "Persistent",
        }  # fmt: skip
        if not record.block:
            write_json(target.parent / VOL_DATA, data)
        target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        if record.staging:
            staged = {**data, ATTACHED: record.attached}
            write_json(self._places.data_of(Path(record.staging)), staged)

    def _secrets(self, volume: Volume, field: str, wanted: Wanted) -> dict[str, str]:
        key = secret_key(volume, field, wanted.pod)
        if key is None:
            return {}
        found = wanted.around.lookup(SECRET, key.namespace, key.name)
        if found is None:
            raise VolumeError(f'secrets "{key.name}" not found')
        return secret_values(found)

    async def _grow(self, volume: Volume, wanted: Wanted) -> None:
        """Where the PersistentVolume has grown beyond what its claim knows of."""
        size = self._server.growth(wanted)
        if size is None or wanted.claim is None:
            return
        record = volume.record
        driver = await self._drivers.wait(record.driver)
        if await driver.can(EXPAND):
            await driver.node(
                "NodeExpandVolume", volume_id=record.handle, volume_path=record.target,
                staging_target_path=record.staging, capacity_range={"required_bytes": size},
                volume_capability=capability(volume, single=False, mount_group=None),
                secrets=self._secrets(volume, "nodeExpandSecretRef", wanted),
            )  # fmt: skip
            self._events.normal(
                wanted.pod,
                "FileSystemResizeSuccessful",
                f'MountVolume.NodeExpandVolume succeeded for volume "{record.spec_name}"',
            )
        await self._server.grown(wanted)

    # -- down ------------------------------------------------------------------------------

    async def tear_down(self, directory: Path) -> None:
        self._republish.drop(directory)
        record = await asyncio.to_thread(read_record, directory)
        if record is None:
            return
        self._server.forget(record.pod_uid)
        async with self._alone.with_((record.driver, record.handle)):
            await self._unpublish(directory, record)
            await in_thread(lambda: self._forget(directory, record))
            self._published.discard(record.target)
        self._failing.pop(directory, None)
        if record.staging:
            await self._staging.release(record.driver, record.handle)

    async def _unpublish(self, directory: Path, record: Record) -> None:
        loop = asyncio.get_running_loop()
        first = self._failing.setdefault(directory, loop.time())
        try:
            driver = self._drivers.get(record.driver)
            left = max(5.0, first + GIVE_UP - loop.time())
            await driver.node(
                "NodeUnpublishVolume", volume_id=record.handle, target_path=record.target,
                seconds=left,
            )  # fmt: skip
        except VolumeError as err:
            if loop.time() < first + GIVE_UP:
                raise MountError(f"volume {record.spec_name}: {err}") from err
            self._tell_given_up(record, err)
        await unmount_below(Path(record.target))

    def _tell_given_up(self, record: Record, err: VolumeError) -> None:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": record.pod_name,
                "namespace": record.pod_namespace,
                "uid": record.pod_uid,
            },
        }
        text = f'UnmountVolume.TearDown failed for volume "{record.spec_name}" : {err}; '
        self._events.warning(pod, "FailedUnMount", text + "it was unmounted without its driver")

    def _forget(self, directory: Path, record: Record) -> None:
        target = Path(record.target)
        remove_target(target)
        (target.parent / VOL_DATA).unlink(missing_ok=True)
        up_to = self._places.plugins if record.block else self._places.pods
        remove_empty(target.parent, up_to=up_to)
        (directory / ATTACHMENT).unlink(missing_ok=True)
        (directory / RECORD).unlink(missing_ok=True)

    # -- beside ----------------------------------------------------------------------------

    async def _in_use(self) -> set[str]:
        """Volumes of this node that must not be detached: published, or staged still."""

        def read() -> set[str]:
            places = self._places
            found = {r.attached for r in places.records()} | {s.attached for s in places.staged()}
            return found - {""}

        return await asyncio.to_thread(read)

    async def run(self) -> None:
        """What goes on beside pods. Until cancelled."""
        if await self._in_use():
            await self._tell_in_use()
        async with Tasks("csi") as tasks:
            tasks.spawn(self._staging.run(), name="staging")
            tasks.spawn(self._republish.run(), name="republish")
            await tasks.wait()

    async def _publish_again(self, wanted: Wanted) -> None:
        """Unless it was taken away meanwhile."""
        own = str(wanted.source["driver"])
        driver_object = wanted.around.lookup(CSI_DRIVER, "", own)
        volume = plan_volume(wanted, driver_object, self._places, node=self._node)
        async with self._alone.with_((own, volume.record.handle)):
            if await asyncio.to_thread(read_record, wanted.directory) is not None:
                await self._bring(await self._drivers.wait(own), volume, wanted)

    async def _tell_in_use(self) -> None:
        self._report.in_use(await self._in_use())


def check_published(target: Path) -> None:
    """A pod must not write into the directory below a volume that is mounted somewhere else."""
    if target not in mounts_below(target) and not target.is_symlink():
        raise VolumeError(
            f"nothing is mounted at {target} after NodePublishVolume: does the driver's pod mount "
            "the kubelet's directory with mountPropagation: Bidirectional?"
        )
