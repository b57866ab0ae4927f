"""Keeps the accounts of Jobs: makes the writes that job_tracking.py plans, in its order.

Every status is written over the version it was worked out from, and only where it says something
new. Whatever write fails, what was done until then is noted and the rest is left to the next look.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

from edgek.api.conditions import find_condition
from edgek.api.errors import NotFound
from edgek.api.meta import Obj, key_of, resource_version, uid
from edgek.control.controller import Context
from edgek.control.events import Source
from edgek.kinds import POD
from server.controllers.job_memory import JobMemory
from server.controllers.job_pods import TRACKING, is_tracked
from server.controllers.job_tracking import finish, on_the_wire, plan_tracking, settle
from server.controllers.job_view import JobView
from server.controllers.written_over import WrittenOver


class JobAccounts:
    """The only writer of Jobs' statuses and of the finalizer on their pods."""

    def __init__(
        self, context: Context, source: Source, memory: JobMemory, statuses: WrittenOver
    ) -> None:
        self._client = context.client
        self._clock = context.clock
        self._source = source
        self._memory = memory
        self._statuses = statuses

    async def count(self, job: Obj, view: JobView, status: Obj, ending: Obj | None) -> None:
        """``job`` as the cache has it; ``status`` is what it is to be but for the accounts."""
        tracking = plan_tracking(view, status, ending)
        backoff = self._memory.backoff(view)
        written = await self._write(job, tracking.status)
        self._say_suspended(job, written)
        if not view.per_index:  # there the pods themselves keep it
            self._memory.counted(job, backoff)
        errors = await gather_all(self._release(pod) for pod in tracking.release)
        left = {uid(pod) for pod in view.pods if view.is_tracked(pod)}
        results = zip(tracking.release, errors, strict=True)
        left -= {uid(pod) for pod, err in results if err is None}
        status = settle(written["status"], left)
        over = None
        if ending is not None and not tracking.cut_short:
            over = finish(status, ending, self._clock.now())
        await self._write(written, over or status)
        if over:
            self._say_over(job, over)
        raise_first(errors)

    async def untrack(self, pods: Sequence[Obj]) -> None:
        """They are to go without counting as failed. A pod that ended meanwhile does count:
        thus only what was seen is changed."""
        raise_first(
            await gather_all(
                self._remove_finalizer(pod, resourceVersion=resource_version(pod))
                for pod in pods
                if is_tracked(pod)
            )
        )

    async def _write(self, job: Obj, status: Obj) -> Obj:
        wire = on_the_wire(status)
        if wire == job.get("status"):
            return job
        return await self._statuses.update_status(job, wire)

    async def _release(self, pod: Obj) -> None:
        self._memory.release(pod)
        try:
            await self._remove_finalizer(pod)
        except NotFound:
            self._memory.gone(pod)
        except BaseException:
            self._memory.not_released(pod)
            raise

    async def _remove_finalizer(self, pod: Obj, **meta: str) -> None:
        body = {"metadata": {"$deleteFromPrimitiveList/finalizers": [TRACKING], **meta}}
        await self._client.patch(POD, key_of(pod), body, patch_type="strategic")

    def _say_suspended(self, before: Obj, after: Obj) -> None:
        was, now = (find_condition(j["status"].get("conditions"), "Suspended") for j in
                    ({"status": {}, **before}, after))  # fmt: skip
        if now is not None and now != was:
            reason = "Suspended" if now["status"] == "True" else "Resumed"
            self._source.normal(after, reason, now["message"])

    def _say_over(self, job: Obj, status: Obj) -> None:
        failed = find_condition(status["conditions"], "Failed")
        if failed is not None:
            self._source.warning(job, failed["reason"], failed["message"])
            return
        wanted = job["spec"].get("completions")
        if wanted is not None and status.get("succeeded", 0) > wanted:
            message = "Too many succeeded pods running after completion count reached"
            self._source.warning(job, "TooManySucceededPods", message)
        self._source.normal(job, "Completed", "Job completed")


async def gather_all(coros: Iterable[Coroutine[Any, Any, None]]) -> list[BaseException | None]:
    """Runs them side by side to their ends; what each of them failed with."""
    results = await asyncio.gather(*coros, return_exceptions=True)
    return [result if isinstance(result, BaseException) else None for result in results]


def raise_first(errors: Iterable[BaseException | None]) -> None:
    for err in errors:
        if err is not None:
            raise err
