"""subPath: a path inside a volume, found by open handles and held fast by a bind mount.

A container that shares the volume may swap a directory for a link at any moment. So the path is
walked handle by handle, following no link, and what the last handle holds is mounted on a place
in the pod's own directory: the runtime then mounts that, whatever the path has become. As
pkg/volume/util/subpath doSafeOpen and doBindSubPath. Blocking: called in threads only.
"""

import os
import stat
from pathlib import Path
from typing import Protocol

from agent.pods.volumes.plugin import VolumeError


class Bind(Protocol):
    """``mounts.bind_handle``, or a test's."""

    def __call__(self, handle: int, target: Path, *, read_only: bool) -> None: ...


WALK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def bind_sub_path(
    volume: Path, relative: str, target: Path, *, bind: Bind, read_only: bool = False
) -> Path:
    """``target``, with ``relative`` inside ``volume`` mounted on it ("": the volume itself).
    Directories that are missing are made with the volume's own mode."""
    try:
        handle = open_beneath(volume, relative)
    except OSError as err:
        raise VolumeError(f"failed to prepare subPath for volumeMount: {err}") from err
    try:
        _make_target(target, directory=stat.S_ISDIR(os.fstat(handle).st_mode))
        bind(handle, target, read_only=read_only)
    finally:
        os.close(handle)
    return target


def open_beneath(volume: Path, relative: str, *, make: bool = True) -> int:
    """A handle on a path inside the volume; ``make``: also what is missing of it. Links are
    followed where they stay inside, by their text as it is now; that it has not changed meanwhile
    is what the walk makes sure of."""
    if Path(relative).is_absolute() or ".." in Path(relative).parts:
        raise VolumeError(f"failed to prepare subPath {relative}: must stay inside the volume")
    root = volume.resolve()
    target = (root / relative).resolve()
    if target != root and root not in target.parents:
        raise VolumeError(f"failed to prepare subPath {relative}: it leads out of the volume")
    handle = os.open(root, WALK)
    mode = stat.S_IMODE(os.fstat(handle).st_mode)
    for part in target.relative_to(root).parts:
        try:
            below = _step(handle, part, mode if make else None)
        finally:
            os.close(handle)
        handle = below
    return handle


def _step(handle: int, part: str, mode: int | None) -> int:
    try:
        below = os.open(part, WALK, dir_fd=handle)
    except FileNotFoundError:
        if mode is None:
            raise
        os.mkdir(part, dir_fd=handle)
        below = os.open(part, WALK, dir_fd=handle)
        if stat.S_ISDIR(os.fstat(below).st_mode):
            os.chmod(f"/proc/self/fd/{below}", mode)
    if stat.S_ISLNK(os.fstat(below).st_mode):
        os.close(below)
        raise VolumeError(f"failed to prepare subPath: {part} became a link while it was opened")
    return below


def _make_target(target: Path, *, directory: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if directory:
        target.mkdir(exist_ok=True)
    else:
        target.touch()
