"""Directories on a share for claims of an ``edgek.io/nfs`` class: made, archived, removed.

The share is mounted for a moment in a place of the agent's own. Everything that touches it is a
child process with a time limit: a server that hangs must hang nothing here.
"""

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path, PurePosixPath

from agent.pods.mounts import MountError, run_child, unmount_below
from agent.pods.threads import in_thread
from agent.pods.volumes.plugin import Mounter
from edgek.api.meta import Obj, annotations, get_path
from edgek.kinds.provisioned import NFS_DIRECTORY, ON_DELETE, SHARE, provisioned_by

TOUCH_SECONDS, REMOVE_SECONDS = 20.0, 600.0


def split(volume: Obj) -> tuple[str, str] | None:
    """(share, directory in it) of a volume that was provisioned; None for all others."""
    if provisioned_by(volume) != NFS_DIRECTORY:
        return None
    share = annotations(volume).get(SHARE, "")
    path = str(get_path(volume, "spec", "nfs", "path", default=""))
    directory = path.removeprefix(f"{share}/")
    inside = path.startswith(f"{share}/") and directory
    if not inside or {".", ".."} & set(PurePosixPath(path).parts):
        return None
    return share or "/", directory


def nfs_source(server: str, path: str) -> str:
    host = f"[{server}]" if ":" in server and not server.startswith("[") else server
    return f"{host}:{path}"


class NfsDirectory:
    """``place``: where shares are mounted for a moment."""

    def __init__(self, place: Path, *, mount: Mounter) -> None:
        self._place = place
        self._mount = mount

    async def make(self, volume: Obj | None) -> None:
        """Nothing where the volume is not ours, or its directory is there."""
        found = split(volume) if volume is not None else None
        if volume is None or found is None:
            return
        share, directory = found
        async with self._mounted(volume, share) as top:
            # Only what is missing gets a mode: the directory belongs to its user after that.
            script = 'test -d "$1" || { mkdir -p -- "$1" && chmod 0777 -- "$1"; }'
            await _child("sh", "-c", script, "sh", str(top / directory))

    async def remove(self, volume: Obj) -> None:
        """Archives or removes it, as the class said. Raises MountError to be called again."""
        found = split(volume)
        if found is None:
            return
        share, directory = found
        async with self._mounted(volume, share) as top:
            path = top / directory
            if annotations(volume).get(ON_DELETE) == "delete":
                await _child("rm", "-rf", "--one-file-system", "--", str(path),
                             seconds=REMOVE_SECONDS)  # fmt: skip
            else:
                # As nfs-subdir-external-provisioner; an older one of that name is kept too.
                script = (
                    'test ! -e "$1" && exit; test -e "$2" && set -- "$1" "$2-$3"; mv -T "$1" "$2"'
                )
                archive = path.parent / f"archived-{path.name}"
                await _child("sh", "-c", script, "sh", str(path), str(archive),
                             secrets.token_hex(4))  # fmt: skip

    @asynccontextmanager
    async def _mounted(self, volume: Obj, share: str) -> AsyncIterator[Path]:
        top = self._place / secrets.token_hex(8)
        await in_thread(lambda: top.mkdir(mode=0o700, parents=True))
        source = nfs_source(str(get_path(volume, "spec", "nfs", "server")), share)
        options = tuple(get_path(volume, "spec", "mountOptions", default=()))
        try:
            await self._mount(source, top, kind="nfs", options=options)
            yield top
        finally:
            await unmount_below(top)
            os.rmdir(top)

    def left_over(self) -> list[Path]:
        """What an earlier life left; to be asked before anything is mounted in this one."""
        return list(self._place.iterdir()) if self._place.is_dir() else []

    async def clean_up(self, left: list[Path]) -> None:
        for top in left:
            await unmount_below(top)
            with suppress(OSError):
                os.rmdir(top)


async def _child(*command: str, seconds: float = TOUCH_SECONDS) -> None:
    code, said = await run_child(list(command), seconds=seconds)
    if code != 0:
        raise MountError(said or f"{command[0]} failed with exit status {code}")
