"""Whether this node can take a pod it was given. Pure.

As the kubelet's admission (pkg/kubelet/lifecycle/predicate.go and its neighbours): the scheduler
knows less than the node, and daemon and static pods bypass it. A refused pod is Failed with the
reason; it is not tried again. What a node never can is not decided here: see coverage.py.
"""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from agent.pods.memory import Host
from agent.pods.security import apparmor_problem
from agent.pods.state import Failure
from agent.pods.static import MIRROR, SOURCE
from agent.pods.sysctls import forbidden_sysctl
from edgek.api.meta import Obj, annotations, get_path, labels, name
from edgek.api.node_selector import parse_required
from edgek.api.quantity import parse_quantity
from edgek.api.taints import MEMORY_PRESSURE, NO_EXECUTE, NO_SCHEDULE, tolerated, untolerated
from edgek.kinds.pods import containers, init_containers, pod_requests, qos_class

OS_LABEL = "kubernetes.io/os"
SYSTEM_CRITICAL = 2_000_000_000
BY_NODE = ("NodeAffinity", "TaintToleration")
"""Reasons that the Node object gives: what is known of it may be old."""


def admit(pod: Obj, others: Iterable[Obj], host: Host) -> Failure | None:
    """``others`` are the pods that hold resources here now."""
    others = list(others)
    return (
        under_pressure(pod, host.pressure())
        or forbidden_sysctl(pod, host.security.unsafe_sysctls)
        or _system(pod)
        or crowded(pod, others, host.allocatable)
        or _wanted_here(pod, host)
        or apparmor_problem(pod, enabled=host.security.apparmor)
    )


def is_static(pod: Obj) -> bool:
    return annotations(pod).get(SOURCE, "api") != "api"


def is_critical(pod: Obj) -> bool:
    """As kubelettypes.IsCriticalPod: the node keeps it whatever it is short of."""
    system = get_path(pod, "spec", "priority", default=0) >= SYSTEM_CRITICAL
    return is_static(pod) or MIRROR in annotations(pod) or bool(system)


def under_pressure(pod: Obj, conditions: frozenset[str]) -> Failure | None:
    """As eviction_manager.go Admit: short of memory alone, only pods that ask for none are
    refused, and of those not the ones that tolerate it; else all but critical ones are."""
    if not conditions or is_critical(pod):
        return None
    if conditions == {"MemoryPressure"}:
        taint = {"key": MEMORY_PRESSURE, "effect": NO_SCHEDULE}
        if qos_class(pod) != "BestEffort" or tolerated(taint, pod["spec"].get("tolerations") or ()):
            return None
    text = " ".join(sorted(conditions))
    return Failure(reason="Evicted", message=f"The node had condition: [{text}]. ")


def _system(pod: Obj) -> Failure | None:
    if labels(pod).get(OS_LABEL, "linux") != "linux":
        message = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label"
        return Failure(reason="PodOSSelectorNodeLabelDoesNotMatch", message=message)
    if get_path(pod, "spec", "os", "name", default="linux") != "linux":
        message = "Failed to admit pod as the OS field doesn't match node OS"
        return Failure(reason="PodOSNotSupported", message=message)
    if get_path(pod, "spec", "securityContext", "supplementalGroupsPolicy") == "Strict":
        # Podman merges the image's groups, and status.features of this node says so.
        message = "SupplementalGroupsPolicy=Strict is not supported in this node"
        return Failure(reason="SupplementalGroupsPolicyNotSupported", message=message)
    return None


def crowded(pod: Obj, others: list[Obj], allocatable: Mapping[str, Any]) -> Failure | None:
    """Whether the pod has no place beside these."""
    return _fits(pod, others, allocatable) or _ports_free(pod, others)


def _fits(pod: Obj, others: list[Obj], allocatable: Mapping[str, Any]) -> Failure | None:
    for resource, (wanted, used, have) in shortages(pod, others, allocatable).items():
        message = (
            f"Node didn't have enough resource: {resource}, requested: {_text(wanted, resource)}, "
            f"used: {_text(used, resource)}, capacity: {_text(have, resource)}"
        )
        return Failure(reason=f"OutOf{resource}", message=message)
    return None


def shortages(
    pod: Obj, others: Iterable[Obj], allocatable: Mapping[str, Any]
) -> dict[str, tuple[Fraction, Fraction, Fraction]]:
    """Resource -> (requested, used, capacity) of those that do not suffice."""
    others = list(others)
    used: dict[str, Fraction] = {"pods": Fraction(len(others))}
    for other in others:
        for resource, amount in pod_requests(other).items():
            used[resource] = used.get(resource, Fraction(0)) + amount
    found = {}
    for resource, amount in {"pods": Fraction(1), **pod_requests(pod)}.items():
        have = parse_quantity(allocatable.get(resource, 0))
        taken = used.get(resource, Fraction(0))
        if amount and taken + amount > have:
            found[resource] = (amount, taken, have)
    return found


def _text(amount: Fraction, resource: str) -> str:
    """As upstream's int64: thousandths of a CPU, whole units of all else."""
    return str(-(-amount * (1000 if resource == "cpu" else 1) // 1))


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
                return _predicate(
                    "NodePorts", "node(s) didn't have free ports for the requested pod ports"
                )
    return None


def _wanted_here(pod: Obj, host: Host) -> Failure | None:
    """Against the Node object; where none is known yet, nothing is held against the pod."""
    node = host.node()
    if node is None:
        return None
    matches = parse_required(pod["spec"])
    if matches is not None and not matches(name(node), labels(node)):
        return _predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
    taints = get_path(node, "spec", "taints", default=())
    tolerations = pod["spec"].get("tolerations") or ()
    if not is_static(pod) and untolerated(taints, tolerations, (NO_EXECUTE,)):
        return _predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate")
    return None


def _predicate(name: str, text: str) -> Failure:
    return Failure(reason=name, message=f"Predicate {name} failed: {text}")
