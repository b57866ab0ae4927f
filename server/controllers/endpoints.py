"""Endpoints: for each Service with a selector, the addresses of its pods, in the old form.

Kept for clients that read Endpoints still; nodes and DNS read EndpointSlices. As
pkg/controller/endpoint: one object per Service, of its name; a Service without a selector leaves
the Endpoints to its user, one of type ExternalName has none.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from edgek.api.errors import NotFound
from edgek.api.meta import Key, Obj, annotations, is_deleting, key_of, labels
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, Watch
from edgek.kinds import ENDPOINTS, POD, SERVICE
from edgek.kinds.pods import node_name
from server.controllers.service_backends import (
    Pace,
    Port,
    address_of,
    families,
    has_selector,
    hostname_of,
    index_backends,
    inherited_labels,
    is_external_name,
    pod_matters,
    pods_of,
    ports_of,
    publishes_not_ready,
    services_of,
    target_ref,
    who_serves,
)

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MAX_ADDRESSES = 1000


def build(context: Context) -> "EndpointsController":
    return EndpointsController(context)


def plan_endpoints(service: Obj, pods: Iterable[Obj]) -> Obj:
    """The Endpoints as they should be, without what the API server adds."""
    there = list(pods)
    serves = who_serves(there)
    found = [e for e in (_entry(service, pod, serves) for pod in there) if e is not None]
    # Ready addresses first: what does not fit is cut from the end.
    found.sort(key=lambda e: (not e[0], e[1]["ip"], e[1]["targetRef"]["uid"]))
    kept = found[:MAX_ADDRESSES]
    key = key_of(service)
    meta: Obj = {
        "name": key.name,
        "namespace": key.namespace,
        "labels": inherited_labels(service, reserved=(MANAGED_BY,)) | {MANAGED_BY: MANAGER},
    }
    if len(kept) < len(found):
        meta["annotations"] = {OVER_CAPACITY: "truncated"}
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": meta,
        "subsets": _subsets(kept),
    }


Entry = tuple[bool, Obj, tuple[Port, ...]]


def _entry(service: Obj, pod: Obj, serves: Callable[[Obj], bool]) -> Entry | None:
    """Ready or not, address, ports; None where the pod is not to be called (any more)."""
    unready_too = publishes_not_ready(service)
    if is_deleting(pod) and not unready_too:
        return None
    address = address_of(pod, families(service)[0])
    ports = ports_of(service, pod)
    if address is None or (not ports and service["spec"].get("ports")):
        return None
    entry: Obj = {"ip": address, "targetRef": target_ref(pod)}
    if node_name(pod):
        entry["nodeName"] = node_name(pod)
    if host := hostname_of(pod, service):
        entry["hostname"] = host
    return unready_too or serves(pod), entry, ports


def _subsets(entries: Sequence[Entry]) -> list[Obj]:
    """Addresses with the same ports share a subset, as RepackSubsets; sorted, so that equal
    endpoints are equal objects."""
    by_ports: dict[tuple[Port, ...], tuple[list[Obj], list[Obj]]] = {}
    for ready, address, ports in entries:
        by_ports.setdefault(ports, ([], []))[0 if ready else 1].append(address)
    return [_subset(ports, *by_ports[ports]) for ports in sorted(by_ports)]


def _subset(ports: tuple[Port, ...], ready: list[Obj], not_ready: list[Obj]) -> Obj:
    shown = [{k: v for k, v in port if (k, v) != ("name", "")} for port in ports]
    subset: Obj = {}
    if ready:
        subset["addresses"] = ready
    if not_ready:
        subset["notReadyAddresses"] = not_ready
    return subset | ({"ports": shown} if shown else {})


def merged(existing: Obj, wanted: Obj) -> Obj | None:
    """``existing`` brought to ``wanted``; None where they agree already."""
    keep = {k: v for k, v in annotations(existing).items() if k != OVER_CAPACITY}
    noted = keep | annotations(wanted)
    same = (
        labels(existing) == labels(wanted)
        and (existing.get("subsets") or []) == wanted["subsets"]
        and annotations(existing) == noted
    )
    if same:
        return None
    meta = {**existing["metadata"], "labels": labels(wanted)}
    meta.pop("annotations", None)
    if noted:
        meta["annotations"] = noted
    return {**existing, "metadata": meta, "subsets": wanted["subsets"]}


class EndpointsController:
    """Owns Endpoints of Services with a selector; deletes those of Services that are deleted."""

    name = "endpoint-controller"
    kind = SERVICE

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._services = context.informers.get(SERVICE)
        self._pods = context.informers.get(POD)
        index_backends(self._services, self._pods)
        self._endpoints = context.informers.get(ENDPOINTS)
        self._pace = Pace(context.clock)
        self.watches: Sequence[Watch] = (
            ForKind(SERVICE),
            Mapped(POD, lambda pod: services_of(self._services, pod), when=pod_matters),
            # Only a deletion: Endpoints that users write for themselves are theirs.
            ForKind(ENDPOINTS, when=lambda old, new: new is None),
        )

    async def reconcile(self, key: Key) -> Result:
        service, existing = self._services.get(key), self._endpoints.get(key)
        if service is None:
            await self._delete(existing)
            return DONE
        if is_external_name(service) or not has_selector(service):
            return DONE
        if wait := self._pace.wait(key):
            return Result(requeue_after=wait)
        wanted = plan_endpoints(service, pods_of(self._pods, service))
        if existing is None:
            self._pace.wrote(key)
            await self._client.create(ENDPOINTS, wanted)
        elif (new := merged(existing, wanted)) is not None:
            self._pace.wrote(key)
            await self._client.update(ENDPOINTS, new)
        return DONE

    async def _delete(self, existing: Obj | None) -> None:
        if existing is None:
            return
        with suppress(NotFound):
            await self._client.delete(
                ENDPOINTS, key_of(existing), preconditions={"uid": existing["metadata"]["uid"]}
            )
