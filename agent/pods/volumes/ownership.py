"""fsGroup: the pod's group comes to own a volume and all that is in it.

As pkg/volume/volume_linux.go SetVolumeOwnership: files become readable and writable for the
group, directories pass it on (setgid), links are left alone. A volume can be large and other pods
may be writing in it, so the walk goes from directory to directory by open handles, follows no
link, and ends when it is no longer wanted.
"""

import asyncio
import os
import stat
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

from agent.pods.threads import in_own_thread

FIRST_REPORT, REPORT = 30.0, 60.0
ADVICE = (
    "https://kubernetes.io/docs/tasks/configure-pod-container/security-context/"
    "#configure-volume-permission-and-ownership-change-policy-for-pods"
)
Tell = Callable[[str], None]
"""Takes the end of a sentence that begins with the volume."""
Run = Callable[[Callable[[], None]], Awaitable[None]]
"""Has something done in a thread."""

READ_WRITE, READ_ONLY, ENTER = 0o660, 0o440, 0o110


def is_owned(path: Path, gid: int, *, read_only: bool) -> bool:
    """What OnRootMismatch looks at: the topmost directory alone."""
    found = path.stat()
    mask = _mask(directory=True, read_only=read_only)
    return found.st_gid == gid and stat.S_IMODE(found.st_mode) & mask == mask


class _Walk:
    """What the event loop and the walk in its thread know of each other."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.files = 0


async def own(
    path: Path, gid: int, *, policy: str, read_only: bool = False, tell: Tell | None = None,
    run: Run = in_own_thread,
) -> None:  # fmt: skip
    """``policy`` is the pod's fsGroupChangePolicy. Takes as long as it takes, and tells of it;
    ends when cancelled."""
    walk = _Walk()
    telling = asyncio.create_task(_tell(walk, tell)) if tell is not None else None
    try:
        await run(lambda: _own(path, gid, policy, read_only, walk))
    finally:
        walk.stop.set()
        if telling is not None:
            telling.cancel()


async def _tell(walk: _Walk, tell: Tell) -> None:
    """As VolumeOwnership.monitorProgress."""
    await asyncio.sleep(FIRST_REPORT)
    tell(f" is taking longer than expected, consider using OnRootMismatch - {ADVICE}")
    while True:
        await asyncio.sleep(REPORT)
        tell(f", processed {walk.files} files.")


def _own(path: Path, gid: int, policy: str, read_only: bool, walk: _Walk) -> None:
    if policy == "OnRootMismatch" and is_owned(path, gid, read_only=read_only):
        return
    # Bottom up: the topmost directory is right only when all below it is.
    for _, directories, files, handle in os.fwalk(path, topdown=False, follow_symlinks=False):
        for entry in (*files, *directories):
            if walk.stop.is_set():
                return
            walk.files += 1
            _own_one(entry, gid, read_only=read_only, at=handle)
    _own_one(str(path), gid, read_only=read_only)


def _own_one(name: str, gid: int, *, read_only: bool, at: int | None = None) -> None:
    try:
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
    except FileNotFoundError:  # somebody is at work in the volume
        return
    try:
        found = os.fstat(handle)
        if stat.S_ISLNK(found.st_mode):
            return
        mask = _mask(directory=stat.S_ISDIR(found.st_mode), read_only=read_only)
        itself = f"/proc/self/fd/{handle}"
        if found.st_gid != gid:
            os.chown(itself, -1, gid)
        # A change of owner may clear bits: what is wanted is set whatever was there.
        wanted = stat.S_IMODE(found.st_mode) | mask
        if found.st_gid != gid or wanted != stat.S_IMODE(found.st_mode):
            os.chmod(itself, wanted)
    finally:
        os.close(handle)


def _mask(*, directory: bool, read_only: bool) -> int:
    mask = READ_ONLY if read_only else READ_WRITE
    return mask | ENTER | stat.S_ISGID if directory else mask
