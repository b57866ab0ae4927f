"""Kubernetes objects -> netplug values. Pure.

As kube-proxy: an endpoint is used when ready; when none is, those that still serve while they
terminate; a port without either is refused. Objects come from a server that validated them or
from a checkpoint; what is not an IPv4 address is left out all the same. Not here: headless
services and ExternalName, which are names only (dns/zone.py); externalTrafficPolicy: Local.
"""

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from edgek.api.meta import Key, Obj, get_path, key_of, labels, name, namespace
from netplug import names
from netplug.model import Endpoint, HostPort, Peer, Service
from netplug.plugin import valid_peer

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
DEFAULT_AFFINITY_SECONDS = 10800


def pod_link(pod_uid: str) -> str:
    """The host's end of a pod's link, where its traffic is counted."""
    return names.veth(pod_uid)


def peers(nodes: Iterable[Obj], *, own_name: str) -> list[Peer]:
    """Every other node that has an address and a pod range."""
    found = (
        valid_peer(internal_ip(node), get_path(node, "spec", "podCIDR", default=""))
        for node in nodes
        if name(node) != own_name
    )
    return [peer for peer in found if peer is not None]


def internal_ip(node: Obj) -> str:
    for address in get_path(node, "status", "addresses", default=[]):
        if address.get("type") == "InternalIP" and is_ipv4(address.get("address")):
            return str(address["address"])
    return ""


@lru_cache(maxsize=4096)
def is_ipv4(value: object) -> bool:
    """Remembered: every change of any service looks at the addresses of all."""
    try:
        ipaddress.IPv4Address(str(value))
    except ValueError:
        return False
    return True


def slices_by_service(slices: Iterable[Obj]) -> dict[Key, list[Obj]]:
    """IPv4 slices under the service they belong to."""
    found: dict[Key, list[Obj]] = defaultdict(list)
    for each in slices:
        service = labels(each).get(SERVICE_NAME_LABEL)
        if service and each.get("addressType") == "IPv4":
            found[Key(namespace(each), service)].append(each)
    return dict(found)


def services(
    objects: Iterable[Obj], slices: Iterable[Obj], *, node_name: str, dns_ip: str
) -> list[Service]:
    """Every virtual IP and node port; the cluster DNS address is the agent's own affair."""
    by_service = slices_by_service(slices)
    found: list[Service] = []
    for service in sorted(objects, key=key_of):
        own = by_service.get(key_of(service), [])
        found += (each for each in _service(service, own, node_name=node_name) if each.ip != dns_ip)
    return found


def _service(service: Obj, slices: Sequence[Obj], *, node_name: str) -> Iterator[Service]:
    spec = service.get("spec") or {}
    virtual_ips = cluster_ips(service)
    if not virtual_ips:
        return
    local_only = spec.get("internalTrafficPolicy") == "Local"
    for port in spec.get("ports") or []:
        endpoints = tuple(_endpoints(slices, port))
        near = tuple(_endpoints(slices, port, node_name=node_name)) if local_only else endpoints
        plain = Service(
            ip="",
            protocol=str(port.get("protocol") or "TCP").lower(),
            port=int(port["port"]),
            endpoints=endpoints,
            affinity_seconds=_affinity_seconds(spec),
        )
        for ip in virtual_ips:
            yield replace(plain, ip=ip, endpoints=near)
        for ip in _external_ips(service):
            yield replace(plain, ip=ip)
        if port.get("nodePort"):
            yield replace(plain, node_port=int(port["nodePort"]))


def cluster_ips(service: Obj) -> list[str]:
    """IPv4 addresses of a service that has its own; none for headless and ExternalName."""
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return []
    given = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return [str(ip) for ip in given if is_ipv4(ip)]


def _external_ips(service: Obj) -> list[str]:
    given = get_path(service, "spec", "externalIPs", default=[])
    ingress = get_path(service, "status", "loadBalancer", "ingress", default=[])
    # ipMode Proxy: the balancer wants to see the traffic itself.
    balanced = [each.get("ip") for each in ingress if each.get("ipMode") != "Proxy"]
    return [str(ip) for ip in (*given, *balanced) if is_ipv4(ip)]


def _affinity_seconds(spec: Mapping[str, object]) -> int:
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    seconds = get_path(spec, "sessionAffinityConfig", "clientIP", "timeoutSeconds", default=0)
    return int(seconds) or DEFAULT_AFFINITY_SECONDS


def _endpoints(slices: Sequence[Obj], port: Obj, *, node_name: str = "") -> list[Endpoint]:
    """Sorted, so that the same endpoints give the same elements."""
    ready: set[Endpoint] = set()
    leaving: set[Endpoint] = set()
    for each in slices:
        number = slice_port(each, port)
        if not number:
            continue
        for endpoint in each.get("endpoints") or []:
            if node_name and endpoint.get("nodeName") != node_name:
                continue
            into = ready if is_ready(endpoint) else leaving if _is_leaving(endpoint) else None
            if into is not None:
                into |= {Endpoint(ip, number) for ip in endpoint["addresses"] if is_ipv4(ip)}
    return sorted(ready or leaving)


def slice_port(slice_: Obj, port: Obj) -> int:
    """A slice's number for a service's port: they meet by name and protocol. 0: none."""
    for each in slice_.get("ports") or []:
        same_name = (each.get("name") or "") == (port.get("name") or "")
        if same_name and (each.get("protocol") or "TCP") == (port.get("protocol") or "TCP"):
            return int(each.get("port") or 0)
    return 0


def is_ready(endpoint: Obj) -> bool:
    """Unknown counts as ready, as the EndpointSlice API says."""
    return get_path(endpoint, "conditions", "ready") is not False


def _is_leaving(endpoint: Obj) -> bool:
    conditions = endpoint.get("conditions") or {}
    return bool(conditions.get("terminating")) and conditions.get("serving") is not False


def host_ports(ip: str, ports: Iterable[Obj]) -> list[HostPort]:
    """A pod's container ports that have a hostPort. Not for 127.0.0.1: packets from there
    cannot leave the machine."""
    found = []
    for port in ports:
        host_ip = port.get("hostIP") or ""
        if not port.get("hostPort") or host_ip.startswith("127."):
            continue
        if host_ip and not is_ipv4(host_ip):
            continue
        found.append(
            HostPort(
                protocol=str(port.get("protocol") or "TCP").lower(),
                port=int(port["hostPort"]),
                endpoint=Endpoint(ip, int(port["containerPort"])),
                host_ip="" if host_ip == "0.0.0.0" else host_ip,
            )
        )
    return found
