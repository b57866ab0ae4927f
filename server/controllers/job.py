"""Job: runs pods until enough of them have succeeded, or too many have failed.

Owns Pods: creates and deletes its own, adopts orphans its selector matches. Writes its own status
and counts every pod once, wherever it is cut off (job_tracking.py). Leaves Jobs alone that are
over, and those with another controller's name in spec.managedBy. How a Job ends is decided in
job_ending.py, which pods it wants in job_plan.py. As pkg/controller/job/job_controller.go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from edgek.api.conditions import is_true
from edgek.api.errors import ApiError
from edgek.api.meta import Key, Obj, get_path, is_deleting
from edgek.api.time import format_time
from edgek.control.controller import DONE, Context, ForKind, Mapped, OwnedBy, Result
from edgek.kinds import JOB, POD
from edgek.kinds.pods import is_ready
from server.controllers.adoption import adopters, claim, index_orphans, selector_of, still_there
from server.controllers.job_accounts import JobAccounts
from server.controllers.job_backoff import NONE
from server.controllers.job_ending import (
    completed,
    condition,
    plan_ending,
    until_deadline,
    with_new_condition,
)
from server.controllers.job_memory import JobMemory
from server.controllers.job_plan import plan_pods
from server.controllers.job_pods import TRACKING
from server.controllers.job_view import (
    JobView,
    is_finished,
    is_managed_elsewhere,
    is_suspended,
)
from server.controllers.pod_control import BURST, PodControl
from server.controllers.written_over import WrittenOver


@dataclass(frozen=True, kw_only=True)
class Done:
    """What became of the plans. ``status`` is what the Job's is to be but for the accounts;
    ``ending`` is set where all pods are over or going; ``wait`` is a back-off."""

    status: Obj
    ending: Obj | None = None
    wait: timedelta = NONE
    error: ApiError | None = None


def started(job: Obj, now: datetime) -> Obj:
    """The Job with the time noted from which it runs. That begins anew when it is resumed, for
    activeDeadlineSeconds is about running: also before the first look at its deadline."""
    status = job.get("status") or {}
    runs = status.get("startTime") and not is_true(status.get("conditions"), "Suspended")
    if is_suspended(job) or runs:
        return {**job, "status": status}
    return {**job, "status": {**status, "startTime": format_time(now)}}


def with_suspension(job: Obj, now: datetime) -> Obj:
    """The status of a Job that goes on, with what it says of spec.suspend."""
    if is_suspended(job):
        new = condition("Suspended", "JobSuspended", "Job suspended", now)
    else:
        new = condition("Suspended", "JobResumed", "Job resumed", now, status="False")
    before = get_path(job, "status", "conditions", default=[])
    return {**job["status"], "conditions": with_new_condition(before, new)}


class JobController:
    """Brings Jobs to their ends."""

    name = "job-controller"
    kind = JOB

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._jobs = context.informers.get(JOB)
        self._pods = context.informers.get(POD)
        index_orphans(self._pods)
        source = context.events.source(self.name)
        self._control = PodControl(context, JOB, source)
        self._memory = JobMemory(self._jobs, self._pods)
        self._statuses = WrittenOver(context.client, self._jobs)
        self._accounts = JobAccounts(context, source, self._memory, self._statuses)
        self.watches = (
            ForKind(JOB),
            OwnedBy(POD, owner=JOB),
            Mapped(POD, adopters(self._jobs, wants=_is_ours), when=still_there),
        )

    async def reconcile(self, key: Key) -> Result:
        job = self._jobs.get(key)
        if job is None or not _is_ours(job) or self._statuses.is_old(job):
            return DONE
        waiting = self._control.waiting(job)
        pods = await claim(
            self._client, (JOB, POD), self._pods, job, selector_of(job), finalizer=TRACKING
        )
        now = self._clock.now()
        released = self._memory.released(pods)
        if waiting:  # the cache lags behind our own writes: what it shows can only be counted
            view = JobView(job=job, pods=pods, released=released)
            await self._accounts.count(job, view, view.status, None)
            return Result(requeue_after=waiting)
        view = JobView(job=started(job, now), pods=pods, released=released)
        done = await self._act(view, _first_start(job, view), now)
        await self._accounts.count(job, view, done.status, done.ending)
        if done.error is not None:
            raise done.error
        return _next(view, done, now)

    async def _act(self, view: JobView, status: Obj, now: datetime) -> Done:
        """``status`` is what it is to be where the Job is not just resumed."""
        ending = plan_ending(view, now)
        if ending is not None:
            return await self._end(view, status, ending)
        if is_deleting(view.job):
            ending = completed(view, len(view.active), now)
            return Done(status=status | _counts(view), ending=ending)
        plan = plan_pods(view, self._memory.backoff(view), now)
        try:
            if plan.create:
                await self._control.create(view.job, plan.create)
            await self._accounts.untrack(plan.delete)
            await self._delete(view.job, plan.delete)
        except ApiError as err:
            return Done(status=status | _counts(view), error=err)
        counts = _counts(view, created=len(plan.create), deleted=plan.delete)
        ending = completed(view, counts["active"], now)
        status = status if ending else with_suspension(view.job, now)
        return Done(status=status | counts, ending=ending, wait=plan.wait)

    async def _end(self, view: JobView, status: Obj, ending: Obj) -> Done:
        """Whatever is active goes, with its finalizer: it has yet to be counted."""
        going = view.active[:BURST]
        try:
            await self._delete(view.job, going)
        except ApiError as err:
            return Done(status=status | _counts(view), error=err)
        counts = _counts(view, deleted=going)
        return Done(status=status | counts, ending=None if counts["active"] else ending)

    async def _delete(self, job: Obj, pods: Sequence[Obj]) -> None:
        if pods:
            await self._control.delete(job, pods)


def _is_ours(job: Obj) -> bool:
    """There is something left to do, for us."""
    return not is_finished(job) and not is_managed_elsewhere(job)


def _first_start(job: Obj, view: JobView) -> Obj:
    """The Job's status with the time it started, which once set only changes together with the
    condition Suspended."""
    return {**view.status, **(job.get("status") or {})}


def _counts(view: JobView, *, created: int = 0, deleted: Sequence[Obj] = ()) -> Obj:
    """As far as the cache and our own writes tell."""
    return {
        "active": len(view.active) + created - len(deleted),
        "ready": view.ready - sum(map(is_ready, deleted)),
        "terminating": len(view.terminating) + len(deleted),
    }


def _next(view: JobView, done: Done, now: datetime) -> Result:
    """Time alone ends a back-off, or the Job."""
    left = until_deadline(view, now) if done.ending is None else None
    waits = [wait for wait in (done.wait, left) if wait is not None and wait > NONE]
    return Result(requeue_after=min(waits).total_seconds()) if waits else DONE


def build(context: Context) -> JobController:
    return JobController(context)
