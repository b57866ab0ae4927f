"""local: a directory, a disk's file system or a raw disk of the node, through a PersistentVolume.

As pkg/volume/local: a directory is mounted as it is; a block device with a file system is mounted
once for the node's pods and bound from there; with volumeMode Block it is handed in as a device.
"""

import stat
from pathlib import Path

from agent.pods.volumes.local_path import LocalPath
from agent.pods.volumes.nfs import make_mount_point
from agent.pods.volumes.plugin import Mounter, Provided, VolumeError, Wanted, in_thread

DEFAULT_FS = "ext4"


class Local:
    types = ("local",)

    def __init__(self, local: LocalPath, *, mount: Mounter) -> None:
        self._local = local
        self._mount = mount

    async def set_up(self, wanted: Wanted) -> Provided:
        path = Path(str(wanted.source["path"]))
        await in_thread(lambda: self._local.make(wanted.volume, path))
        kinds: list[int] = []
        await in_thread(lambda: kinds.append(_kind(path)))
        is_device = stat.S_ISBLK(kinds[0])
        if wanted.block:
            if not is_device:
                raise VolumeError(f"{path} is not a block device, and volumeMode is Block")
            return Provided(path=path, read_only=wanted.read_only, device=True)
        if is_device:
            # The kernel has one file system for a device, however often it is mounted.
            await in_thread(lambda: make_mount_point(wanted.directory))
            kind = wanted.source.get("fsType") or DEFAULT_FS
            options = wanted.mount_options
            await self._mount(str(path), wanted.directory, kind=kind, options=options)
            return Provided(path=wanted.directory, read_only=wanted.read_only, owned=True)
        if not stat.S_ISDIR(kinds[0]):
            raise VolumeError(f"{path} is neither a directory nor a block device")
        wanted.refuse_options()
        return Provided(path=path, read_only=wanted.read_only, owned=True)

    async def tear_down(self, directory: Path) -> None:
        pass


def _kind(path: Path) -> int:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        raise VolumeError(f'path "{path}" does not exist') from None
