"""Mounts that live by a process: file systems in user space, glusterfs and ceph-fuse.

Each mount's process is in a cgroup of its own, outside of the unit's: a restart of the agent
leaves it alone (the kubelet has ``systemd-run --scope`` for that), and what the mount helper has
started can be found and ended, though its server hangs. Such helpers put the mount in place
before they have talked to the server, so a note beside the volumes says which mounts are whole.
"""

import contextlib
import os
from pathlib import Path

from agent.pods.mounts import mounts_below, unmount_below
from agent.pods.threads import in_thread
from agent.pods.volumes.plugin import Mounter
from agent.runtime.cgroups import Cgroups

MOUNTS = "mounts"
"""Below the root of the pods' cgroups; also the name of the notes' directory."""
END_SECONDS = 5.0
"""For a daemon whose file system was unmounted to write out what it holds."""


class Daemons:
    """``target`` is ``<pod dir>/volumes/<type>/<name>``, as for all volumes."""

    def __init__(self, cgroups: Cgroups, *, mount: Mounter) -> None:
        self._cgroups = cgroups
        self._mount = mount

    async def mount(
        self, source: str, target: Path, *, kind: str, options: tuple[str, ...] = ()
    ) -> None:
        """Mounts unless it is mounted and its process lives. What fails leaves nothing."""
        if self.is_whole(target):
            return
        await self.end(target, grace_seconds=0)
        enter = self._cgroups.enter(self._cgroup(target))
        try:
            await self._mount(source, target, kind=kind, options=options, enter=enter)
            await in_thread(lambda: _write_note(_note(target)))
        except BaseException:  # cancelled too: a helper that waits would become a daemon
            await self.end(target, grace_seconds=0)
            raise

    def is_whole(self, target: Path) -> bool:
        mounted = target in mounts_below(target) and _note(target).exists()
        return mounted and bool(self._cgroups.processes(self._cgroup(target)))

    async def end(self, target: Path, *, grace_seconds: float = END_SECONDS) -> None:
        """Unmounts, and sees to it that the process ends. Raises MountError or OSError."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_note(target))
        await unmount_below(target)
        cgroup = self._cgroup(target)
        if not await self._cgroups.end(cgroup, grace_seconds=grace_seconds):
            raise OSError(f"a process is left in cgroup {cgroup}")

    def _cgroup(self, target: Path) -> str:
        pod_uid, kind, name = target.parents[2].name, target.parent.name, target.name
        return f"{self._cgroups.root}/{MOUNTS}/{pod_uid}_{kind}_{name}"


def abandon(cgroups: Cgroups, pod_uid: str) -> None:
    """Kills the processes of a pod's mounts. Who waits in a file system whose server hangs
    cannot be killed; this way it gets an error, and can."""
    for path in cgroups.below(f"{cgroups.root}/{MOUNTS}"):
        if path.rpartition("/")[2].startswith(f"{pod_uid}_"):
            cgroups.kill(path)


def _note(target: Path) -> Path:
    return target.parents[2] / MOUNTS / f"{target.parent.name}_{target.name}"


def _write_note(path: Path) -> None:
    path.parent.mkdir(mode=0o750, exist_ok=True)
    path.touch()
