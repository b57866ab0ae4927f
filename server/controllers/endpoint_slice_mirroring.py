"""EndpointSlice mirroring: Endpoints that users write reach those who read EndpointSlices.

As pkg/controller/endpointslicemirroring: for a Service without a selector, its Endpoints become
slices managed under this controller's name. Not mirrored: Endpoints marked skip-mirror, and
those of leader elections of old.
"""

import ipaddress
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from edgek.api.errors import NotFound
from edgek.api.meta import (
    Key,
    Obj,
    annotations,
    hash_of,
    key_of,
    labels,
    namespace,
    owner_reference,
    uid,
)
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, Watch
from edgek.kinds import ENDPOINT_SLICE, ENDPOINTS, SERVICE
from server.controllers.endpoint_slice import BY_SERVICE, index_by_service
from server.controllers.endpoint_slice_plan import MANAGED_BY, SERVICE_NAME, SlicePlan, service_of
from server.controllers.service_backends import has_selector

MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
MAX_PER_SUBSET = 1000
FIELDS = ("addressType", "endpoints", "ports")


def build(context: Context) -> "EndpointSliceMirroring":
    return EndpointSliceMirroring(context)


def should_mirror(endpoints: Obj, service: Obj | None) -> bool:
    if service is None or has_selector(service):
        return False
    return labels(endpoints).get(SKIP) != "true" and LEADER not in annotations(endpoints)


def is_mirrored(slice_: Obj) -> bool:
    return labels(slice_).get(MANAGED_BY) == MANAGER


def _endpoint(address: Obj, *, ready: bool) -> Obj:
    endpoint: Obj = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    fields = {
        name: address[name] for name in ("hostname", "nodeName", "targetRef") if address.get(name)
    }
    return endpoint | fields


def _family(address: Obj) -> str:
    return f"IPv{ipaddress.ip_address(address['ip']).version}"


def _slices_of_subset(subset: Obj) -> list[Obj]:
    """A slice per address family, with the subset's ports."""
    by_family: dict[str, list[Obj]] = {}
    for field, ready in (("addresses", True), ("notReadyAddresses", False)):
        for address in subset.get(field) or ():
            by_family.setdefault(_family(address), []).append(_endpoint(address, ready=ready))
    ports = [
        {"name": p.get("name") or "", "protocol": p.get("protocol") or "TCP"}
        | {k: p[k] for k in ("port", "appProtocol") if k in p}
        for p in subset.get("ports") or ()
    ]
    return [
        {"addressType": family, "endpoints": found[:MAX_PER_SUBSET], "ports": ports}
        for family, found in sorted(by_family.items())
    ]


def plan_mirror(endpoints: Obj, slices: Sequence[Obj]) -> SlicePlan:
    """Slice number n of the Endpoints has a name of its own, so each is compared with itself."""
    have = {s["metadata"]["name"]: s for s in slices}
    create, update = [], []
    parts = [
        part for subset in endpoints.get("subsets") or () for part in _slices_of_subset(subset)
    ]
    counts: dict[str, int] = {}
    for part in parts:
        family = part["addressType"]
        number = counts[family] = counts.get(family, 0) + 1
        wanted = _slice(endpoints, part, f"{family}/{number}")
        existing = have.pop(wanted["metadata"]["name"], None)
        if existing is None:
            create.append(wanted)
        elif _differs(existing, wanted):
            meta = {**existing["metadata"], "labels": labels(wanted)}
            update.append({**existing, **{f: wanted[f] for f in FIELDS}, "metadata": meta})
    return SlicePlan(create=create, update=update, delete=list(have.values()))


def _differs(existing: Obj, wanted: Obj) -> bool:
    return labels(existing) != labels(wanted) or any(
        (existing.get(field) or []) != wanted[field] for field in FIELDS
    )


def _slice(endpoints: Obj, part: dict[str, Any], which: str) -> Obj:
    """The address type of a slice is for ever, so it is part of the name."""
    key = key_of(endpoints)
    own = {SERVICE_NAME: key.name, MANAGED_BY: MANAGER}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{key.name[:57]}-{hash_of(f'{uid(endpoints)}/{which}', length=5)}",
            "namespace": key.namespace,
            "labels": labels(endpoints) | own,
            "ownerReferences": [
                owner_reference({"apiVersion": "v1", "kind": "Endpoints"} | endpoints)
            ],
        },
        **part,
    }


class EndpointSliceMirroring:
    """Owns slices managed by its name; they follow their Endpoints, and go with them."""

    name = "endpointslicemirroring-controller"
    kind = ENDPOINTS

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._services = context.informers.get(SERVICE)
        self._endpoints = context.informers.get(ENDPOINTS)
        self._slices = context.informers.get(ENDPOINT_SLICE)
        self._slices.add_index(BY_SERVICE, index_by_service)
        self.watches: Sequence[Watch] = (
            ForKind(ENDPOINTS),
            ForKind(SERVICE),
            Mapped(ENDPOINT_SLICE, _endpoints_keys),
        )

    async def reconcile(self, key: Key) -> Result:
        endpoints = self._endpoints.get(key)
        slices = [s for s in self._slices.by_index(BY_SERVICE, str(key)) if is_mirrored(s)]
        if endpoints is None or not should_mirror(endpoints, self._services.get(key)):
            plan = SlicePlan(delete=slices)
        else:
            plan = plan_mirror(endpoints, slices)
        for slice_ in plan.create:
            await self._client.create(ENDPOINT_SLICE, slice_)
        for slice_ in plan.update:
            await self._client.update(ENDPOINT_SLICE, slice_)
        for slice_ in plan.delete:
            with suppress(NotFound):
                await self._client.delete(ENDPOINT_SLICE, key_of(slice_))
        return DONE


def _endpoints_keys(slice_: Obj) -> list[Key]:
    return [Key(namespace(slice_), service_of(slice_))] if is_mirrored(slice_) else []
