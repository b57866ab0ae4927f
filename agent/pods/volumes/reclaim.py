"""Reclaim: takes the data of volumes away whose claim is gone, then deletes the volumes.

Only PersistentVolumes that the server marked with this node are seen (a label selector, which the
Node authorizer insists on), and only those of edgek's own provisioners are touched. A node that
was off for long does it when it is back. See server/controllers/volume_reclaiming.py.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from agent.pods.mounts import MountError, mount
from agent.pods.volumes.local_path import LocalPath
from agent.pods.volumes.nfs_directory import NfsDirectory
from edgek.api.errors import NotFound
from edgek.api.meta import Key, Obj, name, uid
from edgek.client.client import Client
from edgek.control.controller import DONE, Controller, ForKind, Result, Watch
from edgek.control.events import Source
from edgek.control.informer import Informers
from edgek.kinds import PERSISTENT_VOLUME as VOLUME
from edgek.kinds.provisioned import LOCAL_PATH, STORAGE_NODE, may_reclaim, provisioned_by

MAX_RETRY = 300.0

log = logging.getLogger(__name__)


class Reclaim:
    """A reconciler of PersistentVolumes; see ``build_reclaim``."""

    name = "volume-reclaim"
    kind = VOLUME

    def __init__(
        self, *, client: Client, informers: Informers, node_name: str, events: Source,
        local: LocalPath, nfs: NfsDirectory,
    ) -> None:  # fmt: skip
        self._client = client
        self._node = node_name
        self._events = events
        self._local = local
        self._nfs = nfs
        self._failures: dict[Key, int] = {}
        only = f"{STORAGE_NODE}={node_name}"
        self._volumes = informers.get(VOLUME, label_selector=only)
        self.watches: Sequence[Watch] = (
            ForKind(VOLUME, label_selector=only, when=lambda old, new: new is not None),
        )

    async def reconcile(self, key: Key) -> Result:
        volume = self._volumes.get(key)
        if volume is None or not may_reclaim(volume, self._node):
            self._failures.pop(key, None)
            return DONE
        try:
            await self._take_away(volume)
        except (MountError, OSError, TimeoutError) as err:
            self._events.warning(volume, "VolumeFailedDelete", str(err) or type(err).__name__)
            return self._later(key)
        self._failures.pop(key, None)
        try:
            await self._client.delete(VOLUME, key, preconditions={"uid": uid(volume)})
        except NotFound:
            return DONE
        log.info("volume reclaimed persistentvolume=%s", name(volume))
        return DONE

    def _later(self, key: Key) -> Result:
        times = self._failures[key] = self._failures.get(key, 0) + 1
        return Result(requeue_after=min(2.0**times, MAX_RETRY))

    async def _take_away(self, volume: Obj) -> None:
        if provisioned_by(volume) == LOCAL_PATH:
            await self._local.remove(volume)
        else:
            await self._nfs.remove(volume)


class ReclaimLoop:
    """``run`` until cancelled. Shares that a killed agent left mounted go first."""

    def __init__(self, controller: Controller, nfs: NfsDirectory) -> None:
        self._controller = controller
        self._nfs = nfs
        self._left = nfs.left_over()

    async def run(self) -> None:
        try:
            await self._nfs.clean_up(self._left)
        except MountError as err:
            log.warning("a share is left mounted err=%s", err)
        await self._controller.run()


def build_reclaim(
    *,
    client: Client,
    informers: Informers,
    node_name: str,
    events: Source,
    home: Path,
    storage_root: Path,
) -> "ReclaimLoop":
    nfs = NfsDirectory(home / "shares", mount=mount)
    reclaim = Reclaim(
        client=client,
        informers=informers,
        node_name=node_name,
        events=events,
        local=LocalPath(storage_root),
        nfs=nfs,
    )
    return ReclaimLoop(Controller(reclaim, informers, workers=1), nfs)
