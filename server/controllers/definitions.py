"""CustomResourceDefinition: its objects go before it does; names that become free are taken.

A definition's status is decided with each of its own writes (server/registry/definition_hook.py).
Here is what changes without one: while it is being deleted its objects are deleted and, once none
is left, its finalizer is taken away; where another one's names became free, it may have them. As
apiextensions-apiserver pkg/controller/finalizer and pkg/controller/status.
"""

import logging
from collections import Counter
from collections.abc import Iterable

from edgek.api.conditions import Condition, with_condition
from edgek.api.errors import ApiError, Conflict, NotFound
from edgek.api.meta import Key, Obj, is_deleting, key_of, name, namespace, resource_version, uid
from edgek.api.time import format_time
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, Watch
from edgek.kinds import CUSTOM_RESOURCE_DEFINITION as CRD
from edgek.kinds.built_in import built_in_names
from edgek.kinds.crd_status import CLEANUP, Taken, plan_status, terminating
from edgek.kinds.kind import Kind
from server.controllers.custom_kinds import definitions, kind_of
from server.controllers.garbage_plan import finalizers

log = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0
"""While objects wait for their own finalizers; nobody else watches a kind that goes."""


class DefinitionController:
    name = "crd-controller"
    kind = CRD

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._definitions = definitions(context.informers)
        self.watches: tuple[Watch, ...] = (ForKind(CRD), Mapped(CRD, self._neighbours))

    def _neighbours(self, gone: Obj) -> Iterable[Key]:
        """Those who may have waited for its names."""
        group = gone["spec"]["group"]
        return [key_of(d) for d in self._definitions.list() if d["spec"]["group"] == group]

    async def reconcile(self, key: Key) -> Result:
        found = self._definitions.get(key)
        if found is None:
            return DONE
        if is_deleting(found):
            return await self._end(found)
        await self._take_names(found)
        return DONE

    async def _take_names(self, crd: Obj) -> None:
        group = crd["spec"]["group"]
        others = (
            d["status"].get("acceptedNames") or {}
            for d in self._definitions.list()
            if d["spec"]["group"] == group and name(d) != name(crd)
        )
        taken = Taken.by((*built_in_names(group), *others))
        status = plan_status(crd, taken, now=format_time(self._clock.now()))
        if status != crd["status"]:
            await self._write_status(crd, status)

    async def _end(self, crd: Obj) -> Result:
        if CLEANUP not in finalizers(crd):
            return DONE
        kind = kind_of(crd)
        if kind is not None:
            await self._tell(crd, _in_progress())
            try:
                left = await self._empty(kind)
            except ApiError as err:
                text = f"could not issue all deletes: {err.message}"
                await self._tell(crd, terminating(reason="InstanceDeletionFailed", message=text))
                raise
            if left:
                text = f"CustomResource deletion is in progress: {left} objects remain"
                log.debug("%s name=%s", text, name(crd))
                return Result(requeue_after=AGAIN_SECONDS)
        await self._release(crd)
        return DONE

    async def _empty(self, kind: Kind) -> int:
        """Asks for all objects' deletion; how many are left."""
        items = (await self._client.list(kind)).items
        for space in Counter(namespace(item) for item in items):
            try:
                await self._client.delete(kind, Key(space, ""))
            except NotFound:
                continue
        return len((await self._client.list(kind)).items) if items else 0

    async def _release(self, crd: Obj) -> None:
        log.info("definition is empty name=%s", name(crd))
        left = [f for f in finalizers(crd) if f != CLEANUP]
        only = {"uid": uid(crd), "resourceVersion": resource_version(await self._fresh(crd))}
        try:
            await self._client.patch(CRD, key_of(crd), {"metadata": {"finalizers": left, **only}})
        except NotFound:
            return

    async def _fresh(self, crd: Obj) -> Obj:
        return await self._client.get(CRD, key_of(crd))

    async def _tell(self, crd: Obj, condition: Condition) -> None:
        now = format_time(self._clock.now())
        conditions = with_condition(crd["status"].get("conditions"), condition, now=now)
        if conditions != crd["status"].get("conditions"):
            await self._write_status(crd, {**crd["status"], "conditions": conditions})

    async def _write_status(self, crd: Obj, status: Obj) -> None:
        """Of exactly this definition as it was seen."""
        meta = {"uid": uid(crd), "resourceVersion": resource_version(crd)}
        body = {"metadata": meta, "status": status}
        try:
            await self._client.patch(CRD, key_of(crd), body, subresource="status")
        except NotFound:
            return
        except Conflict:  # the next change of it brings us back here
            log.debug("definition changed meanwhile name=%s", name(crd))


def _in_progress() -> Condition:
    text = "CustomResource deletion is in progress"
    return terminating(reason="InstanceDeletionInProgress", message=text)


def build(context: Context) -> DefinitionController:
    return DefinitionController(context)
