"""The table of Services, as printService in printers.go."""

from edgek.api.meta import Obj, get_path
from edgek.kinds.columns import NONE, UNKNOWN, cell, format_labels
from edgek.kinds.kind import AGE, NAME, Column


def _ports(service: Obj) -> str:
    """``80/TCP,443:30443/TCP``: the second number is the node port."""
    out = []
    for port in get_path(service, "spec", "ports", default=()):
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        out.append(f"{port['port']}{node}/{port.get('protocol') or 'TCP'}")
    return ",".join(out) or NONE


def _external(service: Obj) -> str:
    spec = service.get("spec") or {}
    ips = list(spec.get("externalIPs") or ())
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return ",".join(ips) or NONE
        case "LoadBalancer":
            ingress = get_path(service, "status", "loadBalancer", "ingress", default=())
            given = [i.get("ip") or i.get("hostname") for i in ingress]
            return ",".join([*(g for g in given if g), *ips]) or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName"))
    return UNKNOWN


SERVICE_COLUMNS = (
    NAME,
    Column(name="Type", read=cell("spec", "type"), description="How the service is exposed."),
    Column(
        name="Cluster-IP",
        read=cell("spec", "clusterIP", default=NONE),
        description="Its address inside the cluster.",
    ),
    Column(name="External-IP", read=_external, description="Its addresses outside."),
    Column(name="Port(s)", read=_ports, description="Its ports, with node ports and protocols."),
    AGE,
    Column(
        name="Selector",
        read=lambda service: format_labels(get_path(service, "spec", "selector")),
        priority=1,
        description="Which pods are behind it.",
    ),
)
