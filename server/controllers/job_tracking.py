"""The accounts of a Job: each of its pods is counted once, wherever we are cut off.

Pure. Three writes make one count: (1) the status names the pods that ended
(uncountedTerminatedPods; of an Indexed Job the index is name enough for a success), (2) the pods
lose our finalizer, without which they cannot go away, (3) the status moves them from the names
to the numbers. Cut off after (1), the names keep us from naming them again; after (2), names of
pods without finalizer are just counted. A stale cache changes nothing: a status is only written
over the very version it was worked out from. As trackJobStatusAndRemoveFinalizers of
pkg/controller/job/job_controller.go.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from edgek.api.meta import Obj, is_deleting, uid
from edgek.kinds.job_indexes import count_indexes, format_indexes
from edgek.kinds.pods import phase
from server.controllers.job_ending import FINAL, SUCCESS, condition, with_new_condition
from server.controllers.job_pods import index_of
from server.controllers.job_view import JobView

MOST_UNCOUNTED = 500
"""Names in a status, to keep it below 20 KB (MaxUncountedPods)."""
UNCOUNTED = "uncountedTerminatedPods"
FIELDS = ("succeeded", "failed")


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """``status`` is to be written first, then ``release`` lose their finalizers, then
    ``settle`` what is left. ``cut_short``: there are more pods than one go counts."""

    status: Obj
    release: Sequence[Obj]
    cut_short: bool = False


def plan_tracking(view: JobView, status: Obj, ending: Obj | None) -> Tracking:
    """``status`` is what it is to be but for the accounts; ``ending`` as of plan_ending."""
    status = settle(status, {uid(p) for p in view.pods if view.is_tracked(p)})
    names: dict[str, list[str]] = {f: list(status[UNCOUNTED].get(f) or ()) for f in FIELDS}
    release: list[Obj] = []
    new_indexes, cut_short = 0, False
    for pod in sorted(view.pods, key=_number) if view.indexed else view.pods:
        if not view.is_tracked(pod) or not _may_release(view, pod, ending):
            continue
        release.append(pod)
        field = _counts_as(view, pod, ending)
        if field == "succeeded" and view.indexed:
            new_indexes += 1
        elif field and uid(pod) not in names[field]:
            names[field].append(uid(pod))
        if new_indexes + sum(map(len, names.values())) >= MOST_UNCOUNTED:
            cut_short = True
            break
    status = {**status, UNCOUNTED: {f: n for f, n in names.items() if n}}
    if view.indexed:
        status |= _index_fields(view)
    if ending is not None:
        status["conditions"] = with_new_condition(status.get("conditions") or (), ending)
    return Tracking(status=status, release=release, cut_short=cut_short)


def _number(pod: Obj) -> int:
    found = index_of(pod)
    return -1 if found is None else found


def _may_release(view: JobView, pod: Obj, ending: Obj | None) -> bool:
    if is_deleting(view.job) or ending is not None or phase(pod) == "Succeeded":
        return True
    if not view.is_failed(pod):
        return False
    index = view.index(pod) if view.per_index else None
    return index is None or view.unreplaced.get(index) is not pod


def _counts_as(view: JobView, pod: Obj, ending: Obj | None) -> str:
    """As what the pod is new to the accounts; "" where it is none of them."""
    if view.indexed and view.index(pod) is None:
        return ""
    failed_before = uid(pod) in view.counted("failed")
    if phase(pod) == "Succeeded" and not failed_before:
        known = uid(pod) in view.counted("succeeded")
        return "" if known else "succeeded"
    # Of a Job that fails, whatever is still running has failed.
    over = ending is not None and ending["type"] != SUCCESS
    if failed_before or not (view.is_failed(pod) or over):
        return ""
    return "failed" if view.failure(pod).counts else ""


def _index_fields(view: JobView) -> Obj:
    out: Obj = {
        "succeeded": count_indexes(view.succeeded_indexes),
        "completedIndexes": format_indexes(view.succeeded_indexes),
    }
    if view.per_index:
        out["failedIndexes"] = format_indexes(view.failed_indexes)
    return out


def settle(status: Obj, tracked: AbstractSet[str]) -> Obj:
    """Names whose pods are ``tracked`` no longer become numbers."""
    names = status.get(UNCOUNTED) or {}
    status = {**status, UNCOUNTED: {}}
    for field in FIELDS:
        before = names.get(field) or []
        left = [name for name in before if name in tracked]
        status[field] = (status.get(field) or 0) + len(before) - len(left)
        if left:
            status[UNCOUNTED][field] = left
    return status


def finish(status: Obj, ending: Obj, now: datetime) -> Obj | None:
    """The status of the Job that is over; None while a pod is uncounted or still going."""
    if status.get(UNCOUNTED) or status.get("terminating"):
        return None
    final = condition(
        FINAL[ending["type"]], ending.get("reason", ""), ending.get("message", ""), now
    )
    status = {
        **status,
        "conditions": with_new_condition(status.get("conditions") or (), final),
    }
    if final["type"] == "Complete":
        status["completionTime"] = final["lastTransitionTime"]
    return status


def on_the_wire(status: Obj) -> Obj:
    """Without the numbers and texts that are left out where they say nothing."""
    optional = ("active", "succeeded", "failed", "completedIndexes", "conditions")
    return {k: v for k, v in status.items() if v or k not in optional}
