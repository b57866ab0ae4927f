"""What a PodDisruptionBudget's status says: how many pods there should be, are, and may go.

Pure. As pkg/controller/disruption/disruption.go; server/endpoints/subresources/eviction.py takes
from ``disruptionsAllowed`` and notes in ``disruptedPods`` what it let go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from edgek.api.conditions import with_condition
from edgek.api.meta import Obj, controller_of, generation, get_path, is_deleting, name
from edgek.api.time import format_time, parse_time
from edgek.kinds.pods import is_ready, scaled_value

DELETION_TIMEOUT = timedelta(minutes=2)
"""An evicted pod that is still there after this long is not going."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """``unmanaged`` names pods without a controller: they can not be reckoned with."""

    pods: int = 0
    healthy: int = 0
    unmanaged: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Disrupted:
    """``pods`` are evicted and on their way; ``kept`` should be gone and are not; ``again`` is
    when the first of ``pods`` will be one of those."""

    pods: dict[str, str] = field(default_factory=dict)
    kept: list[Obj] = field(default_factory=list)
    again: timedelta | None = None


def needs_scale(budget: Obj) -> bool:
    """Whether the pods' controllers say how many pods are expected; else the pods that are
    there do."""
    spec = budget.get("spec") or {}
    return spec.get("maxUnavailable") is not None or isinstance(spec.get("minAvailable"), str)


def owners_of(pods: Sequence[Obj]) -> dict[str, tuple[Obj, Obj]]:
    """The controllers of pods by uid: each one's reference, and a pod that has it."""
    found: dict[str, tuple[Obj, Obj]] = {}
    for pod in pods:
        if (ref := controller_of(pod)) is not None:
            found.setdefault(ref["uid"], (ref, pod))
    return found


def expected_pods(budget: Obj, pods: Sequence[Obj], scales: Mapping[str, int]) -> Expected:
    """``scales`` are those of all controllers of the pods, by uid, where ``needs_scale``.
    Raises ValueError where an amount is no amount."""
    spec = budget.get("spec") or {}
    most, least = spec.get("maxUnavailable"), spec.get("minAvailable") or 0
    if not needs_scale(budget):
        return Expected(pods=len(pods) if "minAvailable" in spec else 0, healthy=int(least))
    total = sum(scales.values())
    if most is not None:
        healthy = max(0, total - scaled_value(most, total, round_up=True))
    else:
        healthy = scaled_value(least, total, round_up=True)
    unmanaged = tuple(name(pod) for pod in pods if controller_of(pod) is None)
    return Expected(pods=total, healthy=healthy, unmanaged=unmanaged)


def disrupted_pods(budget: Obj, pods: Sequence[Obj], now: datetime) -> Disrupted:
    """What of status.disruptedPods still holds."""
    noted: dict[str, str] = get_path(budget, "status", "disruptedPods", default={})
    found: dict[str, str] = {}
    kept: list[Obj] = []
    waits: list[timedelta] = []
    for pod in pods if noted else ():
        if is_deleting(pod) or name(pod) not in noted:
            continue
        left = parse_time(noted[name(pod)]) + DELETION_TIMEOUT - now
        if left < timedelta(0):
            kept.append(pod)
        else:
            found[name(pod)] = noted[name(pod)]
            waits.append(left)
    return Disrupted(pods=found, kept=kept, again=min(waits, default=None))


def healthy_pods(pods: Sequence[Obj], disrupted: Disrupted) -> int:
    return sum(
        is_ready(pod) and not is_deleting(pod) and name(pod) not in disrupted.pods for pod in pods
    )


def budget_status(
    budget: Obj, pods: Sequence[Obj], expected: Expected, disrupted: Disrupted, now: datetime
) -> Obj:
    """No budget for nothing: where no pods are expected none may go, so that the first ones
    are safe when they come."""
    healthy = healthy_pods(pods, disrupted)
    allowed = max(0, healthy - expected.healthy) if expected.pods > 0 else 0
    found: Obj = {
        "observedGeneration": generation(budget),
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": expected.healthy,
        "expectedPods": expected.pods,
    }
    if disrupted.pods:
        found["disruptedPods"] = disrupted.pods
    reason = "SufficientPods" if allowed else "InsufficientPods"
    return _with_condition(budget, found, now, reason=reason, message="")


def failed_status(budget: Obj, message: str, now: datetime) -> Obj:
    """Nothing may go while it is not known what there should be (failSafe)."""
    old = budget.get("status") or {}
    counts = dict.fromkeys(("currentHealthy", "desiredHealthy", "expectedPods"), 0)
    found = {**counts, **old, "disruptionsAllowed": 0}
    return _with_condition(budget, found, now, reason="SyncFailed", message=message)


def _with_condition(budget: Obj, status: Obj, now: datetime, *, reason: str, message: str) -> Obj:
    condition = {
        "type": "DisruptionAllowed",
        "status": str(reason == "SufficientPods"),
        "reason": reason,
        "message": message,
        "observedGeneration": status.get("observedGeneration", 0),
    }
    old = get_path(budget, "status", "conditions", default=[])
    return {**status, "conditions": with_condition(old, condition, now=format_time(now))}
