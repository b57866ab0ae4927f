"""EndpointSlice controller: for each Service with a selector, slices of its pods' addresses.

What nodes and DNS go by. ``endpoint_slice_plan`` decides; this applies. Slices that others
manage (mirrored ones, those users write) carry another manager's name and are left alone.
"""

from collections.abc import Sequence
from contextlib import suppress

from edgek.api.errors import NotFound
from edgek.api.meta import Key, Obj, key_of, namespace, uid
from edgek.control.controller import DONE, Context, ForKind, Mapped, Reads, Result, Watch
from edgek.kinds import ENDPOINT_SLICE, NODE, POD, SERVICE
from edgek.kinds.pods import node_name
from server.controllers.endpoint_slice_plan import (
    SlicePlan,
    is_managed,
    plan_slices,
    service_of,
    zone_of,
)
from server.controllers.service_backends import (
    Pace,
    has_selector,
    index_backends,
    is_external_name,
    pod_matters,
    pods_of,
    services_of,
)

BY_SERVICE = "service"


def build(context: Context) -> "EndpointSliceController":
    return EndpointSliceController(context)


def index_by_service(slice_: Obj) -> list[str]:
    return [f"{namespace(slice_)}/{service_of(slice_)}"]


class EndpointSliceController:
    """Owns the slices that carry its name in ``managed-by``. Those of a Service that is gone
    go by its ownerReference; those of one that lost its selector are deleted here."""

    name = "endpointslice-controller"
    kind = SERVICE

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._services = context.informers.get(SERVICE)
        self._pods = context.informers.get(POD)
        index_backends(self._services, self._pods)
        self._nodes = context.informers.get(NODE)
        self._slices = context.informers.get(ENDPOINT_SLICE)
        self._slices.add_index(BY_SERVICE, index_by_service)
        self._pace = Pace(context.clock)
        self.watches: Sequence[Watch] = (
            ForKind(SERVICE),
            Mapped(POD, lambda pod: services_of(self._services, pod), when=pod_matters),
            Mapped(ENDPOINT_SLICE, self._service_keys),
            Reads(NODE),
        )

    def _service_keys(self, slice_: Obj) -> list[Key]:
        return [Key(namespace(slice_), service_of(slice_))] if is_managed(slice_) else []

    async def reconcile(self, key: Key) -> Result:
        service = self._services.get(key)
        if service is None or is_external_name(service):
            return DONE
        slices = [s for s in self._slices.by_index(BY_SERVICE, str(key)) if is_managed(s)]
        if not has_selector(service):
            await self._apply(SlicePlan(delete=slices))
            return DONE
        if wait := self._pace.wait(key):
            return Result(requeue_after=wait)
        pods = pods_of(self._pods, service)
        names = {node_name(pod) for pod in pods} - {""}
        zones = {name: zone_of(self._nodes.get(Key("", name))) for name in names}
        if plan := plan_slices(service, pods, slices, zones):
            self._pace.wrote(key)
            await self._apply(plan)
        return DONE

    async def _apply(self, plan: SlicePlan) -> None:
        """NB: additions first, so that readers never see fewer endpoints than there are."""
        for slice_ in plan.create:
            await self._client.create(ENDPOINT_SLICE, slice_)
        for slice_ in plan.update:
            await self._client.update(ENDPOINT_SLICE, slice_)
        for slice_ in plan.delete:
            with suppress(NotFound):
                await self._client.delete(
                    ENDPOINT_SLICE, key_of(slice_), preconditions={"uid": uid(slice_)}
                )
