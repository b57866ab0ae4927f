"""CgroupReader: what a cgroup has used. Reads some small files of the kernel: a fraction of a
millisecond, no call to Podman, and it cannot hang.

A path is one below the cgroup root, as ``Cgroups.pod_path`` gives it; ``container_path`` is that
of a container in a pod's.
"""

import time
from dataclasses import replace
from pathlib import Path

from agent.runtime.machine import CGROUP, Machine
from agent.stats import parse
from agent.stats.usage import Cpu, Details, Io, Memory, Usage

PRESSURES = ("cpu", "memory", "io")


def container_path(pod_path: str, container_id: str) -> str:
    return f"{pod_path}/libpod-{container_id}"


class CgroupReader:
    def __init__(self, *, machine: Machine, base: Path = CGROUP) -> None:
        self._machine, self._base = machine, base

    def working_set(self, path: str) -> int | None:
        """Memory in bytes that cannot be had back without hurting the pod, or None where the
        cgroup is gone or memory is not counted. What eviction ranks by."""
        memory = self._memory(path)
        return memory.working_set if memory is not None else None

    def usage(self, path: str, *, detailed: bool = False) -> Usage | None:
        """None where the cgroup is gone."""
        cpu, memory = self._cpu(path), self._memory(path)
        pids = self._read("pids", path, "pids.current")
        if cpu is None and memory is None and pids is None:
            return None
        return Usage(
            time=time.time(),
            cpu=cpu,
            memory=self._limits(path, memory),
            io=self._io(path),
            pids=parse.parse_number(pids) if pids is not None else None,
            oom_kills=self._oom_kills(path),
            details=self._details(path) if detailed else None,
        )

    def _cpu(self, path: str) -> Cpu | None:
        if self._machine.cgroup_v2:
            stat = self._read("cpu", path, "cpu.stat")
            return parse.cpu_v2(stat) if stat is not None else None
        usage = self._read("cpuacct", path, "cpuacct.usage")
        if usage is None:
            return None
        ticks = self._read("cpuacct", path, "cpuacct.stat")
        return parse.cpu_v1(usage, ticks or "", self._read("cpu", path, "cpu.stat") or "")

    def _memory(self, path: str) -> Memory | None:
        v2 = self._machine.cgroup_v2
        usage = self._read("memory", path, "memory.current" if v2 else "memory.usage_in_bytes")
        stat = self._read("memory", path, "memory.stat")
        if usage is None or stat is None:
            return None
        return parse.memory_v2(usage, stat) if v2 else parse.memory_v1(usage, stat)

    def _limits(self, path: str, memory: Memory | None) -> Memory | None:
        """What eviction does not need."""
        if memory is None:
            return None
        limit, peak, swap = (
            ("memory.max", "memory.peak", "memory.swap.current")
            if self._machine.cgroup_v2
            else ("memory.limit_in_bytes", "memory.max_usage_in_bytes", "")
        )
        swapped = parse.parse_number(self._read("memory", path, swap)) if swap else memory.swap
        return replace(
            memory,
            limit=parse.parse_number(self._read("memory", path, limit)),
            peak=parse.parse_number(self._read("memory", path, peak)),
            swap=swapped,
        )

    def _details(self, path: str) -> Details:
        if not self._machine.cgroup_v2:
            cpu = ("cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us")
            memory = ("memory.soft_limit_in_bytes", "memory.memsw.limit_in_bytes")
            files = [*(("cpu", f) for f in cpu), *(("memory", f) for f in memory)]
            return parse.limits_v1(*(self._read(kind, path, f) or "" for kind, f in files))
        names = ("cpu.weight", "cpu.max", "memory.low", "memory.swap.max")
        limits = parse.limits_v2(*(self._read("", path, name) or "" for name in names))
        waits = {kind: self._read("", path, f"{kind}.pressure") for kind in PRESSURES}
        return replace(
            limits,
            pressure={k: parse.parse_pressure(text) for k, text in waits.items() if text},
        )

    def _io(self, path: str) -> tuple[Io, ...] | None:
        if self._machine.cgroup_v2:
            stat = self._read("io", path, "io.stat")
            return parse.io_v2(stat) if stat is not None else None
        moved = self._read("blkio", path, "blkio.throttle.io_service_bytes_recursive")
        times = self._read("blkio", path, "blkio.throttle.io_serviced_recursive")
        return parse.io_v1(moved, times or "") if moved is not None else None

    def _oom_kills(self, path: str) -> int | None:
        """v2's counts what happened below too, v1's only the cgroup's own."""
        name = "memory.events" if self._machine.cgroup_v2 else "memory.oom_control"
        text = self._read("memory", path, name)
        return parse.parse_pairs(text).get("oom_kill", 0) if text is not None else None

    def _read(self, controller: str, path: str, name: str) -> str | None:
        top = self._base if self._machine.cgroup_v2 else self._base / controller
        try:
            return (top / path.lstrip("/") / name).read_text()
        except OSError:  # gone, or a controller that is not there
            return None
