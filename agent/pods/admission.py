"""Whether this node can take a pod it was given: resources, host ports, node. Pure.

As the kubelet's admission (pkg/kubelet/lifecycle/predicate.go): the scheduler knows less than the
node and daemon pods may bypass it. A refused pod is Failed with the reason; it is not retried.
"""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from agent.pods.state import Failure
from edgek.api.meta import Obj
from edgek.api.quantity import format_quantity, parse_quantity
from edgek.kinds.pods import containers, init_containers, pod_requests

UNSUPPORTED_CONTAINER = ("volumeDevices",)
UNSUPPORTED_SPEC = ("ephemeralContainers", "runtimeClassName", "resourceClaims")


def admit(pod: Obj, others: Iterable[Obj], allocatable: Mapping[str, Any]) -> Failure | None:
    """``others`` are the pods that hold resources here now."""
    others = list(others)
    return _fits(pod, others, allocatable) or _ports_free(pod, others)


def _fits(pod: Obj, others: list[Obj], allocatable: Mapping[str, Any]) -> Failure | None:
    used: dict[str, Fraction] = {"pods": Fraction(len(others))}
    for other in others:
        for resource, amount in pod_requests(other).items():
            used[resource] = used.get(resource, Fraction(0)) + amount
    wanted = {"pods": Fraction(1), **pod_requests(pod)}
    for resource, amount in wanted.items():
        have = parse_quantity(allocatable.get(resource, 0))
        if amount and used.get(resource, Fraction(0)) + amount > have:
            message = (
                f"Node didn't have enough resource: {resource}, requested: "
                f"{_text(amount, resource)}, used: "
                f"{_text(used.get(resource, Fraction(0)), resource)}, capacity: "
                f"{_text(have, resource)}"
            )
            return Failure(reason=f"OutOf{resource}", message=message)
    return None


def _text(amount: Fraction, resource: str) -> str:
    return str(-(-amount * 1000 // 1)) if resource == "cpu" else format_quantity(amount)


def host_ports(pod: Obj) -> Iterator[tuple[str, str, int]]:
    """(host IP, protocol, port) that the pod takes of the node."""
    network = (pod.get("spec") or {}).get("hostNetwork")
    for container in (*containers(pod), *init_containers(pod)):
        for port in container.get("ports") or ():
            number = port.get("hostPort") or (port["containerPort"] if network else 0)
            if number:
                address = port.get("hostIP") or "0.0.0.0"
                yield address, port.get("protocol") or "TCP", number


def _ports_free(pod: Obj, others: list[Obj]) -> Failure | None:
    taken = [port for other in others for port in host_ports(other)]
    for address, protocol, number in host_ports(pod):
        for other_address, other_protocol, other_number in taken:
            same = (protocol, number) == (other_protocol, other_number)
            if same and (address == other_address or "0.0.0.0" in (address, other_address)):
                message = (
                    "Node didn't have free ports for the requested pod ports: "
                    f"{protocol} {number} is taken"
                )
                return Failure(reason="NodePorts", message=message)
    return None


def unsupported_fields(pod: Obj) -> Iterator[str]:
    """Fields that would be ignored: users must learn of it."""
    spec = pod.get("spec") or {}
    yield from (f"spec.{field}" for field in UNSUPPORTED_SPEC if spec.get(field))
    for place in ("initContainers", "containers"):
        for i, container in enumerate(spec.get(place) or ()):
            for field in UNSUPPORTED_CONTAINER:
                if container.get(field):
                    yield f"spec.{place}[{i}].{field}"
