"""Which pods a Job wants made or gone.

Pure. Pods are made or deleted in one look, never both; deleting comes first (an Indexed Job may
have to get rid of a second pod of an index). As manageJob of pkg/controller/job/job_controller.go.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from edgek.api.meta import Obj
from edgek.kinds.job_indexes import free_indexes
from server.controllers.deletion_order import pods_to_delete
from server.controllers.job_backoff import NONE, Backoff, remaining, remaining_of_index
from server.controllers.job_pods import index_failures, plain_pod, pod_maker
from server.controllers.job_view import JobView, is_suspended
from server.controllers.pod_control import BURST


@dataclass(frozen=True, kw_only=True)
class PodPlan:
    """At most one is set. What is deleted here is not counted as failed. ``wait`` is how long
    the back-off keeps the next pod away."""

    create: Sequence[Obj] = ()
    delete: Sequence[Obj] = ()
    wait: timedelta = NONE


def plan_pods(view: JobView, backoff: Backoff, now: datetime) -> PodPlan:
    """For a Job that goes on; ``backoff`` is the Job's as a whole."""
    if is_suspended(view.job):
        return PodPlan(delete=view.active)
    wanted = _wanted(view)
    surplus = _surplus(view, max(0, len(view.active) - wanted), now)
    if surplus:
        return PodPlan(delete=surplus[:BURST])
    held = len(view.terminating) if view.replaces_only_failed else 0
    missing = min(wanted - held - len(view.active), BURST)
    if missing <= 0:
        return PodPlan()
    if not view.per_index and (wait := remaining(backoff, now)) > NONE:
        return PodPlan(wait=wait)
    if not view.indexed:
        return PodPlan(create=[plain_pod(view.job)] * missing)
    return _indexed(view, missing, now)


def _wanted(view: JobView) -> int:
    """How many pods are to be active. Without completions: none is added after a success."""
    parallelism = int(view.spec["parallelism"])
    if view.completions is None:
        return len(view.active) if view.succeeded else parallelism
    return max(0, min(view.completions - view.succeeded, parallelism))


def _surplus(view: JobView, count: int, now: datetime) -> list[Obj]:
    """``count`` of the active ones at least, with all those that should not be there."""
    if not view.indexed:
        return pods_to_delete(view.active, (), count, now) if count else []
    by_index: dict[int, list[Obj]] = defaultdict(list)
    misfits = []
    for pod in view.active:
        index = view.index(pod)
        if index is None:
            misfits.append(pod)
        else:
            by_index[index].append(pod)
    kept: list[Obj] = []
    for _, pods in sorted(by_index.items()):
        doubled = pods_to_delete(pods, (), len(pods) - 1, now)
        misfits += doubled
        kept += [pod for pod in pods if pod not in doubled]
    more = count - len(misfits)
    return misfits + (pods_to_delete(kept, (), more, now) if more > 0 else [])


def _indexed(view: JobView, missing: int, now: datetime) -> PodPlan:
    indexes = free_indexes(view.taken, missing, view.completions or 0)
    if view.per_index:
        waits = {i: remaining_of_index(view.unreplaced.get(i), now) for i in indexes}
        indexes = [i for i, wait in waits.items() if wait <= NONE]
        if waits and not indexes:
            return PodPlan(wait=min(waits.values()))
    make = pod_maker(view.job)
    return PodPlan(create=[make(i, _failures(view, i)) for i in indexes])


def _failures(view: JobView, index: int) -> tuple[int, int] | None:
    """What the next pod of an index says of the ones before it."""
    if not view.per_index:
        return None
    last = view.unreplaced.get(index)
    if last is None:
        return 0, 0
    counted, ignored = index_failures(last)
    return (counted + 1, ignored) if view.failure(last).counts else (counted, ignored + 1)
