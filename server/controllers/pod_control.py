"""Creating and deleting the pods of an owner, shared by the workload controllers.

As pkg/controller/controller_utils.go RealPodControl: pods come from a template with the owner as
controller, each write is noted as an expectation before it is made, and users learn of it by an
event on the owner. Creations go out in batches of 1, 2, 4...: where the first one fails (quota,
a template that can not be admitted) no flood of equal failures follows.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from edgek.api.errors import AlreadyExists, ApiError, NotFound
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

T = TypeVar("T")

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


class Words:
    """What is said of pods in the events of their owner."""

    def created(self, owner: Obj, pod: Obj) -> str:
        return f"Created pod: {name(pod)}"

    def not_created(self, owner: Obj, pod: Obj, err: object) -> str:
        return f"Error creating: {err}"

    def deleted(self, owner: Obj, pod: Obj) -> str:
        return f"Deleted pod: {name(pod)}"

    def not_deleted(self, owner: Obj, pod: Obj, err: object) -> str:
        return f"Error deleting: {err}"


class PodControl:
    """The pods' side of one controller; the owner's uid names its expectations."""

    def __init__(
        self, context: Context, kind: Kind, source: Source, words: Words | None = None
    ) -> None:
        self._client = context.client
        self._source = source
        self._words = words or Words()
        self._expectations = Expectations(context.clock)
        context.informers.get(POD).on_change(self._observe)
        context.informers.get(kind).on_change(self._forget)

    def waiting(self, owner: Obj) -> float:
        """Seconds to wait at most for the cache to show own writes; 0 where it has."""
        return self._expectations.remaining(uid(owner))

    async def create(self, owner: Obj, pods: Sequence[Obj]) -> None:
        """Creates them in slow-start batches; raises the first failure, leaving out the rest."""
        self._expectations.expect_creations(uid(owner), len(pods))
        at = 0
        try:
            for batch in slow_start(pods):
                at += len(batch)
                await run_all(self._create(owner, pod) for pod in batch)
        finally:
            for _ in pods[at:]:  # never asked for, so never seen
                self._expectations.creation_observed(uid(owner))

    async def delete(self, owner: Obj, pods: Sequence[Obj]) -> None:
        """Deletes them side by side; raises the first failure after all were tried."""
        self._expectations.expect_deletions(uid(owner), [uid(pod) for pod in pods])
        await run_all(self._delete(owner, pod) for pod in pods)

    async def _create(self, owner: Obj, pod: Obj) -> None:
        name_given = "name" in pod["metadata"]
        try:
            created = await self._client.create(POD, pod)
        except BaseException as err:
            self._expectations.creation_observed(uid(owner))
            if isinstance(err, ApiError):
                if is_namespace_terminating(err):
                    return  # all of it will be gone soon; nobody needs to hear of it
                if not (name_given and isinstance(err, AlreadyExists)):  # the cache was behind
                    text = self._words.not_created(owner, pod, err)
                    self._source.warning(owner, "FailedCreate", text)
            raise
        self._source.normal(owner, "SuccessfulCreate", self._words.created(owner, created))

    async def _delete(self, owner: Obj, pod: Obj) -> None:
        try:
            await self._client.delete(POD, key_of(pod), preconditions={"uid": uid(pod)})
        except BaseException as err:
            self._expectations.deletion_observed(uid(owner), uid(pod))
            if isinstance(err, NotFound):
                return
            if isinstance(err, ApiError):
                text = self._words.not_deleted(owner, pod, err)
                self._source.warning(owner, "FailedDelete", text)
            raise
        self._source.normal(owner, "SuccessfulDelete", self._words.deleted(owner, pod))

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


def slow_start(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Batches of 1, 2, 4..."""
    at, size = 0, 1
    while at < len(items):
        yield items[at : at + size]
        at, size = at + size, size * 2


async def run_all(coros: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Runs them side by side to their ends, then raises the first error there was."""
    results = await asyncio.gather(*coros, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
