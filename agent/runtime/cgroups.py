"""Cgroups of pods: ``<root>/<qos>/pod<uid>``, under which Podman puts ``libpod-<id>``. The
same layout on v1 (one tree per controller, with a ``conmon`` in each pod's) and v2 (one tree, all
conmons in ``<root>/conmon``).

The root is at the top of the tree, as the kubelet's cgroupfs driver has it: under a systemd unit
of our own the leftovers of a killed agent would keep the unit from starting again. systemd keeps
the controllers on while the unit says ``Delegate=yes``.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from agent.runtime.machine import CGROUP, Machine
from agent.runtime.runtime import Resources

log = logging.getLogger(__name__)

_KINDS = ("cpu", "memory", "pids")
_ENTER = 'while [ "$1" != -- ]; do echo 0 >"$1" || exit; shift; done; shift; exec "$@"'
"""0 is the writer itself."""
_TRIES = 6
"""Waiting 20 ms and doubling: what conmon needs to end after its container was removed."""


class Cgroups:
    def __init__(
        self,
        *,
        machine: Machine,
        root: str = "/edgek",
        base: Path = CGROUP,
        litter: Path = Path("/run/edgek/unified"),
    ) -> None:
        self._machine, self._base, self.root, self._litter = machine, base, root, litter

    def pod_path(self, qos: str, pod_uid: str) -> str:
        """What a ContainerSpec names as its cgroup_parent. ``qos`` as in status.qosClass."""
        return f"{self.class_path(qos)}/pod{pod_uid}"

    def class_path(self, qos: str) -> str:
        return f"{self.root}/{qos.lower()}"

    def create(self, path: str, resources: Resources | None = None) -> None:
        """Makes it and sets its limits; may be repeated. Raises OSError."""
        for top in self._tops():
            (top / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
        if self._machine.cgroup_v2:
            self._delegate(path)
        for name, value in plan_limits(resources or Resources(), machine=self._machine):
            kind = name.partition(".")[0]
            top = self._base if self._machine.cgroup_v2 else self._base / kind
            (top / path.lstrip("/") / name).write_text(value)

    def unkept(self, resources: Resources) -> list[str]:
        return unkept(resources, machine=self._machine)

    async def remove(self, path: str) -> bool:
        """Takes it away with all that Podman left in it. False where a process is still inside."""
        # What crun takes for cgroups where the v2 tree of a hybrid was: plain files.
        shutil.rmtree(self._litter / path.lstrip("/"), ignore_errors=True)
        for attempt in range(_TRIES):
            left = [d for d in self._directories(path) if not _remove_tree(d)]
            if not left:
                return True
            if attempt > 0:
                for directory in left:
                    _end_lingering(directory)
            await asyncio.sleep(0.02 * 2**attempt)
        return False

    def memory_usage(self, path: str) -> int | None:
        """Bytes in use now, less what the kernel would give back if asked (files read a while
        ago); None where that is not known."""
        v2 = self._machine.cgroup_v2
        where = (self._base if v2 else self._base / "memory") / path.lstrip("/")
        file = "memory.current" if v2 else "memory.usage_in_bytes"
        idle = "inactive_file " if v2 else "total_inactive_file "
        try:
            used = int((where / file).read_text())
            lines = (where / "memory.stat").read_text().splitlines()
            return used - sum(int(x.split()[1]) for x in lines if x.startswith(idle))
        except (OSError, ValueError):
            return None

    def put(self, path: str, pid: int) -> None:
        """Moves a process into a cgroup of its own at that path, where there are any."""
        for top in self._tops():
            directory = top / path.lstrip("/")
            with contextlib.suppress(OSError):  # it is counted elsewhere then, and that is all
                directory.mkdir(parents=True, exist_ok=True)
                (directory / "cgroup.procs").write_text(str(pid))

    def enter(self, path: str) -> tuple[str, ...]:
        """What a command is prefixed with to run in a cgroup of its own at that path, made here;
        nothing where there are no cgroups. Raises OSError."""
        places = [top / path.lstrip("/") for top in self._tops()]
        for directory in places:
            directory.mkdir(parents=True, exist_ok=True)
        files = [str(directory / "cgroup.procs") for directory in places]
        return ("sh", "-c", _ENTER, "sh", *files, "--") if files else ()

    def processes(self, path: str) -> list[int]:
        """Who is in the cgroup itself, as this machine's (or container's) /proc has them."""
        found: set[int] = set()
        for top in self._tops():
            with contextlib.suppress(OSError):
                text = (top / path.lstrip("/") / "cgroup.procs").read_text()
                found |= {int(pid) for pid in text.split() if pid != "0"}
        return sorted(found)

    def below(self, path: str) -> list[str]:
        tops = (top / path.lstrip("/") for top in self._tops())
        return sorted({f"{path}/{d.name}" for top in tops for d in top.glob("*") if d.is_dir()})

    async def end(self, path: str, *, grace_seconds: float) -> bool:
        """Waits for those in it to end by themselves, kills who does not, and removes it. False
        where even that failed."""
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + grace_seconds, 0.02
        while self.processes(path) and loop.time() < deadline:
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.5)
        self.kill(path)
        return await self.remove(path)

    def kill(self, path: str) -> None:
        for pid in self.processes(path):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def pods(self) -> dict[str, str]:
        """Uid -> path of the pods that have a cgroup."""
        found = {}
        for top in self._tops():
            for directory in (top / self.root.lstrip("/")).glob("*/pod*"):
                uid = directory.name.removeprefix("pod")
                found[uid] = f"{self.root}/{directory.parent.name}/{directory.name}"
        return found

    def _tops(self) -> list[Path]:
        if self._machine.cgroup_v2:
            return [self._base]
        return [self._base / kind for kind in _KINDS if self._machine.has(kind)]

    def _directories(self, path: str) -> Iterator[Path]:
        """crun makes the path in every controller of v1, so all are looked at."""
        tops = [self._base] if self._machine.cgroup_v2 else self._base.iterdir()
        for top in tops:
            if (directory := top / path.lstrip("/")).is_dir():
                yield directory

    def _delegate(self, path: str) -> None:
        """v2: a child has only the controllers its parent hands on."""
        wanted = " ".join(f"+{kind}" for kind in _KINDS if self._machine.has(kind))
        directory = self._base
        for part in ("", *path.strip("/").split("/")[:-1]):
            directory /= part
            try:
                (directory / "cgroup.subtree_control").write_text(wanted)
            except OSError as err:  # a root that holds processes, as in a container
                log.warning("cannot hand on cgroup controllers path=%s error=%s", directory, err)


def unkept(resources: Resources, *, machine: Machine) -> list[str]:
    """What is to be said of limits that the kernel has no controller for. Pure."""
    limits = {"cpu": resources.cpu_quota_us, "memory": resources.memory_limit_bytes}
    return [
        f"The container's {kind} limit is not kept: {lack}"
        for kind, lack in machine.lacks().items()
        if limits.get(kind)
    ]


def plan_limits(resources: Resources, *, machine: Machine) -> list[tuple[str, str]]:
    """(file, value) for the limits that are set and have a controller. Pure."""
    memory, pids = resources.memory_limit_bytes, resources.pids_limit
    out: list[tuple[str, str]] = []
    if machine.has("cpu"):
        out += _cpu_limits(resources, v2=machine.cgroup_v2)
    if memory and machine.has("memory"):
        out.append(("memory.max" if machine.cgroup_v2 else "memory.limit_in_bytes", str(memory)))
    if pids and machine.has("pids"):
        out.append(("pids.max", str(pids)))
    return out


def _cpu_limits(resources: Resources, *, v2: bool) -> Iterator[tuple[str, str]]:
    shares, quota, period = resources.cpu_shares, resources.cpu_quota_us, resources.cpu_period_us
    if v2:
        if shares:
            yield "cpu.weight", str(cpu_weight(shares))
        if quota:
            yield "cpu.max", f"{quota} {period}"
        return
    if shares:
        yield "cpu.shares", str(shares)
    if quota:
        yield "cpu.cfs_period_us", str(period)
        yield "cpu.cfs_quota_us", str(quota)


def cpu_weight(shares: int) -> int:
    """As the kubelet's CPUSharesToCPUWeight: 2..262144 onto 1..10000."""
    return 1 + (max(2, min(shares, 262144)) - 2) * 9999 // 262142


def _end_lingering(directory: Path) -> None:
    """After an exec conmon stays for seconds to tell its code. With no container left in the pod
    nobody asks."""
    if any(directory.glob("libpod-*")):
        return
    with contextlib.suppress(OSError):
        for pid in (directory / "conmon" / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)


def _remove_tree(top: Path) -> bool:
    for directory, _, _ in os.walk(top, topdown=False):
        with contextlib.suppress(OSError):
            Path(directory).rmdir()
    return not top.exists()
