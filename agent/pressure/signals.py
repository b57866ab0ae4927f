"""Signals: what is left of memory, disk and process ids, and which thresholds that crosses. Pure.

As pkg/kubelet/eviction/helpers.go, with its names.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.kubelet_args import Threshold

MEMORY, DISK, PIDS = "MemoryPressure", "DiskPressure", "PIDPressure"

CONDITIONS = {
    "memory.available": MEMORY,
    "allocatableMemory.available": MEMORY,
    "nodefs.available": DISK,
    "nodefs.inodesFree": DISK,
    "imagefs.available": DISK,
    "imagefs.inodesFree": DISK,
    "pid.available": PIDS,
}
RESOURCES = {
    "memory.available": "memory",
    "allocatableMemory.available": "memory",
    "nodefs.available": "ephemeral-storage",
    "nodefs.inodesFree": "inodes",
    "imagefs.available": "ephemeral-storage",
    "imagefs.inodesFree": "inodes",
    "pid.available": "pids",
}


@dataclass(frozen=True, kw_only=True)
class Observation:
    available: int
    capacity: int


Observations = Mapping[str, Observation]


def thresholds_met(
    thresholds: Iterable[Threshold], observations: Observations, *, reclaim: bool = False
) -> tuple[Threshold, ...]:
    """Those that are crossed; with ``reclaim`` also those not yet freed by their minimum. What
    this machine does not count crosses nothing."""
    return tuple(
        t for t in thresholds
        if (seen := observations.get(t.signal)) is not None
        and seen.available < floor_of(t, seen.capacity, reclaim=reclaim)
    )  # fmt: skip


def floor_of(threshold: Threshold, capacity: int, *, reclaim: bool = False) -> int:
    """Below how many units the threshold is crossed."""
    floor = threshold.value.of(capacity)
    if reclaim:
        floor += threshold.reclaim.of(capacity)
    return int(-(-floor // 1))


def by_eviction_priority(thresholds: Iterable[Threshold]) -> list[Threshold]:
    """As byEvictionPriority: memory first."""
    return sorted(thresholds, key=lambda t: CONDITIONS[t.signal] != MEMORY)
