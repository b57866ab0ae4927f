"""From one observation to the next: which conditions hold, and which thresholds are to be acted
upon. Pure.

As eviction_manager.go synchronize: a threshold once crossed stays so until its minimum reclaim is
freed, a soft one counts after its grace, and a condition stays for the transition period.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.kubelet_args import Threshold
from agent.pressure.signals import (
    CONDITIONS,
    Observations,
    by_eviction_priority,
    thresholds_met,
)


@dataclass(frozen=True, kw_only=True)
class PressureState:
    """``since``: when each crossed threshold was first seen so; ``seen``: when each condition was
    last. Both in monotonic seconds."""

    since: Mapping[Threshold, float] = field(default_factory=dict)
    seen: Mapping[str, float] = field(default_factory=dict)
    acted_on: tuple[Threshold, ...] = ()
    conditions: frozenset[str] = frozenset()


def observe(
    state: PressureState,
    thresholds: tuple[Threshold, ...],
    observations: Observations,
    *,
    now: float,
    transition: float,
) -> PressureState:
    """``acted_on`` of the answer are the thresholds whose grace is over, the first to reclaim
    first."""
    met = dict.fromkeys(thresholds_met(thresholds, observations))
    met |= dict.fromkeys(thresholds_met(state.acted_on, observations, reclaim=True))
    since = {t: state.since.get(t, now) for t in met}
    seen = {**state.seen, **{CONDITIONS[t.signal]: now for t in met}}
    seen = {kind: at for kind, at in seen.items() if now - at < transition or at == now}
    due = [t for t, at in since.items() if now - at >= t.grace]
    return PressureState(
        since=since,
        seen=seen,
        acted_on=tuple(by_eviction_priority(due)),
        conditions=frozenset(seen),
    )
