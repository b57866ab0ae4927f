"""Service addresses: what Services hold is compared with what can be held, and written down.

Each cluster IP has an IPAddress that says whose it is. Addresses and node ports are given out
within the write of a Service (server/registry/services.py), so two never get the same; what other
options or a restored file have left behind is told of in upstream's words, as
registry/core/service/ipallocator/controller/repairip.go and portallocator/controller/repair.go
do. Looked at once at the start and when something changes.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from edgek.api.errors import AlreadyExists, NotFound
from edgek.api.meta import Key, Obj, get_path, key_of, labels, name, uid
from edgek.api.time import parse_time
from edgek.control.controller import DONE, Context, Mapped, Result, Watch
from edgek.control.events import Source
from edgek.kinds import IP_ADDRESS, SERVICE

MANAGED_BY = "ipaddress.kubernetes.io/managed-by"
FAMILY = "ipaddress.kubernetes.io/ip-family"
MANAGER = "ipallocator.k8s.io"
BY_IP, BY_PORT, BY_SERVICE = "cluster-ip", "node-port", "service"
YOUNG = timedelta(seconds=60)
"""A Service this young has not lost its IPAddress: it is being made."""


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """What Services may hold, as the server was told."""

    services: str
    node_ports: range


@dataclass(frozen=True, kw_only=True)
class Complaint:
    reason: str
    message: str


def cluster_ips(service: Obj) -> list[str]:
    if get_path(service, "spec", "type") == "ExternalName":
        return []
    listed = get_path(service, "spec", "clusterIPs", default=[])
    found = listed or [get_path(service, "spec", "clusterIP", default="")]
    return [ip for ip in found if ip and ip != "None"]


def node_ports(service: Obj) -> list[int]:
    """Each once: protocols may share a number."""
    if get_path(service, "spec", "type") not in ("NodePort", "LoadBalancer"):
        return []
    ports = (p.get("nodePort") for p in get_path(service, "spec", "ports", default=()))
    return sorted({p for p in ports if p})


def plan_complaints(
    service: Obj, holders: Mapping[str | int, Sequence[Obj]], ranges: Ranges
) -> tuple[list[Complaint], list[Complaint]]:
    """Of its addresses and of its ports. ``holders``: the Services that hold each of them; of
    several the oldest does so rightly."""
    return (
        [c for ip in cluster_ips(service) for c in _of_address(service, ip, holders, ranges)],
        [c for port in node_ports(service) for c in _of_port(service, port, holders, ranges)],
    )


def _of_address(
    service: Obj, ip: str, holders: Mapping[str | int, Sequence[Obj]], ranges: Ranges
) -> Iterator[Complaint]:
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        text = f"Cluster IP {ip} is not a valid IP; please recreate service"
        yield Complaint(reason="ClusterIPNotValid", message=text)
        return
    shown = f"Cluster IP [IPv{address.version}]: {ip}"
    if address not in ipaddress.ip_network(ranges.services):
        text = f"{shown} is not within any configured Service CIDR; please recreate service"
        yield Complaint(reason="ClusterIPOutOfRange", message=text)
    elif not _is_first(service, holders.get(ip, ())):
        text = (
            f"Cluster IP [IPv{address.version}]:{ip} was assigned to multiple services; "
            "please recreate service"
        )
        yield Complaint(reason="ClusterIPAlreadyAllocated", message=text)


def _of_port(
    service: Obj, port: int, holders: Mapping[str | int, Sequence[Obj]], ranges: Ranges
) -> Iterator[Complaint]:
    low, high = ranges.node_ports[0], ranges.node_ports[-1]
    if port not in ranges.node_ports:
        text = f"Port {port} is not within the port range {low}-{high}; please recreate service"
        yield Complaint(reason="PortOutOfRange", message=text)
    elif not _is_first(service, holders.get(port, ())):
        text = f"Port {port} was assigned to multiple services; please recreate service"
        yield Complaint(reason="PortAlreadyAllocated", message=text)


def _is_first(service: Obj, holders: Sequence[Obj]) -> bool:
    order = sorted((s["metadata"].get("creationTimestamp") or "", uid(s)) for s in holders)
    return not order or order[0][1] == uid(service)


def address_object(ip: str, service: Obj) -> Obj:
    """As newIPAddress."""
    marks = {FAMILY: f"IPv{ipaddress.ip_address(ip).version}", MANAGED_BY: MANAGER}
    ref = {"group": "", "resource": "services"} | key_of(service)._asdict()
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {"name": ip, "labels": marks},
        "spec": {"parentRef": ref},
    }


def parent_of(address: Obj) -> Key | None:
    """The Service of an IPAddress that is ours to keep."""
    ref = get_path(address, "spec", "parentRef", default={})
    if labels(address).get(MANAGED_BY) != MANAGER or ref.get("resource") != "services":
        return None
    return Key(ref.get("namespace") or "", ref.get("name") or "")


class ServiceAddresses:
    name = "service-ip-repair-controller"
    kind = SERVICE

    def __init__(self, context: Context, ranges: Ranges) -> None:
        self._client = context.client
        self._clock = context.clock
        self._ip_voice = context.events.source("ipallocator-repair-controller")
        self._port_voice = context.events.source("portallocator-repair-controller")
        self._ranges = ranges
        self._services = context.informers.get(SERVICE)
        self._services.add_index(BY_IP, cluster_ips)
        self._services.add_index(BY_PORT, lambda s: [str(p) for p in node_ports(s)])
        self._addresses = context.informers.get(IP_ADDRESS)
        self._addresses.add_index(BY_SERVICE, lambda a: [str(k) for k in _parents(a)])
        self.watches: Sequence[Watch] = (
            Mapped(SERVICE, self._and_rivals, when=_holds_others),
            Mapped(IP_ADDRESS, self._of_address, when=lambda o, n: o is None or n is None),
        )

    def _and_rivals(self, service: Obj) -> Iterator[Key]:
        yield key_of(service)
        for ip in cluster_ips(service):
            yield from (key_of(s) for s in self._services.by_index(BY_IP, ip))
        for port in node_ports(service):
            yield from (key_of(s) for s in self._services.by_index(BY_PORT, str(port)))

    def _of_address(self, address: Obj) -> Iterator[Key]:
        yield from _parents(address)
        yield from (key_of(s) for s in self._services.by_index(BY_IP, name(address)))

    async def reconcile(self, key: Key) -> Result:
        service = self._services.get(key)
        held = [] if service is None else cluster_ips(service)
        for address in self._addresses.by_index(BY_SERVICE, str(key)):
            if name(address) not in held:
                with suppress(NotFound):
                    await self._client.delete(
                        IP_ADDRESS, key_of(address), preconditions={"uid": uid(address)}
                    )
        if service is not None:
            self._complain(service)
            for ip in held:
                await self._write_down(service, ip)
        return DONE

    def _complain(self, service: Obj) -> None:
        holders: dict[str | int, Sequence[Obj]] = {
            ip: self._services.by_index(BY_IP, ip) for ip in cluster_ips(service)
        }
        for port in node_ports(service):
            holders[port] = self._services.by_index(BY_PORT, str(port))
        of_ips, of_ports = plan_complaints(service, holders, self._ranges)
        _say(self._ip_voice, service, of_ips)
        _say(self._port_voice, service, of_ports)

    async def _write_down(self, service: Obj, ip: str) -> None:
        if self._addresses.get(Key("", ip)) is not None:
            return
        holders = self._services.by_index(BY_IP, ip)
        try:
            wanted = address_object(ip, service)
        except ValueError:  # told of as not valid
            return
        if not _is_first(service, holders):
            return
        made = parse_time(service["metadata"]["creationTimestamp"])
        if self._clock.now() - made > YOUNG:
            family = wanted["metadata"]["labels"][FAMILY]
            text = f"Cluster IP [{family}]: {ip} is not allocated; repairing"
            _say(self._ip_voice, service, [Complaint(reason="ClusterIPNotAllocated", message=text)])
        with suppress(AlreadyExists):
            await self._client.create(IP_ADDRESS, wanted)


def _say(voice: Source, service: Obj, complaints: Sequence[Complaint]) -> None:
    for complaint in complaints:
        voice.warning(service, complaint.reason, complaint.message)


def _parents(address: Obj) -> list[Key]:
    found = parent_of(address)
    return [] if found is None else [found]


def _holds_others(old: Obj | None, new: Obj | None) -> bool:
    if old is None or new is None:
        return True
    return (cluster_ips(old), node_ports(old)) != (cluster_ips(new), node_ports(new))


def build(context: Context, *, ranges: Ranges) -> ServiceAddresses:
    return ServiceAddresses(context, ranges)
