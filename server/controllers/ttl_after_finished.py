"""TTL-after-finished: deletes Jobs some time after they are over.

Deletes a Job spec.ttlSecondsAfterFinished after it became Complete or Failed, with all its pods.
Asks the server for the Job first, so that a time to live that was just made longer counts, and
deletes only the very Job it saw. As pkg/controller/ttlafterfinished.
"""

from contextlib import suppress
from datetime import datetime, timedelta

from edgek.api.errors import NotFound
from edgek.api.meta import Key, Obj, get_path, is_deleting, resource_version, uid
from edgek.api.time import parse_time
from edgek.control.controller import DONE, Context, ForKind, Result
from edgek.kinds import JOB

LONGEST_WAIT = timedelta(hours=1)
"""A timer counts seconds, a time to live the clock's: who sets the clock is noticed by then."""


def time_left(job: Obj, now: datetime) -> timedelta | None:
    """Until it is to be deleted; None where it is not to be."""
    seconds = get_path(job, "spec", "ttlSecondsAfterFinished")
    if seconds is None or is_deleting(job):
        return None
    for condition in get_path(job, "status", "conditions", default=[]):
        over = condition.get("type") in ("Complete", "Failed")
        at = condition.get("lastTransitionTime")
        if over and condition.get("status") == "True" and at:
            return parse_time(at) + timedelta(seconds=seconds) - now
    return None


class TtlAfterFinished:
    """Keeps no Job beyond its time."""

    name = "ttl-after-finished-controller"
    kind = JOB

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._jobs = context.informers.get(JOB)
        self.watches = (ForKind(JOB, when=self._has_end),)

    async def reconcile(self, key: Key) -> Result:
        job = self._jobs.get(key)
        if job is None:
            return DONE
        if (wait := self._next(job)) is not None:
            return wait
        with suppress(NotFound):
            fresh = await self._client.get(JOB, key)
            if (wait := self._next(fresh)) is not None:
                return wait
            seen = {"uid": uid(fresh), "resourceVersion": resource_version(fresh)}
            await self._client.delete(JOB, key, propagation_policy="Foreground", preconditions=seen)
        return DONE

    def _next(self, job: Obj) -> Result | None:
        """What to do where it is not due; None where it is."""
        left = time_left(job, self._clock.now())
        if left is None:
            return DONE
        if left <= timedelta(0):
            return None
        return Result(requeue_after=min(left, LONGEST_WAIT).total_seconds())

    def _has_end(self, old: Obj | None, new: Obj | None) -> bool:
        return new is not None and time_left(new, self._clock.now()) is not None


def build(context: Context) -> TtlAfterFinished:
    return TtlAfterFinished(context)
