"""Which pods go first when there are too many.

As pkg/controller/controller_utils.go ActivePodsWithRanks: those that cost the least to lose. Not
scheduled before scheduled, pending before running, not ready before ready, a lower
``pod-deletion-cost`` first, then those doubled up with siblings on their node, ready or made for
a shorter time, restarted more often. Ages are compared by their order of magnitude only, with
the uid as the tie: so that not always the youngest pods are the victims.

One step is edgek's own, before siblings: pods that kept their place through an outage of their
node (``autonomy.py``) outlast others, as replacements made meanwhile, and of those the oldest.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cmp_to_key

from edgek.api.conditions import find_condition
from edgek.api.meta import Obj, annotations, get_path, uid
from edgek.api.time import parse_time
from edgek.kinds.pods import init_containers, is_ready, is_sidecar, node_name, phase
from server.controllers.autonomy import has_been_cut_off

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


@dataclass(frozen=True, kw_only=True)
class _Ranked:
    """One pod as the order sees it; ``steps`` compare first, smaller goes first."""

    pod: Obj
    steps: tuple[int, ...]
    ready_since: datetime | None
    restarts: tuple[int, int]
    created: datetime | None


def pods_to_delete(
    active: Sequence[Obj], related: Sequence[Obj], count: int, now: datetime
) -> list[Obj]:
    """The ``count`` pods to lose; ``related`` are the active pods of all siblings."""
    if count >= len(active):
        return list(active)
    on_node = Counter(node_name(p) for p in related)
    ranked = [_rank(pod, on_node[node_name(pod)]) for pod in active]
    ranked.sort(key=cmp_to_key(lambda a, b: _compare(a, b, now)))
    return [r.pod for r in ranked[:count]]


def _rank(pod: Obj, doubled: int) -> _Ranked:
    ready = is_ready(pod)
    steps = (
        bool(node_name(pod)),
        _PHASES.get(phase(pod), 0),
        ready,
        deletion_cost(pod),
        has_been_cut_off(pod),
        -doubled,
    )
    return _Ranked(
        pod=pod,
        steps=tuple(int(step) for step in steps),
        ready_since=_ready_since(pod) if ready else None,
        restarts=_restarts(pod),
        created=_time(get_path(pod, "metadata", "creationTimestamp")),
    )


def deletion_cost(pod: Obj) -> int:
    """The annotation's number, 0 where it is absent or no number (validated on write)."""
    text = annotations(pod).get(DELETION_COST, "")
    try:
        return int(text)
    except ValueError:
        return 0


def _ready_since(pod: Obj) -> datetime | None:
    condition = find_condition(get_path(pod, "status", "conditions"), "Ready")
    return _time(condition.get("lastTransitionTime")) if condition else None


def _time(text: str | None) -> datetime | None:
    return parse_time(text) if text else None


def _restarts(pod: Obj) -> tuple[int, int]:
    """The most restarts of a container, and of a sidecar."""
    sidecars = {c["name"] for c in init_containers(pod) if is_sidecar(c)}
    regular = get_path(pod, "status", "containerStatuses", default=[])
    init = get_path(pod, "status", "initContainerStatuses", default=[])
    return (
        max((s.get("restartCount", 0) for s in regular), default=0),
        max((s.get("restartCount", 0) for s in init if s.get("name") in sidecars), default=0),
    )


def _compare(a: _Ranked, b: _Ranked, now: datetime) -> int:
    if a.steps != b.steps:
        return -1 if a.steps < b.steps else 1
    if has_been_cut_off(a.pod) and a.created and b.created and a.created != b.created:
        return -1 if a.created > b.created else 1
    if is_ready(a.pod) and a.ready_since != b.ready_since:
        return _younger(a, b, (a.ready_since, b.ready_since), now)
    if a.restarts != b.restarts:
        return -1 if a.restarts > b.restarts else 1
    if a.created != b.created:
        return _younger(a, b, (a.created, b.created), now)
    return 0


def _younger(
    a: _Ranked, b: _Ranked, since: tuple[datetime | None, datetime | None], now: datetime
) -> int:
    """The younger first, by order of magnitude; no time at all is the youngest."""
    first, second = since
    if first is None or second is None:
        return -1 if first is None else 1
    difference = _magnitude(first, now) - _magnitude(second, now)
    if difference:
        return difference
    return -1 if uid(a.pod) < uid(b.pod) else 1


def _magnitude(since: datetime, now: datetime) -> int:
    nanoseconds = (now - since).total_seconds() * 1e9
    return int(math.log2(nanoseconds)) if nanoseconds > 0 else -1
