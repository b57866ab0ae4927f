"""Processes: tells at once when a container's process ends, by pidfd; nothing polls.

Podman's own events arrive up to a quarter of a second late and never where conmon was killed.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from agent.runtime.runtime import User


def user_of(pid: int, *, proc: Path = Path("/proc")) -> User | None:
    """Whom a process runs as; None where it is gone, or its ids are those of a user namespace."""
    try:
        shifted = (proc / str(pid) / "uid_map").read_text().split()[:2] != ["0", "0"]
        lines = (proc / str(pid) / "status").read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.partition(":")[::2] for line in lines)
    if shifted or "Uid" not in fields:
        return None
    uid, gid = (int(fields[kind].split()[0]) for kind in ("Uid", "Gid"))
    groups = tuple(int(g) for g in fields.get("Groups", "").split())
    return User(uid=uid, gid=gid, groups=groups)


class Processes:
    def __init__(self, on_end: Callable[[str], None], *, proc: Path = Path("/proc")) -> None:
        self._on_end = on_end
        self._proc = proc
        self._fds: dict[str, int] = {}

    def watch(self, container_id: str, pid: int) -> bool:
        """False where that process is gone already. Watching twice is no error."""
        if container_id in self._fds:
            return True
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        # Opened first, checked then: the number may belong to another process by now, but
        # what the descriptor holds cannot change any more.
        if not self._belongs(container_id, pid):
            os.close(fd)
            return False
        self._fds[container_id] = fd
        asyncio.get_running_loop().add_reader(fd, self._ended, container_id)
        return True

    def watching(self, container_id: str) -> bool:
        return container_id in self._fds

    def forget(self, container_id: str) -> None:
        if (fd := self._fds.pop(container_id, None)) is not None:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)

    def close(self) -> None:
        for container_id in list(self._fds):
            self.forget(container_id)

    def _ended(self, container_id: str) -> None:
        self.forget(container_id)
        self._on_end(container_id)

    def _belongs(self, container_id: str, pid: int) -> bool:
        """Podman puts each container into a cgroup that bears its id."""
        try:
            return container_id in (self._proc / str(pid) / "cgroup").read_text()
        except OSError:
            return False
