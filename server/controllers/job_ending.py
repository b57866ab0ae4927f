"""Whether a Job is to end, and how; and its conditions.

Pure. An end has two steps. The first condition, SuccessCriteriaMet or FailureTarget, says that
it is decided: it is written before any pod loses its finalizer, so that no later look decides
otherwise. The second, Complete or Failed, is written when every pod is gone or over and
counted. As pkg/controller/job/job_controller.go syncJob.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from edgek.api.conditions import find_condition
from edgek.api.meta import Obj, get_path
from edgek.api.time import format_time, parse_time
from edgek.kinds.job_indexes import count_indexes
from edgek.kinds.pods import phase
from server.controllers.job_pods import restart_count
from server.controllers.job_rules import match_success
from server.controllers.job_view import JobView, is_suspended

SUCCESS, FAILURE = "SuccessCriteriaMet", "FailureTarget"
FOREVER = 100 * 365 * 86400
"""Seconds; a date so far off can be worked out, and nobody waits for it."""
FINAL = {SUCCESS: "Complete", FAILURE: "Failed"}


def condition(kind: str, reason: str, message: str, now: datetime, *, status: str = "True") -> Obj:
    at = format_time(now)
    said = {"reason": reason, "message": message}
    made = {"type": kind, "status": status, "lastProbeTime": at, "lastTransitionTime": at}
    return made | {field: text for field, text in said.items() if text}


def with_new_condition(conditions: Sequence[Obj], new: Obj) -> list[Obj]:
    """``new`` in place of the one of its type, where it says something else. What is false from
    the beginning is not said (ensureJobConditionStatus)."""
    old = find_condition(conditions, new["type"])
    if old is None:
        return [*conditions, new] if new["status"] != "False" else list(conditions)
    if all(old.get(f) == new.get(f) for f in ("status", "reason", "message")):
        return list(conditions)
    return [new if c is old else c for c in conditions]


def plan_ending(view: JobView, now: datetime) -> Obj | None:
    """The first condition of the Job's end, new or as it was decided before; None while the
    Job goes on."""
    for kind in (SUCCESS, FAILURE):
        decided = find_condition(view.status.get("conditions"), kind)
        if decided is not None and decided.get("status") == "True":
            return decided
    failed = _failure(view, now)
    if failed is not None:
        return condition(FAILURE, *failed, now)
    if view.indexed:
        policy = view.spec.get("successPolicy")
        met = match_success(policy, view.completions or 0, view.succeeded_indexes)
        if met is not None:
            return condition(SUCCESS, "SuccessPolicy", met, now)
    return None


def completed(view: JobView, active: int, now: datetime) -> Obj | None:
    """The condition of a Job with enough successes and nothing under way. Without completions
    one success is enough."""
    wanted = 1 if view.completions is None else view.completions
    if active or view.succeeded < wanted:
        return None
    message = "Reached expected number of succeeded pods"
    return condition(SUCCESS, "CompletionsReached", message, now)


def _failure(view: JobView, now: datetime) -> tuple[str, str] | None:
    """Reason and message of the first cause that there is."""
    for pod in view.pods:
        if view.is_failed(pod) and (message := view.failure(pod).job_fails):
            return "PodFailurePolicy", message
    if view.failed > view.spec["backoffLimit"] or _restarted_too_often(view):
        return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
    left = until_deadline(view, now)
    if left is not None and left <= timedelta(0):
        return "DeadlineExceeded", "Job was active longer than specified deadline"
    return _failed_indexes(view) if view.per_index else None


def _failed_indexes(view: JobView) -> tuple[str, str] | None:
    failed, most = count_indexes(view.failed_indexes), view.spec.get("maxFailedIndexes")
    if most is not None and failed > most:
        message = "Job has exceeded the specified maximal number of failed indexes"
        return "MaxFailedIndexesExceeded", message
    if failed and failed + view.succeeded >= (view.completions or 0):
        return "FailedIndexes", "Job has failed indexes"
    return None


def _restarted_too_often(view: JobView) -> bool:
    """Pods that restart their containers themselves do not fail: the restarts count instead."""
    if get_path(view.spec, "template", "spec", "restartPolicy") != "OnFailure":
        return False
    alive = [pod for pod in view.pods if phase(pod) in ("Running", "Pending")]
    return sum(map(restart_count, alive)) >= max(1, int(view.spec["backoffLimit"]))


def until_deadline(view: JobView, now: datetime) -> timedelta | None:
    """What is left of activeDeadlineSeconds; None where no time runs."""
    seconds, start = view.spec.get("activeDeadlineSeconds"), view.status.get("startTime")
    if seconds is None or not start or is_suspended(view.job):
        return None
    return parse_time(start) + timedelta(seconds=min(seconds, FOREVER)) - now
