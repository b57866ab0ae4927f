"""Job-orphan-pods: lets go the pods of Jobs that are over or gone.

A pod with the finalizer batch.kubernetes.io/job-tracking can not go away before a Job has counted
it; where no Job ever will, the finalizer is taken from it. Touches nothing else of a Pod, and no
pod that another controller owns. As syncOrphanPod of pkg/controller/job/job_controller.go.
"""

from collections.abc import Iterable
from contextlib import suppress

from edgek.api.errors import NotFound
from edgek.api.meta import Key, Obj, controller_of, key_of, resource_version, uid
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, owner_key
from edgek.control.informer import OWNER
from edgek.kinds import JOB, POD
from server.controllers.garbage_plan import without_finalizer
from server.controllers.job_pods import TRACKING, is_tracked
from server.controllers.job_view import is_finished, is_managed_elsewhere


def is_abandoned(pod: Obj, job: Obj | None) -> bool:
    """``job`` is what the cache has under the name of the pod's controller, if that is a Job."""
    ref = controller_of(pod)
    if not is_tracked(pod) or (ref is not None and owner_key(pod, JOB) is None):
        return False
    if ref is None or job is None or uid(job) != ref.get("uid"):
        return True
    return is_finished(job) and not is_managed_elsewhere(job)


class JobOrphanPods:
    """Keyed by pod."""

    name = "job-orphan-pods-controller"
    kind = POD

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._jobs = context.informers.get(JOB)
        self._pods = context.informers.get(POD)
        self.watches = (
            ForKind(POD, when=self._might_be),
            Mapped(JOB, self._pods_of, when=_over),
        )

    async def reconcile(self, key: Key) -> Result:
        pod = self._pods.get(key)
        if pod is None or not is_abandoned(pod, self._job_of(pod)):
            return DONE
        left = without_finalizer(pod, TRACKING)
        meta = {"finalizers": left, "uid": uid(pod), "resourceVersion": resource_version(pod)}
        with suppress(NotFound):
            await self._client.patch(POD, key, {"metadata": meta})
        return DONE

    def _job_of(self, pod: Obj) -> Obj | None:
        key = owner_key(pod, JOB)
        return self._jobs.get(key) if key is not None else None

    def _might_be(self, old: Obj | None, new: Obj | None) -> bool:
        return new is not None and is_abandoned(new, self._job_of(new))

    def _pods_of(self, job: Obj) -> Iterable[Key]:
        return [key_of(pod) for pod in self._pods.by_index(OWNER, uid(job)) if is_tracked(pod)]


def _over(old: Obj | None, new: Obj | None) -> bool:
    return new is None or is_finished(new)


def build(context: Context) -> JobOrphanPods:
    return JobOrphanPods(context)
