"""Service: its addresses, its ports, and who answers behind them."""

from collections.abc import Iterable, Iterator

from edgek.api.meta import Obj
from edgek.cli.description.generic import head
from edgek.cli.description.layout import NONE, Fields, Value, pairs_text


def describe_service(service: Obj, slices: Iterable[Obj]) -> Fields:
    spec = service["spec"]
    answering = sorted(set(_endpoints(slices)))
    return Fields([
        *head(service),
        ("Selector", ",".join(pairs_text(spec.get("selector"))) or NONE),
        ("Type", spec.get("type", "ClusterIP")),
        ("IP Families", ",".join(spec.get("ipFamilies") or ()) or NONE),
        ("IP", spec.get("clusterIP") or NONE),
        *([("External Name", spec["externalName"])] if spec.get("externalName") else []),
        *[pair for port in spec.get("ports") or () for pair in _port(port)],
        ("Endpoints", [",".join(answering)] if answering else NONE),
        ("Session Affinity", spec.get("sessionAffinity") or "None"),
        ("Internal Traffic Policy", spec.get("internalTrafficPolicy") or "Cluster"),
    ])  # fmt: skip


def _port(port: Obj) -> list[tuple[str, Value]]:
    protocol = port.get("protocol", "TCP")
    name = port.get("name") or "<unset>"
    found: list[tuple[str, Value]] = [
        ("Port", f"{name}  {port['port']}/{protocol}"),
        ("TargetPort", f"{port.get('targetPort', port['port'])}/{protocol}"),
    ]
    if port.get("nodePort"):
        found.append(("NodePort", f"{name}  {port['nodePort']}/{protocol}"))
    return found


def _endpoints(slices: Iterable[Obj]) -> Iterator[str]:
    for part in slices:
        for endpoint in part.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is False:
                continue
            for address in endpoint["addresses"]:
                for port in part.get("ports") or ():
                    host = f"[{address}]" if ":" in address else address
                    yield f"{host}:{port['port']}"
