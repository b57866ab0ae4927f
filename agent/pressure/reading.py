"""The machine's figures for the signals: a few small files and two statvfs, some 100 us in all.

memory.available is what the kubelet takes it for: the memory of the machine less its working set,
which is all that is in use but file pages not used of late.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.pressure.signals import Observation
from agent.stats.cgroups import CgroupReader
from agent.stats.node import max_pids, running_processes
from agent.stats.parse import parse_meminfo


@dataclass(frozen=True, kw_only=True)
class Reader:
    """``allocatable_memory`` is the limit of the pods' cgroup, 0 where it has none."""

    node_fs: Path
    image_fs: Path
    cgroups: CgroupReader
    pod_cgroup: str
    allocatable_memory: int = 0
    proc: Path = Path("/proc")

    def read(self) -> dict[str, Observation]:
        """What this machine counts; what cannot be read is left out."""
        found: dict[str, Observation] = {}
        for part in (self._memory, self._allocatable, self._disks, self._pids):
            try:
                found.update(part())
            except OSError:  # no such controller, or a filesystem that is gone
                continue
        return found

    def dedicated_image_fs(self) -> bool:
        """Whether images lie on another filesystem than all else."""
        try:
            return os.stat(self.node_fs).st_dev != os.stat(self.image_fs).st_dev
        except OSError:
            return False

    def _memory(self) -> Iterator[tuple[str, Observation]]:
        meminfo = parse_meminfo((self.proc / "meminfo").read_text())
        available = meminfo.get("MemFree", 0) + meminfo.get("Inactive(file)", 0)
        total = meminfo.get("MemTotal", 0)
        yield "memory.available", Observation(available=available, capacity=total)

    def _allocatable(self) -> Iterator[tuple[str, Observation]]:
        used = self.cgroups.working_set(self.pod_cgroup) if self.allocatable_memory else None
        if used is not None:
            left = max(self.allocatable_memory - used, 0)
            yield (
                "allocatableMemory.available",
                Observation(available=left, capacity=self.allocatable_memory),
            )

    def _disks(self) -> Iterator[tuple[str, Observation]]:
        for name, path in (("nodefs", self.node_fs), ("imagefs", self.image_fs)):
            disk = os.statvfs(path)
            unit = disk.f_frsize
            yield (
                f"{name}.available",
                Observation(available=disk.f_bavail * unit, capacity=disk.f_blocks * unit),
            )
            if disk.f_files:  # btrfs makes inodes as it needs them, and says 0
                yield (
                    f"{name}.inodesFree",
                    Observation(available=disk.f_ffree, capacity=disk.f_files),
                )

    def _pids(self) -> Iterator[tuple[str, Observation]]:
        most = max_pids(proc=self.proc)
        running = running_processes((self.proc / "loadavg").read_text())
        yield "pid.available", Observation(available=max(most - running, 0), capacity=most)
