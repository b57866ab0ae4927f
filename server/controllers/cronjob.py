"""CronJob: makes a Job each time its schedule says so.

Owns Jobs: makes them under a name by the moment they are for, deletes those beyond the history
limits, and with concurrencyPolicy Replace the ones still running. Writes its own status. Each
CronJob has one timer, for its next moment, and nothing runs in between. As
pkg/controller/cronjob/cronjob_controllerv2.go, but that a Job which the status forgot (we were
cut off before writing it) is put back there, so that Forbid and Replace see it.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from email.utils import format_datetime

from edgek.aio.clock import local_zone
from edgek.api.cron import parse_schedule, zone_prefix
from edgek.api.errors import AlreadyExists, ApiError
from edgek.api.meta import Key, Obj, controller_of, is_controlled_by, is_deleting, key_of, name, uid
from edgek.api.time import format_time
from edgek.control.controller import DONE, Context, ForKind, OwnedBy, Result
from edgek.kinds import CRON_JOB, JOB
from server.controllers.cronjob_jobs import CronJobJobs, active_uids, add_active, drop_active
from server.controllers.cronjob_plan import (
    Timing,
    end_of,
    job_from_template,
    job_name,
    next_wake,
    plan_due,
    since,
)
from server.controllers.pod_control import is_namespace_terminating
from server.controllers.written_over import WrittenOver

LONGEST_WAIT = timedelta(hours=1)
"""A timer counts the seconds that pass, a schedule the clock's time. Where the clock is set
meanwhile (a board without a battery learns the time after boot), no Job is later than this."""
MISSED = (
    "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
)
UNSUPPORTED = (
    "CRON_TZ or TZ used in schedule {} is not officially supported, see "
    "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
)


class _Bad(Exception):
    """A spec that no Job comes of, until it changes."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass
class _Memory:
    """What we said of a CronJob last, by reason: what holds on is not said at every look. And
    when its schedule last changed: what it would have missed before is no miss."""

    said: dict[str, str] = field(default_factory=dict)
    changed: datetime | None = None


def timing_of(cron_job: Obj, local: tzinfo) -> Timing:
    """``local`` is the zone of those that name none, as upstream's controller has its own.
    Raises _Bad."""
    text = cron_job["spec"]["schedule"]
    zone = zone_prefix(text) or cron_job["spec"].get("timeZone")
    try:
        schedule = parse_schedule(text)
    except ValueError as err:
        message = f'unparseable schedule: "{text}" : {err}'
        raise _Bad("UnparseableSchedule", message) from err
    return Timing(schedule=schedule, zone=_zone(zone) if zone else local)


def _zone(zone: str) -> tzinfo:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(zone)
    except (ValueError, OSError, LookupError) as err:
        message = f'invalid timeZone: "{zone}": unknown time zone {zone}'
        raise _Bad("UnknownTimeZone", message) from err


def _timing_fields(cron_job: Obj) -> tuple[str, str]:
    spec = cron_job["spec"]
    return spec["schedule"], spec.get("timeZone") or ""


def _matters(old: Obj | None, new: Obj | None) -> bool:
    """Of a Job: that it comes, ends, goes, or changes hands."""
    if old is None or new is None or controller_of(old) != controller_of(new):
        return True
    return end_of(old) != end_of(new) or is_deleting(old) != is_deleting(new)


class CronJobController:
    """Keeps appointments."""

    name = "cronjob-controller"
    kind = CRON_JOB

    def __init__(self, context: Context, zone: tzinfo) -> None:
        self._client = context.client
        self._clock = context.clock
        self._zone = zone
        self._cron_jobs = context.informers.get(CRON_JOB)
        self._jobs = context.informers.get(JOB)
        self._source = context.events.source(self.name)
        self._stock = CronJobJobs(context.client, self._source)
        self._statuses = WrittenOver(context.client, self._cron_jobs)
        self._memory: dict[str, _Memory] = {}
        self._cron_jobs.on_change(self._note_change)
        self.watches = (ForKind(CRON_JOB), OwnedBy(JOB, owner=CRON_JOB, when=_matters))

    async def reconcile(self, key: Key) -> Result:
        cron_job = self._cron_jobs.get(key)
        if cron_job is None or self._statuses.is_old(cron_job):
            return DONE
        jobs = self._jobs.owned_by(cron_job)
        status = await self._stock.take_stock(cron_job, jobs)
        await self._stock.clean_up(cron_job, jobs)
        wake: timedelta | None = None
        failed: ApiError | None = None
        if not is_deleting(cron_job) and not cron_job["spec"].get("suspend"):
            try:
                wake = await self._keep_time(cron_job, status)
            except _Bad as bad:
                self._say(cron_job, bad.reason, str(bad))
            except ApiError as err:
                failed = err
        if status != (cron_job.get("status") or {}):
            await self._statuses.update_status(cron_job, status)
        if failed is not None:
            raise failed
        return DONE if wake is None else Result(requeue_after=_seconds(wake))

    async def _keep_time(self, cron_job: Obj, status: Obj) -> timedelta | None:
        """Makes the Job that is due; how long until the next one is."""
        timing = timing_of(cron_job, self._zone)
        if "TZ" in cron_job["spec"]["schedule"]:
            shown = f'"{cron_job["spec"]["schedule"]}"'
            self._say(cron_job, "UnsupportedSchedule", UNSUPPORTED.format(shown))
        now = self._clock.now()
        changed = self._of(cron_job).changed
        after = since({**cron_job, "status": status})
        after = max(after, changed) if changed else after
        try:
            due = plan_due(cron_job, timing, after, now)
        except ValueError as err:
            message = f"invalid schedule: {cron_job['spec']['schedule']} : {err}"
            raise _Bad("InvalidSchedule", message) from err
        if due.missed is not None:
            at = format_datetime(due.missed)
            self._say(cron_job, "MissSchedule", f"Missed scheduled time to start a job: {at}")
        if due.at is not None:
            if due.many:
                self._say(cron_job, "TooManyMissedTimes", MISSED)
            await self._make(cron_job, status, due.at)
        return next_wake(timing, after, now)

    async def _make(self, cron_job: Obj, status: Obj, at: datetime) -> None:
        active = status.get("active") or ()
        if any(ref["name"] == job_name(cron_job, at) for ref in active):
            return
        policy = cron_job["spec"].get("concurrencyPolicy")
        if policy == "Forbid" and active:
            message = (
                "Not starting job because prior execution is running and concurrency policy is "
                "Forbid"
            )
            self._say(cron_job, "JobAlreadyActive", message, normal=True, about=str(at))
            return
        if policy == "Replace":
            for ref in active:
                key = Key(ref["namespace"], ref["name"])
                if not await self._stock.delete(cron_job, key, ref["uid"]):
                    raise ApiError(f"could not replace job {key}")
                drop_active(status, ref["uid"])
        job = await self._create(cron_job, at)
        if job is not None:
            if not end_of(job) and uid(job) not in active_uids(status):
                add_active(status, job)
            status["lastScheduleTime"] = format_time(at)

    async def _create(self, cron_job: Obj, at: datetime) -> Obj | None:
        """The Job of that moment; None where there will be none: its name is another's, or its
        namespace is going away."""
        named = cron_job["spec"].get("timeZone")
        wanted = job_from_template(cron_job, at, _zone(named) if named else None)
        try:
            job = await self._client.create(JOB, wanted)
        except AlreadyExists:
            job = await self._client.get(JOB, key_of(wanted))
            return job if is_controlled_by(job, cron_job) else None
        except ApiError as err:
            if is_namespace_terminating(err):
                return None
            self._source.warning(cron_job, "FailedCreate", f"Error creating job: {err}")
            raise
        self._source.normal(cron_job, "SuccessfulCreate", f"Created job {name(job)}")
        return job

    def _say(
        self, cron_job: Obj, reason: str, message: str, *, normal: bool = False, about: str = ""
    ) -> None:
        said = self._of(cron_job).said
        if said.get(reason) == (about or message):
            return
        said[reason] = about or message
        say = self._source.normal if normal else self._source.warning
        say(cron_job, reason, message)

    def _of(self, cron_job: Obj) -> _Memory:
        return self._memory.setdefault(uid(cron_job), _Memory())

    def _note_change(self, old: Obj | None, new: Obj | None) -> None:
        if old is not None and new is None:
            self._memory.pop(uid(old), None)
        elif old is not None and new is not None and _timing_fields(old) != _timing_fields(new):
            self._of(new).changed = self._clock.now()


def _seconds(wake: timedelta) -> float:
    return max(timedelta(0), min(wake, LONGEST_WAIT)).total_seconds()


def build(context: Context) -> CronJobController:
    return CronJobController(context, local_zone())
