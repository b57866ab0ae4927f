"""Which EndpointSlices a Service should have, and the fewest writes that get there; pure.

As k8s.io/endpointslice reconciler.go: at most 100 endpoints a slice, endpoints stay in the slice
they are in, new ones fill slices that are written anyway before others, and a Service without
endpoints keeps one empty slice, so that readers can tell "none" from "not yet".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edgek.api.meta import Obj, get_path, hash_of, is_deleting, key_of, labels, owner_reference, uid
from edgek.kinds.pods import node_name
from server.controllers.service_backends import (
    Port,
    address_of,
    families,
    hostname_of,
    inherited_labels,
    ports_of,
    publishes_not_ready,
    target_ref,
    who_serves,
)

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
ZONE = "topology.kubernetes.io/zone"
MAX_ENDPOINTS = 100

Group = tuple[str, tuple[Port, ...]]
"""Address type and ports: endpoints that may share a slice."""
Id = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class SlicePlan:
    create: Sequence[Obj] = ()
    update: Sequence[Obj] = ()
    delete: Sequence[Obj] = ()

    def __bool__(self) -> bool:
        return bool(self.create or self.update or self.delete)


@dataclass
class _Draft:
    """A slice on its way: ``existing`` is None for a new one."""

    group: Group
    existing: Obj | None = None
    endpoints: list[Obj] = field(default_factory=list)
    changed: bool = False

    @property
    def room(self) -> int:
        return MAX_ENDPOINTS - len(self.endpoints)


def endpoint_of(
    service: Obj, pod: Obj, address: str, zones: Mapping[str, str | None], *, serving: bool
) -> Obj:
    """As podToEndpoint: ready is what old readers go by, serving what draining ones do."""
    terminating = is_deleting(pod)
    ready = publishes_not_ready(service) or (serving and not terminating)
    endpoint: Obj = {
        "addresses": [address],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": target_ref(pod),
    }
    if node := node_name(pod):
        endpoint["nodeName"] = node
        if zone := zones.get(node):
            endpoint["zone"] = zone
    if host := hostname_of(pod, service):
        endpoint["hostname"] = host
    return endpoint


def _desired(
    service: Obj, pods: Iterable[Obj], zones: Mapping[str, str | None]
) -> dict[Group, dict[Id, Obj]]:
    out: dict[Group, dict[Id, Obj]] = {}
    there = list(pods)
    serves = who_serves(there)
    for pod in there:
        ports = ports_of(service, pod)
        for family in families(service):
            address = address_of(pod, family)
            if address is not None:
                endpoint = endpoint_of(service, pod, address, zones, serving=serves(pod))
                out.setdefault((family, ports), {})[_id(endpoint)] = endpoint
    return out


def _id(endpoint: Obj) -> Id:
    ref = endpoint.get("targetRef") or {}
    return ref.get("uid", ""), (endpoint.get("addresses") or [""])[0]


def group_of(slice_: Obj) -> Group:
    ports = [
        tuple(sorted((k, v) for k, v in port.items() if v is not None))
        for port in slice_.get("ports") or ()
    ]
    return slice_.get("addressType", ""), tuple(sorted(ports))


def plan_slices(
    service: Obj,
    pods: Iterable[Obj],
    slices: Iterable[Obj],
    zones: Mapping[str, str | None],
) -> SlicePlan:
    """``slices`` are those of this Service that this controller manages."""
    left = _desired(service, pods, zones)
    drafts = [_kept(slice_, left) for slice_ in sorted(slices, key=lambda s: key_of(s))]
    for group, endpoints in sorted(left.items()):
        drafts += _placed(group, list(endpoints.values()), drafts)
    kept = [d for d in drafts if d.endpoints]
    empty = [d for d in drafts if not d.endpoints]
    for family in families(service):
        if not any(d.group[0] == family for d in kept):
            kept.append(_placeholder(family, empty))
    _recycle(kept, empty)
    return _plan(service, kept, empty)


def _kept(slice_: Obj, left: dict[Group, dict[Id, Obj]]) -> _Draft:
    """The slice with what is still wanted of it, as it should be now; takes it from ``left``."""
    draft = _Draft(group_of(slice_), slice_)
    wanted = left.get(draft.group, {})
    had = slice_.get("endpoints") or []
    now = [wanted.pop(_id(e), None) for e in had]
    draft.endpoints = [e for e in now if e is not None]
    draft.changed = draft.endpoints != had
    return draft


def _placed(group: Group, endpoints: list[Obj], drafts: Sequence[_Draft]) -> list[_Draft]:
    """Puts new endpoints where they cost the fewest writes; returns the slices this adds."""
    open_ = [d for d in drafts if d.group == group and d.room]
    # Slices written anyway first, then full ones, so that few stay half empty.
    for draft in sorted(open_, key=lambda d: (not d.changed, d.room)):
        taken, endpoints = endpoints[: draft.room], endpoints[draft.room :]
        if taken:
            draft.endpoints, draft.changed = [*draft.endpoints, *taken], True
    chunks = range(0, len(endpoints), MAX_ENDPOINTS)
    return [_Draft(group, None, endpoints[i : i + MAX_ENDPOINTS], True) for i in chunks]


def _placeholder(family: str, empty: list[_Draft]) -> _Draft:
    """Each address type has a slice, though it may say that there is nobody."""
    group: Group = (family, ())
    same = [d for d in empty if d.group[0] == family]
    if not same:
        return _Draft(group, changed=True)
    draft = next((d for d in same if d.group == group and not d.changed), same[0])
    empty.remove(draft)
    return _Draft(group, draft.existing, [], draft.changed or draft.group != group)


def _recycle(kept: list[_Draft], empty: list[_Draft]) -> None:
    """A slice to be dropped becomes one to be made: one write, and readers see no gap."""
    for new in [d for d in kept if d.existing is None]:
        old = next((d for d in empty if d.group[0] == new.group[0]), None)
        if old is not None:
            new.existing = old.existing
            empty.remove(old)


def _plan(service: Obj, kept: Sequence[_Draft], empty: Sequence[_Draft]) -> SlicePlan:
    wanted = slice_labels(service)
    taken = {key_of(d.existing).name for d in (*kept, *empty) if d.existing is not None}
    create, update = [], []
    for draft in kept:
        if draft.existing is None:
            create.append(_new(service, draft, _free_name(service, taken)))
        elif draft.changed or labels(draft.existing) != wanted:
            update.append(_changed(service, draft, draft.existing))
    delete = [d.existing for d in empty if d.existing is not None]
    return SlicePlan(create=create, update=update, delete=delete)


def slice_labels(service: Obj) -> dict[str, str]:
    own = {SERVICE_NAME: key_of(service).name, MANAGED_BY: MANAGER}
    return inherited_labels(service, reserved=own) | own


def _free_name(service: Obj, taken: set[str]) -> str:
    """NB: not random. Should the cache not show a slice yet that we made a moment ago, making
    it again fails (AlreadyExists) instead of adding a twin."""
    number = 0
    while True:
        suffix = hash_of(f"{uid(service)}/{number}", length=5)
        found = f"{key_of(service).name[:57]}-{suffix}"
        if found not in taken:
            taken.add(found)
            return found
        number += 1


def _ports(draft: _Draft) -> list[Obj]:
    return [dict(port) for port in draft.group[1]]


def _new(service: Obj, draft: _Draft, name: str) -> Obj:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": key_of(service).namespace,
            "labels": slice_labels(service),
            "ownerReferences": [owner_reference({"apiVersion": "v1", "kind": "Service"} | service)],
        },
        "addressType": draft.group[0],
        "endpoints": draft.endpoints,
        "ports": _ports(draft),
    }


def _changed(service: Obj, draft: _Draft, existing: Obj) -> Obj:
    meta = {**existing["metadata"], "labels": slice_labels(service)}
    return {**existing, "metadata": meta, "endpoints": draft.endpoints, "ports": _ports(draft)}


def service_of(slice_: Obj) -> str:
    return labels(slice_).get(SERVICE_NAME, "")


def is_managed(slice_: Obj) -> bool:
    return labels(slice_).get(MANAGED_BY) == MANAGER


def zone_of(node: Obj | None) -> str | None:
    found: str | None = get_path(node, "metadata", "labels", ZONE)
    return found
