"""nfs: a directory of a file server, mounted for each pod. As pkg/volume/nfs.

A server that hangs holds up nothing but its pod: see ``agent/pods/mounts.py``.
"""

import os
from pathlib import Path

from agent.pods.mounts import mounts_below
from agent.pods.threads import in_thread
from agent.pods.volumes.nfs_directory import NfsDirectory, nfs_source
from agent.pods.volumes.plugin import Mounter, Provided, Wanted


class Nfs:
    types = ("nfs",)

    def __init__(self, directories: NfsDirectory, *, mount: Mounter) -> None:
        self._directories = directories
        self._mount = mount
        self._made: set[Path] = set()

    async def set_up(self, wanted: Wanted) -> Provided:
        path, source = wanted.directory, wanted.source
        if path not in self._made and path not in mounts_below(path):
            await self._directories.make(wanted.volume)
        await in_thread(lambda: make_mount_point(path))
        where = nfs_source(str(source["server"]), str(source["path"]))
        await self._mount(where, path, kind="nfs", options=wanted.mount_options)
        self._made.add(path)
        return Provided(path=path, read_only=wanted.read_only)

    async def tear_down(self, directory: Path) -> None:
        self._made.discard(directory)


def make_mount_point(path: Path) -> None:
    """Looks at names alone: to ask what is mounted there already may hang."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name not in os.listdir(path.parent):
        path.mkdir(mode=0o750)
