"""The addresses behind a name of a Service, ``NAME.NAMESPACE.svc``: pure, from the store.

The server has no cluster DNS and may have no service network, so endpoints are taken straight
from the EndpointSlices. Words as apiserver's proxy.ResolveEndpoint and ResolveCluster.
"""

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple

from edgek.api.meta import Key, Obj
from edgek.kinds import ENDPOINT_SLICE, SERVICE
from server.request.reader import Reader

SERVICE_NAME = "kubernetes.io/service-name"
_SUFFIX = ".svc"
_ROUTED = ("ClusterIP", "LoadBalancer", "NodePort")


class Address(NamedTuple):
    """``node`` and ``pod_uid``: whose address it is, "" where it is no pod's."""

    host: str
    port: int
    node: str = ""
    pod_uid: str = ""


class Unroutable(Exception):
    """There is no address; the text says why."""


def service_host(namespace: str, name: str) -> str:
    """The name that TLS verifies."""
    return f"{name}.{namespace}{_SUFFIX}"


def service_of(host: str) -> Key | None:
    """The Service that a host name means; None for the names of the rest of the world."""
    parts = host.removesuffix(_SUFFIX).split(".")
    if not host.endswith(_SUFFIX) or len(parts) != 2:
        return None
    return Key(parts[1], parts[0])


def addresses_of(reader: Reader, service: Key, port: int) -> list[Address]:
    """Where to try, in no particular order. Raises Unroutable. While a Service has no slice at
    all (its controller has not come to it), its own address is tried."""
    found = reader.get(SERVICE, service)
    if found is None:
        raise Unroutable(f'service "{service.name}" not found')
    spec: Mapping[str, Any] = found.get("spec") or {}
    kind = spec.get("type") or "ClusterIP"
    if kind == "ExternalName" and spec.get("externalName"):
        return [Address(spec["externalName"], port)]
    if kind not in _ROUTED:
        raise Unroutable(f'unsupported service type "{kind}"')
    named = next((p for p in spec.get("ports") or () if p["port"] == port), None)
    if named is None:
        raise Unroutable(f'no service port {port} found for service "{service.name}"')
    slices = list(slices_of(reader, service))
    if not slices and spec.get("clusterIP") not in (None, "", "None"):
        return [Address(spec["clusterIP"], port)]
    addresses = ready_addresses(slices, named.get("name") or "")
    if not addresses:
        raise Unroutable(f'no endpoints available for service "{service.name}"')
    return addresses


def slices_of(reader: Reader, service: Key) -> Iterable[Obj]:
    for obj in reader.list(ENDPOINT_SLICE, service.namespace):
        if (obj["metadata"].get("labels") or {}).get(SERVICE_NAME) == service.name:
            yield obj


def ready_addresses(slices: Iterable[Obj], port_name: str) -> list[Address]:
    found: list[Address] = []
    for obj in slices:
        ports = [
            p.get("port") for p in obj.get("ports") or () if (p.get("name") or "") == port_name
        ]
        if ports and ports[0]:
            found += _ready(obj, ports[0])
    return found


def _ready(obj: Obj, port: int) -> Iterable[Address]:
    for endpoint in obj.get("endpoints") or ():
        if (endpoint.get("conditions") or {}).get("ready", True) is not False:
            ref = endpoint.get("targetRef") or {}
            pod_uid = ref.get("uid") or "" if ref.get("kind") == "Pod" else ""
            node = endpoint.get("nodeName") or ""
            for host in endpoint.get("addresses") or ():
                if _is_ip(host):
                    yield Address(host, port, node, pod_uid if node else "")


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
