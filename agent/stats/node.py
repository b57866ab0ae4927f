"""The node's own usage, from /proc: the kernel's root cgroup has no memory figures on v2, and in
a container it is not the machine's."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from agent.stats import parse
from agent.stats.usage import Details, Filesystem, Network, Usage

PROC = Path("/proc")


def node_usage(*, detailed: bool = False, proc: Path = PROC) -> Usage:
    meminfo = parse.parse_meminfo((proc / "meminfo").read_text())
    vmstat = parse.parse_pairs((proc / "vmstat").read_text())
    return Usage(
        time=time.time(),
        cpu=parse.node_cpu((proc / "stat").read_text()),
        memory=parse.node_memory(meminfo, vmstat),
        pids=running_processes((proc / "loadavg").read_text()),
        oom_kills=vmstat.get("oom_kill", 0),
        details=Details(pressure=dict(_pressure(proc))) if detailed else None,
    )


def _pressure(proc: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    for kind in ("cpu", "memory", "io"):
        with suppress(OSError):  # a kernel without PSI
            yield kind, parse.parse_pressure((proc / "pressure" / kind).read_text())


def running_processes(loadavg: str) -> int:
    """Threads that exist: the figure after the slash."""
    total = loadavg.split()[3].partition("/")[2]
    return int(total)


def max_pids(*, proc: Path = PROC) -> int:
    """As the kubelet's pidlimit.Stats: the smaller of the two limits."""
    names = ("pid_max", "threads-max")
    return min(int((proc / "sys/kernel" / name).read_text()) for name in names)


def interfaces(*, proc: Path = PROC) -> dict[str, Network]:
    """Every interface of the host by name."""
    return parse.parse_net_dev((proc / "net/dev").read_text())


def default_interface(*, proc: Path = PROC) -> str:
    return parse.default_interface((proc / "net/route").read_text())


def filesystem(path: Path) -> Filesystem:
    """Of the filesystem that ``path`` is on. May block where that is a network's: not in the
    event loop then. Raises OSError."""
    found = os.statvfs(path)
    unit, number = found.f_frsize, os.stat(path).st_dev
    return Filesystem(
        device=device_name(f"{os.major(number)}:{os.minor(number)}"),
        capacity=found.f_blocks * unit,
        available=found.f_bavail * unit,
        used=(found.f_blocks - found.f_bfree) * unit,
        inodes=found.f_files,
        inodes_free=found.f_ffree,
        inodes_used=found.f_files - found.f_ffree,
    )


def device_name(number: str, *, sys: Path = Path("/sys")) -> str:
    """``/dev/sda1`` for "8:1"; the number itself where no such disk is known."""
    try:
        return f"/dev/{(sys / 'dev/block' / number).resolve(strict=True).name}"
    except OSError:
        return number
