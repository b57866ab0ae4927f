"""What the Job controller knows that the API does not tell it (yet).

Which pods it took the finalizer from though the cache still shows it, and how long each Job has
to back off. A pod is noted before the write it speaks of, because the watch may be quicker than
the answer. Bounded by the work under way and the Jobs that failed; all of it goes with its Job
or pod, and none of it is missed after a restart.
"""

from collections.abc import Iterable

from edgek.api.meta import Obj, key_of, uid
from edgek.control.informer import Informer
from edgek.kinds.pods import phase
from server.controllers.job_backoff import Backoff, next_backoff
from server.controllers.job_pods import is_tracked
from server.controllers.job_view import JobView, is_finished


class JobMemory:
    def __init__(self, jobs: Informer, pods: Informer) -> None:
        self._pods = pods
        self._released: set[str] = set()
        self._backoffs: dict[str, Backoff] = {}
        jobs.on_change(self._job_changed)
        pods.on_change(self._pod_changed)

    def released(self, pods: Iterable[Obj]) -> frozenset[str]:
        """Which of them have lost the finalizer that they show."""
        return frozenset(u for u in map(uid, pods) if u in self._released)

    def release(self, pod: Obj) -> None:
        """Before the write."""
        self._released.add(uid(pod))

    def not_released(self, pod: Obj) -> None:
        """The write failed."""
        self._released.discard(uid(pod))

    def gone(self, pod: Obj) -> None:
        """The write found no pod. The note stays until the cache finds none either: without it
        the pod would be new to the accounts once more."""
        cached = self._pods.get(key_of(pod))
        if cached is None or uid(cached) != uid(pod):
            self._released.discard(uid(pod))

    def backoff(self, view: JobView) -> Backoff:
        """With what the view shows that is not counted yet. A Job that is new to us begins with
        its pods that are counted and still there."""
        old = self._backoffs.get(uid(view.job))
        if old is None:
            new = {uid(pod) for pod in (*view.new_succeeded, *view.new_failed)}
            counted = [pod for pod in view.pods if uid(pod) not in new]
            succeeded = [pod for pod in counted if phase(pod) == "Succeeded"]
            old = next_backoff(Backoff(), succeeded, [p for p in counted if view.is_failed(p)])
        return next_backoff(old, view.new_succeeded, view.new_failed)

    def counted(self, job: Obj, backoff: Backoff) -> None:
        """What the back-off was worked out from is in the Job's status now."""
        if backoff.failures or uid(job) in self._backoffs:
            self._backoffs[uid(job)] = backoff

    def _job_changed(self, old: Obj | None, new: Obj | None) -> None:
        if old is not None and (new is None or is_finished(new)):
            self._backoffs.pop(uid(old), None)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        if old is not None and (new is None or not is_tracked(new)):
            self._released.discard(uid(old))
