"""The Jobs of a CronJob, as its status tells of them: what runs, and what ended well last.

``status`` is always the caller's own copy and changed in place. Before a Job counts as missing the
server is asked for it, for the cache may be behind. As syncCronJob and cleanupFinishedJobs of
pkg/controller/cronjob/cronjob_controllerv2.go.
"""

from collections.abc import Sequence

from edgek.api.errors import ApiError, NotFound
from edgek.api.meta import Key, Obj, get_path, is_deleting, key_of, name, resource_version, uid
from edgek.api.time import format_time, parse_time
from edgek.client.client import Client
from edgek.control.events import Source
from edgek.kinds import JOB
from server.controllers.cronjob_plan import end_of, moment_of, plan_history


def active_uids(status: Obj) -> set[str]:
    return {ref["uid"] for ref in status.get("active") or ()}


def add_active(status: Obj, job: Obj) -> None:
    ref = {
        "kind": "Job",
        "namespace": job["metadata"]["namespace"],
        "name": name(job),
        "uid": uid(job),
        "apiVersion": "batch/v1",
        "resourceVersion": resource_version(job),
    }
    status["active"] = [*(status.get("active") or ()), ref]


def drop_active(status: Obj, job_uid: str) -> None:
    left = [ref for ref in status.get("active") or () if ref["uid"] != job_uid]
    status.pop("active", None)
    status |= {"active": left} if left else {}


class CronJobJobs:
    def __init__(self, client: Client, source: Source) -> None:
        self._client = client
        self._source = source

    async def take_stock(self, cron_job: Obj, jobs: Sequence[Obj]) -> Obj:
        """The CronJob's status as its Jobs have it."""
        status = dict(cron_job.get("status") or {})
        for job in jobs:
            if not end_of(job) and uid(job) not in active_uids(status):
                self._remember(cron_job, status, job)
            self._note_end(cron_job, status, job)
        for ref in list(status.get("active") or ()):
            if ref["uid"] not in set(map(uid, jobs)) and not await self._exists(ref):
                message = f"Active job went missing: {ref['name']}"
                self._source.normal(cron_job, "MissingJob", message)
                drop_active(status, ref["uid"])
        return status

    def _remember(self, cron_job: Obj, status: Obj, job: Obj) -> None:
        """A Job that we made and were cut off, or one that somebody gave to the CronJob."""
        moment = moment_of(cron_job, job)
        if moment is None:
            message = f"Saw a job that the controller did not create or forgot: {name(job)}"
            self._source.warning(cron_job, "UnexpectedJob", message)
            return
        add_active(status, job)
        last = status.get("lastScheduleTime")
        if last is None or parse_time(last) < moment:
            status["lastScheduleTime"] = format_time(moment)

    def _note_end(self, cron_job: Obj, status: Obj, job: Obj) -> None:
        end = end_of(job)
        if end and uid(job) in active_uids(status):
            drop_active(status, uid(job))
            message = f"Saw completed job: {name(job)}, condition: {end}"
            self._source.normal(cron_job, "SawCompletedJob", message)
        completed = get_path(job, "status", "completionTime")
        if end == "Complete" and completed:
            status["lastSuccessfulTime"] = max(completed, status.get("lastSuccessfulTime") or "")

    async def _exists(self, ref: Obj) -> bool:
        try:
            job = await self._client.get(JOB, Key(ref["namespace"], ref["name"]))
        except NotFound:
            return False
        return uid(job) == str(ref["uid"])

    async def clean_up(self, cron_job: Obj, jobs: Sequence[Obj]) -> None:
        """Deletes what is beyond the history limits; what can not be deleted is tried again the
        next time anything happens."""
        for job in plan_history(cron_job, [job for job in jobs if not is_deleting(job)]):
            await self.delete(cron_job, key_of(job), uid(job))

    async def delete(self, cron_job: Obj, key: Key, job_uid: str) -> bool:
        """Whether it is gone, or going."""
        try:
            await self._client.delete(
                JOB, key, propagation_policy="Background", preconditions={"uid": job_uid}
            )
        except NotFound:
            return True
        except ApiError as err:
            self._source.warning(cron_job, "FailedDelete", f"Deleted job: {err}")
            return False
        self._source.normal(cron_job, "SuccessfulDelete", f"Deleted job {key.name}")
        return True
