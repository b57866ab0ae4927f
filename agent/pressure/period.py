"""When to look at the signals again: the sooner, the nearer a threshold. Pure.

The kubelet looks every ten seconds. Here the time is what it takes, at the fastest that small
hardware fills its memory or disk, to come from where it stands to the next threshold. A board
with plenty of everything is looked at once a minute; the kernel's own call (psi.py) comes sooner.
"""

from agent.kubelet_args import Threshold
from agent.pressure.signals import Observations, floor_of
from agent.pressure.state import PressureState

SHORTEST, LONGEST = 2.0, 60.0
MIB = 1 << 20
FASTEST = {
    "memory.available": 64 * MIB,
    "allocatableMemory.available": 64 * MIB,
    "nodefs.available": 40 * MIB,
    "imagefs.available": 40 * MIB,
    "nodefs.inodesFree": 5000,
    "imagefs.inodesFree": 5000,
    "pid.available": 500,
}
"""Units a second. An SD card writes 40 MiB/s at best."""


def next_look(
    thresholds: tuple[Threshold, ...],
    observations: Observations,
    state: PressureState,
    *,
    now: float,
    transition: float,
) -> float:
    """Seconds; SHORTEST while a threshold is crossed."""
    if state.since:
        return SHORTEST
    waits = [LONGEST, *(max(at + transition - now, SHORTEST) for at in state.seen.values())]
    for threshold in thresholds:
        seen = observations.get(threshold.signal)
        if seen is not None:
            left = seen.available - floor_of(threshold, seen.capacity)
            waits.append(max(left / FASTEST[threshold.signal], SHORTEST))
    return min(waits)
