"""The pods of a Job: what one says of itself, and how one is made.

Pure. A pod carries the finalizer batch.kubernetes.io/job-tracking until the Job's status has
counted it, and in an Indexed Job its index, as annotation, label, environment variable and part
of its name. With backoffLimitPerIndex it also carries how often its index has failed: the next
pod of the index takes that over, plus one. As pkg/controller/job indexed_job_utils.go and
backoff_utils.go.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from edgek.api.conditions import find_condition
from edgek.api.meta import Obj, annotations, get_path, is_deleting, name
from edgek.api.time import parse_time
from edgek.kinds.pods import is_terminal
from server.controllers.garbage_plan import finalizers
from server.controllers.pod_control import pod_from_template

TRACKING = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
FAILURES = "batch.kubernetes.io/job-index-failure-count"
IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"
INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
LONGEST_PREFIX = 58
"""Of a generated name: 63 characters less the five of the suffix."""
MAX_INT32 = 2**31 - 1


def is_tracked(pod: Obj) -> bool:
    """It has our finalizer: the Job's status may not have counted it."""
    return TRACKING in finalizers(pod)


def is_terminating(pod: Obj) -> bool:
    return is_deleting(pod) and not is_terminal(pod)


def index_of(pod: Obj) -> int | None:
    return _number(pod, INDEX)


def index_failures(pod: Obj) -> tuple[int, int]:
    """How often the pod's index failed before it: counted failures, and ignored ones."""
    return _number(pod, FAILURES) or 0, _number(pod, IGNORED_FAILURES) or 0


def _number(pod: Obj, annotation: str) -> int | None:
    """None where it is none: users can write annotations."""
    text = annotations(pod).get(annotation, "")
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else None
    return number if number is not None and number <= MAX_INT32 else None


def finished_at(pod: Obj) -> datetime:
    """When it ended, as well as can be told: its containers know, or the condition Ready, or
    the moment it was to be deleted; else it is as old as the pod."""
    meta = pod["metadata"]
    if (ended := _containers_ended(pod)) is not None:
        return ended
    ready = find_condition(get_path(pod, "status", "conditions"), "Ready")
    if ready and ready.get("status") == "False" and ready.get("lastTransitionTime"):
        return parse_time(ready["lastTransitionTime"])
    if meta.get("deletionTimestamp"):
        grace = timedelta(seconds=meta.get("deletionGracePeriodSeconds") or 0)
        return parse_time(meta["deletionTimestamp"]) - grace
    return parse_time(meta["creationTimestamp"])


def _containers_ended(pod: Obj) -> datetime | None:
    statuses = get_path(pod, "status", "containerStatuses", default=[])
    times = [get_path(s, "state", "terminated", "finishedAt") for s in statuses]
    return max(map(parse_time, times)) if times and all(times) else None


def restart_count(pod: Obj) -> int:
    """Of all its containers."""
    return sum(
        status.get("restartCount") or 0
        for field in ("initContainerStatuses", "containerStatuses")
        for status in get_path(pod, "status", field, default=[])
    )


def plain_pod(job: Obj) -> Obj:
    """The next pod of a NonIndexed Job."""
    pod = pod_from_template(job["spec"]["template"], job)
    meta = pod["metadata"]
    kept = [f for f in meta.get("finalizers") or () if f != TRACKING]
    return {**pod, "metadata": {**meta, "finalizers": [*kept, TRACKING]}}


def pod_maker(job: Obj) -> Callable[[int, tuple[int, int] | None], Obj]:
    """Makes the pods of an Indexed Job, by index and the index's failures where those count.

    What all of them share is made once: there may be hundreds.
    """
    base = plain_pod(job)
    spec, meta = _with_variable(base["spec"]), base["metadata"]

    def make(index: int, failures: tuple[int, int] | None) -> Obj:
        noted = {**(meta.get("annotations") or {}), INDEX: str(index)}
        if failures is not None:
            noted[FAILURES] = str(failures[0])
            noted |= {IGNORED_FAILURES: str(failures[1])} if failures[1] else {}
        return {
            **base,
            "metadata": {
                **meta,
                "generateName": _prefix(name(job), index),
                "annotations": noted,
                "labels": {**(meta.get("labels") or {}), INDEX: str(index)},
            },
            "spec": {**spec, "hostname": f"{name(job)}-{index}"},
        }

    return make


def _prefix(job_name: str, index: int) -> str:
    end = f"-{index}-"
    return job_name[: LONGEST_PREFIX - len(end)] + end


def _with_variable(spec: Obj) -> Obj:
    found = {f: spec[f] for f in ("initContainers", "containers") if spec.get(f)}
    return {**spec, **{f: [_told_its_index(c) for c in cs] for f, cs in found.items()}}


def _told_its_index(container: Obj) -> Obj:
    """A variable of the user's by that name stays."""
    given = container.get("env") or []
    if any(variable.get("name") == INDEX_VARIABLE for variable in given):
        return container
    source = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
    return {**container, "env": [*given, {"name": INDEX_VARIABLE, "valueFrom": source}]}
