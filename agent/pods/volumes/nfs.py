"""nfs: a directory of a file server, mounted for each pod. As pkg/volume/nfs.

A server that hangs holds up nothing but its pod: see ``agent/pods/mounts.py``.
"""

import os
from pathlib import Path

from agent.pods.volumes.plugin import Mounter, Provided, Wanted, in_thread


class Nfs:
    types = ("nfs",)

    def __init__(self, mount: Mounter) -> None:
        self._mount = mount

    async def set_up(self, wanted: Wanted) -> Provided:
        source, path = wanted.source, wanted.directory
        await in_thread(lambda: make_mount_point(path))
        server = str(source["server"])
        host = f"[{server}]" if ":" in server and not server.startswith("[") else server
        await self._mount(
            f"{host}:{source['path']}", path, kind="nfs", options=wanted.mount_options
        )
        return Provided(path=path, read_only=wanted.read_only)

    async def tear_down(self, directory: Path) -> None:
        pass


def make_mount_point(path: Path) -> None:
    """Looks at names alone: to ask what is mounted there already may hang."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name not in os.listdir(path.parent):
        path.mkdir(mode=0o750)
