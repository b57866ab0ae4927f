"""Creating and deleting the pods of an owner, shared by the workload controllers.

As pkg/controller/controller_utils.go RealPodControl: pods come from a template with the owner as
controller, each write is noted as an expectation before it is made, and users learn of it by an
event on the owner. Creations go out in batches of 1, 2, 4...: where the first one fails (quota,
a template that can not be admitted) no flood of equal failures follows.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

from edgek.api.errors import ApiError, NotFound
from edgek.api.meta import (
    Obj,
    controller_of,
    get_path,
    is_deleting,
    key_of,
    name,
    namespace,
    owner_reference,
    uid,
)
from edgek.control.controller import Context
from edgek.control.events import Source
from edgek.control.expectations import Expectations
from edgek.kinds import POD
from edgek.kinds.kind import Kind

BURST = 500
"""The most creations or deletions that a plan may ask for at once (BurstReplicas)."""


def replicas_of(owner: Obj) -> int:
    """spec.replicas with its default."""
    return int(get_path(owner, "spec", "replicas", default=1))


def pod_from_template(template: Obj, owner: Obj) -> Obj:
    """As GetPodFromTemplate: the template's metadata and spec, controlled by the owner.

    Shares what is in the template: a body is only read on its way to the server.
    """
    meta = template.get("metadata") or {}
    copied = {f: meta[f] for f in ("labels", "annotations", "finalizers") if meta.get(f)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": copied
        | {
            "generateName": f"{name(owner)}-",
            "namespace": namespace(owner),
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": {**(template.get("spec") or {})},
    }


def is_namespace_terminating(err: ApiError) -> bool:
    causes = err.details.get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


class PodControl:
    """The pods' side of one controller; the owner's uid names its expectations."""

    def __init__(self, context: Context, kind: Kind, source: Source) -> None:
        self._client = context.client
        self._source = source
        self._expectations = Expectations(context.clock)
        context.informers.get(POD).on_change(self._observe)
        context.informers.get(kind).on_change(self._forget)

    def waiting(self, owner: Obj) -> float:
        """Seconds to wait at most for the cache to show own writes; 0 where it has."""
        return self._expectations.remaining(uid(owner))

    async def create(self, owner: Obj, pods: Sequence[Obj]) -> None:
        """Creates them in slow-start batches; raises the first failure, leaving out the rest."""
        self._expectations.expect_creations(uid(owner), len(pods))
        at, size = 0, 1
        try:
            while at < len(pods):
                batch = pods[at : at + size]
                at += len(batch)
                await _all(self._create(owner, pod) for pod in batch)
                size *= 2
        finally:
            for _ in pods[at:]:  # never asked for, so never seen
                self._expectations.creation_observed(uid(owner))

    async def delete(self, owner: Obj, pods: Sequence[Obj]) -> None:
        """Deletes them side by side; raises the first failure after all were tried."""
        self._expectations.expect_deletions(uid(owner), [uid(pod) for pod in pods])
        await _all(self._delete(owner, pod) for pod in pods)

    async def _create(self, owner: Obj, pod: Obj) -> None:
        try:
            created = await self._client.create(POD, pod)
        except BaseException as err:
            self._expectations.creation_observed(uid(owner))
            if isinstance(err, ApiError):
                if is_namespace_terminating(err):
                    return  # all of it will be gone soon; nobody needs to hear of it
                self._source.warning(owner, "FailedCreate", f"Error creating: {err}")
            raise
        self._source.normal(owner, "SuccessfulCreate", f"Created pod: {name(created)}")

    async def _delete(self, owner: Obj, pod: Obj) -> None:
        try:
            await self._client.delete(POD, key_of(pod), preconditions={"uid": uid(pod)})
        except BaseException as err:
            self._expectations.deletion_observed(uid(owner), uid(pod))
            if isinstance(err, NotFound):
                return
            if isinstance(err, ApiError):
                self._source.warning(owner, "FailedDelete", f"Error deleting: {err}")
            raise
        self._source.normal(owner, "SuccessfulDelete", f"Deleted pod: {name(pod)}")

    def _observe(self, old: Obj | None, new: Obj | None) -> None:
        pod = new or old
        ref = controller_of(pod) if pod is not None else None
        if pod is None or ref is None:
            return
        # A pod counts as gone for its owner from the moment it is being deleted.
        if new is None or is_deleting(new):
            self._expectations.deletion_observed(ref["uid"], uid(pod))
        if old is None:
            self._expectations.creation_observed(ref["uid"])

    def _forget(self, old: Obj | None, new: Obj | None) -> None:
        if new is None and old is not None:
            self._expectations.forget(uid(old))


async def _all(coros: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Runs them side by side to their ends, then raises the first error there was."""
    results = await asyncio.gather(*coros, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
