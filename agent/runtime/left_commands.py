"""Commands in containers that somebody else had asked for: an agent, or a service, that was killed.

A session's client has lost it, and nobody will ever read what it says; a probe has lost who counts
its seconds. The processes would stay in the container for good, so what comes next ends them: the
agent when it starts, and whoever starts Podman's service again. Sessions are known by their conmon,
which has our containers.conf in its environment; what was opened by hand is not ours to end.
"""

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

from agent.runtime.command import kill_tree
from agent.runtime.session import HANG_UP_SECONDS, tell_command

PROC = Path("/proc")
_SESSION = b"--exec-attach"
_PROBE = re.compile(rb"[^\0]*\0--log-format=json\0exec\0[0-9a-f]{64}\0")
"""As ``run_in_container`` starts crun; Podman and conmon say it otherwise."""


async def end_left_sessions(conf: str, *, proc: Path = PROC) -> int:
    """How many there were. ``conf`` is the containers.conf of our service. A shell is told first
    that its terminal has gone, as a session that is closed does."""
    left = await asyncio.to_thread(lambda: list(_sessions(conf, proc)))
    for pid in left:
        tell_command(pid, signal.SIGHUP)
    if left:
        await asyncio.sleep(HANG_UP_SECONDS)
        for pid in await asyncio.to_thread(lambda: list(_sessions(conf, proc))):
            if pid in left:
                tell_command(pid, signal.SIGKILL)
    return len(left)


def end_left_probes(*, proc: Path = PROC) -> int:
    """How many there were: those of ours whose agent is gone have the first process for a
    parent."""
    left = [
        pid for pid in _pids(proc)
        if _PROBE.match(_read(proc / f"{pid}/cmdline")) and _parent(proc, pid) == 1
    ]  # fmt: skip
    for pid in left:
        kill_tree(pid)
    return len(left)


def _sessions(conf: str, proc: Path) -> Iterator[int]:
    """The processes whose conmons are ours."""
    ours = f"CONTAINERS_CONF={conf}".encode()
    for pid in _pids(proc):
        words = _read(proc / f"{pid}/cmdline").split(b"\0")
        if _SESSION in words and ours in _read(proc / f"{pid}/environ").split(b"\0"):
            children = _read(proc / f"{pid}/task/{pid}/children").split()
            yield from map(int, children)


def _pids(proc: Path) -> list[int]:
    return [int(name) for name in os.listdir(proc) if name.isdigit()]


def _parent(proc: Path, pid: int) -> int:
    stat = _read(proc / f"{pid}/stat").rpartition(b")")[2].split()
    return int(stat[1]) if len(stat) > 1 else 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended meanwhile
        return b""
