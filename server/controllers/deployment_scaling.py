"""How many replicas each ReplicaSet of a Deployment gets: pure plans.

``plan_rolling`` takes the next step of a rolling update within maxSurge and maxUnavailable;
``plan_recreate`` empties the old before the new is filled; ``plan_scale`` spreads a change of
spec.replicas over ReplicaSets in proportion to their sizes, so that a rollout that is scaled in
its middle keeps its risk. As pkg/controller/deployment/{rolling,recreate,sync}.go.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgek.api.meta import Obj, annotations, get_path, uid
from server.controllers.deployment_rollout import (
    DESIRED,
    MAX,
    Rollout,
    active,
    available_of,
    by_age,
    is_rolling,
    max_surge,
    max_unavailable,
    total,
)
from server.controllers.pod_control import replicas_of


@dataclass(frozen=True, kw_only=True)
class Scale:
    """``replica_set`` is to have ``replicas``; the same number refreshes its annotations."""

    replica_set: Obj
    replicas: int

    @property
    def changes(self) -> bool:
        return self.replicas != replicas_of(self.replica_set)


def first_replicas(rollout: Rollout) -> int:
    """What a ReplicaSet that is about to be made starts with."""
    return _room_for_new(rollout, 0)


def _room_for_new(rollout: Rollout, have: int) -> int:
    """As NewRSNewReplicas: what all may be in sum, less what the others have."""
    deployment = rollout.deployment
    wanted = replicas_of(deployment)
    if not is_rolling(deployment):
        return wanted
    room = wanted + max_surge(deployment) - total(rollout.old) - have
    return have if room <= 0 else have + min(room, wanted - have)


def plan_rolling(rollout: Rollout) -> list[Scale]:
    """The next step, or nothing while pods have yet to become available. Needs ``new``."""
    assert rollout.new is not None, "a rolling update has a new ReplicaSet"
    have, wanted = replicas_of(rollout.new), replicas_of(rollout.deployment)
    if have != wanted:
        size = wanted if have > wanted else _room_for_new(rollout, have)
        if size != have:
            return [Scale(replica_set=rollout.new, replicas=size)]
    return _plan_scale_down(rollout)


def _plan_scale_down(rollout: Rollout) -> list[Scale]:
    """First old pods that do not work anyway, then as many as may be unavailable."""
    assert rollout.new is not None
    old = by_age(rollout.active_old)
    min_available = replicas_of(rollout.deployment) - max_unavailable(rollout.deployment)
    new_unavailable = replicas_of(rollout.new) - available_of(rollout.new)
    budget = total(rollout.all) - min_available - new_unavailable
    if not old or budget <= 0:
        return []
    unhealthy = {uid(s): replicas_of(s) - available_of(s) for s in old}
    sizes = _taken({uid(s): replicas_of(s) for s in old}, unhealthy, budget)
    spare = sum(available_of(s) for s in rollout.all) - min_available
    sizes = _taken(sizes, sizes, spare)
    scales = [Scale(replica_set=s, replicas=sizes[uid(s)]) for s in old]
    return [s for s in scales if s.changes]


def _taken(sizes: dict[str, int], most: dict[str, int], budget: int) -> dict[str, int]:
    """Takes up to ``most`` of each in order, ``budget`` in sum."""
    out = {}
    for key, size in sizes.items():
        take = max(0, min(size, most[key], budget))
        out[key] = size - take
        budget -= take
    return out


def plan_recreate(rollout: Rollout) -> list[Scale]:
    """Everything old to zero."""
    return [Scale(replica_set=s, replicas=0) for s in rollout.active_old]


def is_scaling(rollout: Rollout) -> bool:
    """Whether spec.replicas changed since the ReplicaSets were last told of it."""
    wanted = str(replicas_of(rollout.deployment))
    told = (annotations(s).get(DESIRED) for s in active(rollout.all))
    return any(desired is not None and desired != wanted for desired in told)


def plan_scale(rollout: Rollout) -> list[Scale]:
    """Brings the sum of sizes to the Deployment's, without going on with a rollout."""
    deployment, alive = rollout.deployment, active(rollout.all)
    wanted = replicas_of(deployment)
    if len(alive) <= 1:
        only = alive[0] if alive else rollout.new or next(iter(reversed(rollout.old)), None)
        return [Scale(replica_set=only, replicas=wanted)] if only else []
    if _is_saturated(rollout):
        return [Scale(replica_set=s, replicas=0) for s in rollout.active_old]
    return _plan_proportional(deployment, alive) if is_rolling(deployment) else []


def _is_saturated(rollout: Rollout) -> bool:
    """The new ReplicaSet is all there: the rollout has only the old ones left to remove."""
    wanted = replicas_of(rollout.deployment)
    new = rollout.new
    if new is None or annotations(new).get(DESIRED) != str(wanted):
        return False
    return replicas_of(new) == wanted == available_of(new)


def _plan_proportional(deployment: Obj, alive: Sequence[Obj]) -> list[Scale]:
    wanted = replicas_of(deployment)
    allowed = wanted + max_surge(deployment) if wanted else 0
    to_add = allowed - total(alive)
    ordered = _biggest_first(alive, newer_first=to_add > 0)
    sizes = []
    added = 0
    for replica_set in ordered:
        share = _share(replica_set, deployment, to_add - added) if to_add else 0
        sizes.append(max(0, replicas_of(replica_set) + share))
        added += share
    if to_add:  # rounding leaves some over: the biggest takes it
        sizes[0] = max(0, sizes[0] + to_add - added)
    pairs = zip(ordered, sizes, strict=True)
    return [Scale(replica_set=s, replicas=size) for s, size in pairs]


def _biggest_first(sets: Iterable[Obj], *, newer_first: bool) -> list[Obj]:
    """ReplicaSetsBySizeNewer and BySizeOlder; a stable sort keeps the age's order as the tie."""
    aged = by_age(sets)
    return sorted(aged[::-1] if newer_first else aged, key=lambda s: -replicas_of(s))


def _share(replica_set: Obj, deployment: Obj, left: int) -> int:
    """How many of the ``left`` to add (or take, where negative) fall to this ReplicaSet."""
    if not replicas_of(replica_set) or not left:
        return 0
    fraction = _fraction(replica_set, deployment)
    return min(fraction, left) if left > 0 else max(fraction, left)


def _fraction(replica_set: Obj, deployment: Obj) -> int:
    size, wanted = replicas_of(replica_set), replicas_of(deployment)
    if not wanted:
        return -size
    told = annotations(replica_set).get(MAX, "")
    before = int(told) if told.isdecimal() and int(told) else 0
    before = before or get_path(deployment, "status", "replicas", default=0)
    if not before:
        return 0
    # Halves go up, as integer.RoundToInt32 does; Python's round() would go to the even one.
    return math.floor(size * (wanted + max_surge(deployment)) / before + 0.5) - size
