"""When a CronJob is due, the Job it makes then, and which of its old Jobs go.

Pure. Of all the moments that were missed only the last one is made up for, and no moment twice:
the Job of a moment has its name by it. ``since`` is the last moment that needs no Job any more;
a clock that was set back stays quiet until it has come there again. As
pkg/controller/cronjob/utils.go, which only estimates the last missed moment where the schedule is
uneven, and then makes up for none.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from edgek.api.conditions import is_true
from edgek.api.cron import Schedule
from edgek.api.cron_times import latest_time, next_time
from edgek.api.meta import Obj, annotations, get_path, name, namespace, owner_reference
from edgek.api.time import parse_time

SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
MANY = 100
SETTLE = timedelta(milliseconds=100)
"""After the moment, for clocks are never quite right (nextScheduleDelta)."""
LONG_AGO = 100 * 365 * 86400
"""Seconds; a date so far back can be worked out still."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    schedule: Schedule
    zone: tzinfo


@dataclass(frozen=True, kw_only=True)
class Due:
    """``at`` is the moment to make a Job for, None where there is none; ``missed`` one that is
    too long ago for it. ``many``: that a hundred were missed is worth a word."""

    at: datetime | None = None
    missed: datetime | None = None
    many: bool = False


def since(cron_job: Obj) -> datetime:
    last = get_path(cron_job, "status", "lastScheduleTime")
    return parse_time(last or cron_job["metadata"]["creationTimestamp"])


def plan_due(cron_job: Obj, timing: Timing, after: datetime, now: datetime) -> Due:
    """``after`` as of ``since``. Raises ValueError where the schedule has no moments."""
    deadline = get_path(cron_job, "spec", "startingDeadlineSeconds")
    start = after
    if deadline is not None:
        start = max(after, now - timedelta(seconds=min(deadline, LONG_AGO)))
    first = _existing(next_time(timing.schedule, start, timing.zone))
    if first > now:
        return Due(missed=_latest(timing, after, now))
    second = next_time(timing.schedule, first, timing.zone)
    if second is not None and second > now:
        return Due(at=first)
    between = _existing(second) - first
    return Due(at=_latest(timing, start, now), many=(now - first) // between + 1 > MANY)


def _existing(moment: datetime | None) -> datetime:
    if moment is None:
        raise ValueError("time difference between two schedules is less than 1 second")
    return moment


def _latest(timing: Timing, after: datetime, now: datetime) -> datetime | None:
    return latest_time(timing.schedule, after, now, timing.zone)


def next_wake(timing: Timing, after: datetime, now: datetime) -> timedelta | None:
    """Until the next moment; None where there is none."""
    found = next_time(timing.schedule, _latest(timing, after, now) or after, timing.zone)
    return None if found is None else found + SETTLE - now


def job_name(cron_job: Obj, at: datetime) -> str:
    return f"{name(cron_job)}-{int(at.timestamp()) // 60}"


def moment_of(cron_job: Obj, job: Obj) -> datetime | None:
    """The moment that one of our Jobs was made for, by its name."""
    minutes = name(job).removeprefix(f"{name(cron_job)}-")
    if not (minutes.isascii() and minutes.isdecimal()) or len(minutes) > 9:
        return None
    minute = datetime.fromtimestamp(int(minutes) * 60, UTC)
    try:
        exact = parse_time(annotations(job).get(SCHEDULED_AT, ""))
    except ValueError:  # users can write annotations
        return minute
    return exact if job_name(cron_job, exact) == name(job) else minute


def job_from_template(cron_job: Obj, at: datetime, zone: tzinfo | None) -> Obj:
    """``zone`` is that of spec.timeZone, where it is given: the annotation shows its time."""
    template = cron_job["spec"].get("jobTemplate") or {}
    meta = template.get("metadata") or {}
    shown = at.astimezone(zone or UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(cron_job, at),
            "namespace": namespace(cron_job),
            "labels": dict(meta.get("labels") or {}),
            "annotations": {**(meta.get("annotations") or {}), SCHEDULED_AT: shown},
            "ownerReferences": [owner_reference(cron_job)],
        },
        "spec": template.get("spec") or {},
    }


def end_of(job: Obj) -> str:
    """Complete or Failed; "" while it runs."""
    conditions = get_path(job, "status", "conditions")
    return next((end for end in ("Complete", "Failed") if is_true(conditions, end)), "")


def plan_history(cron_job: Obj, jobs: Iterable[Obj]) -> list[Obj]:
    """The finished Jobs beyond the limits, oldest first."""
    jobs = sorted(jobs, key=_age)
    out: list[Obj] = []
    for end, field in (
        ("Complete", "successfulJobsHistoryLimit"),
        ("Failed", "failedJobsHistoryLimit"),
    ):
        limit = cron_job["spec"].get(field)
        ended = [job for job in jobs if end_of(job) == end]
        if limit is not None and len(ended) > limit:
            out += ended[: len(ended) - limit]
    return out


def _age(job: Obj) -> tuple[bool, str, str]:
    """Those that never started last."""
    start = get_path(job, "status", "startTime", default="")
    return not start, start, name(job)
