"""local: a directory, a disk's file system or a raw disk of the node, through a PersistentVolume.

As pkg/volume/local: a directory is mounted as it is; a block device with a file system is mounted
once for the node's pods and bound from there; with volumeMode Block it is handed in as a device.
"""

import stat
from pathlib import Path

from agent.pods.mounts import run_child
from agent.pods.threads import in_thread
from agent.pods.volumes.local_path import LocalPath
from agent.pods.volumes.nfs import make_mount_point
from agent.pods.volumes.plugin import Mounter, Provided, VolumeError, Wanted

DEFAULT_FS = "ext4"
EMPTY = 2
"""What blkid says of a device with nothing on it."""
LOOK_SECONDS, FORMAT_SECONDS = 20.0, 300.0


class Local:
    types = ("local",)

    def __init__(self, local: LocalPath, *, mount: Mounter) -> None:
        self._local = local
        self._mount = mount

    async def set_up(self, wanted: Wanted) -> Provided:
        path = Path(str(wanted.source["path"]))
        await in_thread(lambda: self._local.make(wanted.volume, path))
        kind = await in_thread(lambda: _kind(path))
        is_device = stat.S_ISBLK(kind)
        if wanted.block:
            if not is_device:
                raise VolumeError(f"{path} is not a block device, and volumeMode is Block")
            return Provided(path=path, read_only=wanted.read_only, device=True)
        if is_device:
            return await self._mount_device(path, wanted)
        if not stat.S_ISDIR(kind):
            raise VolumeError(f"{path} is neither a directory nor a block device")
        wanted.refuse_options()
        return Provided(path=path, read_only=wanted.read_only, owned=True)

    async def _mount_device(self, path: Path, wanted: Wanted) -> Provided:
        await in_thread(lambda: make_mount_point(wanted.directory))
        kind = wanted.source.get("fsType") or DEFAULT_FS
        await format_if_empty(path, kind)
        # The kernel has one file system for a device, however often it is mounted, and that is
        # writable for all or for none: who may only read it is told by the container's own mount.
        options = tuple(o for o in wanted.mount_options if o != "ro")
        await self._mount(str(path), wanted.directory, kind=kind, options=options)
        return Provided(path=wanted.directory, read_only=wanted.read_only, owned=True)

    async def tear_down(self, directory: Path) -> None:
        pass


async def format_if_empty(device: Path, kind: str) -> None:
    """As mount-utils formatAndMount: a file system is made where there is nothing at all, and
    only there."""
    look = ["blkid", "-p", "-s", "TYPE", "-s", "PTTYPE", "-o", "export", str(device)]
    code, said = await run_child(look, seconds=LOOK_SECONDS)
    if code == EMPTY:
        force = ["-F", "-m0"] if kind in ("ext3", "ext4") else []
        code, said = await run_child([f"mkfs.{kind}", *force, str(device)], seconds=FORMAT_SECONDS)
        if code != 0:
            raise VolumeError(f"formatting {device} as {kind} failed: {said}")
    elif code != 0:
        raise VolumeError(f"could not tell what is on {device}: {said}")
    elif "TYPE=" not in said.replace("PTTYPE=", ""):
        raise VolumeError(f"{device} has partitions and no file system of its own")


def _kind(path: Path) -> int:
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        raise VolumeError(f'path "{path}" does not exist') from None
