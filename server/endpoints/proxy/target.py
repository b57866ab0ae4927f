"""Which pod and port a proxied name means. Pure.

As registry/core/pod/strategy.go ResourceLocation and registry/core/service/storage
ResourceLocation, with EndpointSlices for Endpoints.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edgek.api.errors import BadRequest, ServiceUnavailable
from edgek.api.meta import Obj, get_path, name, uid

SCHEMES = ("", "http", "https")
_HTTP, _HTTPS = 80, 443


@dataclass(frozen=True, kw_only=True)
class Named:
    """``[scheme:]name[:port]`` taken apart; ``asked`` is the whole."""

    scheme: str
    name: str
    port: str
    asked: str


@dataclass(frozen=True, kw_only=True)
class Place:
    """A port of a pod. ``host`` is what the pod is told that it is asked as."""

    scheme: str
    pod: Obj
    port: int

    @property
    def node(self) -> str:
        return str(get_path(self.pod, "spec", "nodeName", default=""))

    @property
    def host(self) -> str:
        address = get_path(self.pod, "status", "podIP", default="")
        return f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"


def split_name(text: str, what: str) -> Named:
    """As apimachinery util/net SplitSchemeNamePort. Raises BadRequest."""
    parts = text.split(":")
    if len(parts) == 3:
        scheme, found, port = parts
    else:
        scheme, found, port = "", parts[0], parts[1] if len(parts) == 2 else ""
    if not found or len(parts) > 3 or scheme not in SCHEMES:
        raise BadRequest(f'invalid {what} request "{text[:300]}"')
    return Named(scheme=scheme, name=found, port=port, asked=text)


def pod_place(named: Named, pod: Obj) -> Place:
    """Without a port: the first that a container of the pod names."""
    if not get_path(pod, "status", "podIP"):
        raise BadRequest("address not allowed")
    return Place(scheme=named.scheme, pod=pod, port=_pod_port(named, pod))


def _pod_port(named: Named, pod: Obj) -> int:
    ports = [p for c in pod["spec"].get("containers") or () for p in c.get("ports") or ()]
    if not named.port:
        default = _HTTPS if named.scheme == "https" else _HTTP
        return int(ports[0]["containerPort"]) if ports else default
    if named.port.isascii() and named.port.isdigit() and 0 < int(named.port[:6]) < 65536:
        return int(named.port)
    for port in ports:
        if port.get("name") == named.port:
            return int(port["containerPort"])
    raise BadRequest(f'invalid pod request "{named.asked[:300]}"')


def service_place(
    named: Named, service: Obj, slices: Iterable[Obj], pod_of: Callable[[str], Obj | None]
) -> Place:
    """Any ready endpoint. ``pod_of`` gives a pod of the service's namespace by its name. Raises
    ServiceUnavailable."""
    port_name = _port_name(named, service)
    found = [
        (endpoint, port)
        for slice_ in slices
        for port in slice_.get("ports") or ()
        if (port.get("name") or "") == port_name and port.get("port")
        for endpoint in slice_.get("endpoints") or ()
        if get_path(endpoint, "conditions", "ready", default=True) is not False
    ]
    random.shuffle(found)
    for endpoint, port in found:
        pod = _pod_behind(endpoint, pod_of)
        if pod is not None:
            return Place(scheme=named.scheme, pod=pod, port=int(port["port"]))
    raise ServiceUnavailable(f'no endpoints available for service "{named.asked[:300]}"')


def _port_name(named: Named, service: Obj) -> str:
    if not (named.port.isascii() and named.port.isdigit()):
        return named.port
    for port in get_path(service, "spec", "ports", default=[]):
        if port.get("port") == int(named.port[:9]):
            return str(port.get("name") or "")
    raise ServiceUnavailable(
        f'no service port {named.port[:9]} found for service "{name(service)}"'
    )


def _pod_behind(endpoint: Obj, pod_of: Callable[[str], Obj | None]) -> Obj | None:
    """As isValidAddress: an endpoint that somebody made by hand could be any address, so only
    those count that are a pod's own."""
    ref = endpoint.get("targetRef") or {}
    if ref.get("kind") != "Pod":
        return None
    pod = pod_of(ref.get("name") or "")
    if pod is None or (ref.get("uid") and ref["uid"] != uid(pod)):
        return None
    addresses = {ip.get("ip") for ip in get_path(pod, "status", "podIPs", default=[])}
    addresses.add(get_path(pod, "status", "podIP"))
    return pod if addresses & set(endpoint.get("addresses") or ()) else None
