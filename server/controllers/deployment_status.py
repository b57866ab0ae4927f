"""A Deployment's status: counts and the conditions Available, Progressing, ReplicaFailure.

Pure. As pkg/controller/deployment/{progress,sync}.go; reasons and sentences are upstream's, since
``kubectl rollout status`` and people read them.
"""

from datetime import datetime, timedelta
from typing import Any

from edgek.api.conditions import Condition, find_condition
from edgek.api.meta import Obj, generation, get_path, name
from edgek.api.time import format_time, parse_time
from server.controllers.deployment_rollout import Rollout, max_unavailable, total
from server.controllers.pod_control import replicas_of

NO_DEADLINE = 2**31 - 1
AVAILABLE_REASON = "NewReplicaSetAvailable"
TIMED_OUT_REASON = "ProgressDeadlineExceeded"


def condition(kind: str, status: str, reason: str, message: str, *, now: datetime) -> Condition:
    stamp = format_time(now)
    return {
        "type": kind,
        "status": status,
        "lastUpdateTime": stamp,
        "lastTransitionTime": stamp,
        "reason": reason,
        "message": message,
    }


def set_condition(conditions: list[Condition], new: Condition) -> list[Condition]:
    """As SetDeploymentCondition: the same status and reason is no change at all."""
    old = find_condition(conditions, new["type"])
    if old and (old["status"], old.get("reason")) == (new["status"], new["reason"]):
        return conditions
    return replace_condition(conditions, new)


def replace_condition(conditions: list[Condition], new: Condition) -> list[Condition]:
    """Also where only times or message differ; the time of the last transition is kept."""
    old = find_condition(conditions, new["type"])
    if old and old["status"] == new["status"]:
        new = {**new, "lastTransitionTime": old.get("lastTransitionTime")}
    return [*without_condition(conditions, new["type"]), new]


def without_condition(conditions: list[Condition], kind: str) -> list[Condition]:
    return [c for c in conditions if c["type"] != kind]


def deadline_seconds(deployment: Obj) -> int | None:
    seconds = get_path(deployment, "spec", "progressDeadlineSeconds")
    return None if seconds in (None, NO_DEADLINE) else seconds


def conditions_of(deployment: Obj) -> list[Condition]:
    found: list[Condition] = get_path(deployment, "status", "conditions", default=[])
    return list(found)


def pause_condition(deployment: Obj, now: datetime) -> Condition | None:
    """The Progressing condition that pausing or resuming asks for; None where it is so."""
    if deadline_seconds(deployment) is None:
        return None
    current = find_condition(conditions_of(deployment), "Progressing") or {}
    shown = current.get("reason") == "DeploymentPaused"
    if current.get("reason") == TIMED_OUT_REASON:  # the timeout stays visible
        return None
    paused = bool(get_path(deployment, "spec", "paused"))
    if paused == shown:
        return None
    reason = "DeploymentPaused" if paused else "DeploymentResumed"
    message = "Deployment is paused" if paused else "Deployment is resumed"
    return condition("Progressing", "Unknown", reason, message, now=now)


def counts(rollout: Rollout) -> dict[str, int]:
    """The numbers of a status; zeros are left out on the wire."""
    sets = rollout.all
    found = {field: _sum(sets, field) for field in ("replicas", "readyReplicas")}
    found["availableReplicas"] = _sum(sets, "availableReplicas")
    found["updatedReplicas"] = _sum([rollout.new] if rollout.new else [], "replicas")
    found["unavailableReplicas"] = max(0, total(sets) - found["availableReplicas"])
    found["observedGeneration"] = generation(rollout.deployment)
    terminating = _terminating(sets)
    found = {field: number for field, number in found.items() if number}
    return found if terminating is None else found | {"terminatingReplicas": terminating}


def _sum(sets: list[Obj], field: str) -> int:
    return sum(get_path(s, "status", field, default=0) for s in sets)


def _terminating(sets: list[Obj]) -> int | None:
    """Unknown as long as one that has a status does not say."""
    told = [s["status"] for s in sets if get_path(s, "status", "observedGeneration")]
    numbers = [status.get("terminatingReplicas") for status in told]
    return None if None in numbers else sum(numbers)


def plain_status(rollout: Rollout, now: datetime) -> Obj:
    """Counts and Available; Progressing as it was, or as the rollout's ``progress`` says."""
    deployment = rollout.deployment
    conditions = conditions_of(deployment)
    if rollout.progress is not None:
        conditions = set_condition(conditions, rollout.progress)
    status: Obj = {**counts(rollout)}
    if collisions := get_path(deployment, "status", "collisionCount"):
        status["collisionCount"] = collisions
    conditions = set_condition(conditions, _available(rollout, status, now))
    return status | {"conditions": conditions}


def _available(rollout: Rollout, status: Obj, now: datetime) -> Condition:
    deployment = rollout.deployment
    enough = replicas_of(deployment) - max_unavailable(deployment)
    if status.get("availableReplicas", 0) >= enough:
        reason, message = "MinimumReplicasAvailable", "Deployment has minimum availability."
        return condition("Available", "True", reason, message, now=now)
    reason = "MinimumReplicasUnavailable"
    message = "Deployment does not have minimum availability."
    return condition("Available", "False", reason, message, now=now)


def is_complete(deployment: Obj, status: Obj) -> bool:
    """All replicas are of the newest template and available, and no old pod is left."""
    wanted = replicas_of(deployment)
    numbers = [status.get(f, 0) for f in ("updatedReplicas", "replicas", "availableReplicas")]
    seen = status.get("observedGeneration", 0) >= generation(deployment)
    return seen and numbers == [wanted] * 3


def is_progressing(deployment: Obj, status: Obj) -> bool:
    """Whether the counts got better since the status that is stored."""
    old: Obj = deployment.get("status") or {}

    def number(of: Obj, field: str) -> int:
        return int(of.get(field, 0))

    more = ("updatedReplicas", "readyReplicas", "availableReplicas")
    old_left = number(old, "replicas") - number(old, "updatedReplicas")
    new_left = number(status, "replicas") - number(status, "updatedReplicas")
    return new_left < old_left or any(number(status, f) > number(old, f) for f in more)


def rollout_status(rollout: Rollout, now: datetime) -> Obj:
    """The whole status while a rollout is on its way or done (syncRolloutStatus)."""
    deployment = rollout.deployment
    status = plain_status(rollout, now)
    conditions: list[Condition] = status["conditions"]
    current = find_condition(conditions, "Progressing")
    if deadline_seconds(deployment) is None:
        conditions = without_condition(conditions, "Progressing")
    elif not _was_complete(status, current):
        conditions = _progress(rollout, status, now)
    failures = _failures(rollout)
    conditions = (
        without_condition(conditions, "ReplicaFailure")
        if not failures
        else (set_condition(conditions, failures[0]))
    )
    return {**status, "conditions": conditions}


def _was_complete(status: Obj, current: Condition | None) -> bool:
    """A finished rollout stays finished: pods that come and go later do not reopen it."""
    done = current is not None and current.get("reason") == AVAILABLE_REASON
    return done and status.get("replicas", 0) == status.get("updatedReplicas", 0)


def _progress(rollout: Rollout, status: Obj, now: datetime) -> list[Condition]:
    deployment = rollout.deployment
    conditions: list[Condition] = status["conditions"]
    new = rollout.new
    what = f'ReplicaSet "{name(new)}"' if new else f'Deployment "{name(deployment)}"'
    if is_complete(deployment, status):
        message = f"{what} has successfully progressed."
        done = condition("Progressing", "True", AVAILABLE_REASON, message, now=now)
        return set_condition(conditions, done)
    if is_progressing(deployment, status):
        message = f"{what} is progressing."
        moved = condition("Progressing", "True", "ReplicaSetUpdated", message, now=now)
        return replace_condition(conditions, moved)
    if _timed_out(deployment, find_condition(conditions, "Progressing"), now):
        message = f"{what} has timed out progressing."
        late = condition("Progressing", "False", TIMED_OUT_REASON, message, now=now)
        return set_condition(conditions, late)
    return conditions


def _timed_out(deployment: Obj, current: Condition | None, now: datetime) -> bool:
    if current is None or current.get("reason") == AVAILABLE_REASON:
        return False
    return current.get("reason") == TIMED_OUT_REASON or _time_left(deployment, current, now) < 0


def _time_left(deployment: Obj, current: Condition, now: datetime) -> float:
    since = parse_time(current["lastUpdateTime"])
    deadline = timedelta(seconds=deadline_seconds(deployment) or 0)
    return (since + deadline - now).total_seconds()


def check_after(deployment: Obj, status: Obj, now: datetime) -> float | None:
    """Seconds until a rollout that stands still is to be called so (requeueStuckDeployment)."""
    current = find_condition(status.get("conditions"), "Progressing")
    if deadline_seconds(deployment) is None or current is None:
        return None
    if is_complete(deployment, status) or current.get("reason") == TIMED_OUT_REASON:
        return None
    # Stamps have whole seconds: one more, or the check comes a moment early and for nothing.
    return max(0.0, _time_left(deployment, current, now)) + 1.0


def _failures(rollout: Rollout) -> list[Any]:
    """ReplicaFailure of the new ReplicaSet, else of any other."""
    for replica_set in [*([rollout.new] if rollout.new else []), *rollout.old]:
        found = find_condition(get_path(replica_set, "status", "conditions"), "ReplicaFailure")
        if found is not None:
            stamp = found.get("lastTransitionTime")
            return [{**found, "lastUpdateTime": found.get("lastUpdateTime", stamp)}]
    return []
