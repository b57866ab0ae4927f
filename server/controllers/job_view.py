"""One Job and its pods at one moment, as the decisions about it ask for them.

Pure and read-only; what is costly is worked out once. A pod is ours to count while it carries
our finalizer (``counted`` says how), whatever else the cache shows: ``released`` are the pods
from which it was taken already though the cache still shows it, and without them a pod would
be counted twice. As syncJobCtx of pkg/controller/job/job_controller.go.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property

from edgek.api.conditions import is_true
from edgek.api.meta import Obj, get_path, uid
from edgek.kinds.job_indexes import (
    Intervals,
    as_intervals,
    count_indexes,
    has_index,
    merge_indexes,
    read_indexes,
)
from edgek.kinds.pods import is_active, is_ready, phase
from server.controllers.job_pods import (
    finished_at,
    index_failures,
    index_of,
    is_terminating,
    is_tracked,
)
from server.controllers.job_rules import Match, match_failure

OURSELVES = "kubernetes.io/job-controller"


def is_managed_elsewhere(job: Obj) -> bool:
    return bool(get_path(job, "spec", "managedBy", default=OURSELVES) != OURSELVES)


def is_finished(job: Obj) -> bool:
    conditions = get_path(job, "status", "conditions")
    return is_true(conditions, "Complete") or is_true(conditions, "Failed")


def is_suspended(job: Obj) -> bool:
    return bool(get_path(job, "spec", "suspend", default=False))


@dataclass(frozen=True, kw_only=True)
class JobView:
    """``pods`` are all that the Job controls."""

    job: Obj
    pods: Sequence[Obj]
    released: AbstractSet[str] = frozenset()

    @property
    def spec(self) -> Obj:
        found: Obj = self.job["spec"]
        return found

    @property
    def status(self) -> Obj:
        return self.job.get("status") or {}

    @property
    def indexed(self) -> bool:
        return self.spec.get("completionMode") == "Indexed"

    @property
    def per_index(self) -> bool:
        return self.indexed and self.spec.get("backoffLimitPerIndex") is not None

    @property
    def completions(self) -> int | None:
        found: int | None = self.spec.get("completions")
        return found

    @property
    def replaces_only_failed(self) -> bool:
        """A pod that is going is waited for until its end is known (podReplacementPolicy)."""
        replaced = self.spec.get("podReplacementPolicy")
        return replaced == "Failed" or self.spec.get("podFailurePolicy") is not None

    @cached_property
    def active(self) -> list[Obj]:
        return [pod for pod in self.pods if is_active(pod)]

    @cached_property
    def terminating(self) -> list[Obj]:
        return [pod for pod in self.pods if is_terminating(pod)]

    @cached_property
    def ready(self) -> int:
        return sum(is_ready(pod) for pod in self.active)

    # -- pods that ended ---------------------------------------------------------------------

    def counted(self, field: str) -> AbstractSet[str]:
        """Pods whose end (succeeded, failed) is in the status, though not in its numbers yet."""
        return set(get_path(self.status, "uncountedTerminatedPods", field, default=()))

    def is_tracked(self, pod: Obj) -> bool:
        return is_tracked(pod) and uid(pod) not in self.released

    def is_failed(self, pod: Obj) -> bool:
        """Unless its end is waited for, a pod that is being deleted counts as failed: its node
        may never come to tell."""
        if phase(pod) == "Failed":
            return True
        going = bool(pod["metadata"].get("deletionTimestamp")) and phase(pod) != "Succeeded"
        return going and not self.replaces_only_failed

    def failure(self, pod: Obj) -> Match:
        return match_failure(self.spec.get("podFailurePolicy"), pod)

    def index(self, pod: Obj) -> int | None:
        """None also where the Job has no such index (any more)."""
        found = index_of(pod)
        return found if found is not None and found < (self.completions or 0) else None

    def _is_new(self, pod: Obj, counted: AbstractSet[str]) -> bool:
        fits = not self.indexed or self.index(pod) is not None
        return fits and self.is_tracked(pod) and uid(pod) not in counted

    @cached_property
    def new_succeeded(self) -> list[Obj]:
        counted = self.counted("succeeded")
        return [p for p in self.pods if phase(p) == "Succeeded" and self._is_new(p, counted)]

    @cached_property
    def new_failed(self) -> list[Obj]:
        counted = self.counted("failed")
        return [p for p in self.pods if self.is_failed(p) and self._is_new(p, counted)]

    @cached_property
    def succeeded(self) -> int:
        if self.indexed:
            return count_indexes(self.succeeded_indexes)
        before = self.status.get("succeeded") or 0
        return int(before + len(self.new_succeeded) + len(self.counted("succeeded")))

    @cached_property
    def failed(self) -> int:
        """All failures that count against backoffLimit."""
        new = sum(self.failure(pod).counts for pod in self.new_failed)
        return int((self.status.get("failed") or 0) + new + len(self.counted("failed")))

    # -- indexes -----------------------------------------------------------------------------

    def _indexes(self, pods: Sequence[Obj]) -> Intervals:
        return as_intervals(i for i in map(self.index, pods) if i is not None)

    @cached_property
    def succeeded_before(self) -> Intervals:
        return read_indexes(self.status.get("completedIndexes") or "", self.completions or 0)

    @cached_property
    def failed_before(self) -> Intervals:
        return read_indexes(self.status.get("failedIndexes") or "", self.completions or 0)

    @cached_property
    def succeeded_indexes(self) -> Intervals:
        ended = [p for p in self.pods if phase(p) == "Succeeded" and self.is_tracked(p)]
        return self._with(self.succeeded_before, ended, unless=self.failed_before)

    @cached_property
    def failed_indexes(self) -> Intervals:
        """Those that are given up."""
        ended = [p for p in self.pods if self.is_tracked(p) and self._fails_index(p)]
        return self._with(self.failed_before, ended, unless=self.succeeded_indexes)

    def _with(self, before: Intervals, pods: Sequence[Obj], *, unless: Intervals) -> Intervals:
        """An index ends once: the API takes none that both succeeded and failed."""
        found = (i for i in map(self.index, pods) if i is not None and not has_index(unless, i))
        return merge_indexes(before, as_intervals(found))

    def _fails_index(self, pod: Obj) -> bool:
        if not self.is_failed(pod):
            return False
        match = self.failure(pod)
        limit = int(self.spec["backoffLimitPerIndex"])
        return match.action == "FailIndex" or (match.counts and index_failures(pod)[0] >= limit)

    @cached_property
    def unreplaced(self) -> dict[int, Obj]:
        """With backoffLimitPerIndex: the last failed pod of each index that waits for its next
        one. It is kept until then, for it alone knows how often its index failed."""
        out: dict[int, Obj] = {}
        if not self.per_index:
            return out
        settled = merge_indexes(
            self.succeeded_indexes, self.failed_indexes, self._indexes(self.active)
        )
        for pod in self.pods:
            index = self.index(pod)
            if index is None or not self.is_tracked(pod) or not self.is_failed(pod):
                continue
            if not has_index(settled, index):
                best = out.get(index)
                out[index] = pod if best is None or _is_later(pod, best) else best
        return out

    @cached_property
    def taken(self) -> Intervals:
        """Indexes that want no pod now."""
        busy = [*self.active, *(self.terminating if self.replaces_only_failed else ())]
        failed = self.failed_indexes if self.per_index else []
        return merge_indexes(self.succeeded_indexes, failed, self._indexes(busy))


def _is_later(pod: Obj, other: Obj) -> bool:
    mine, theirs = sum(index_failures(pod)), sum(index_failures(other))
    return mine >= theirs and finished_at(pod) >= finished_at(other)
