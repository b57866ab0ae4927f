"""Node: what the machine has, what runs there, and how much of it is asked for."""

from collections.abc import Iterable, Sequence
from fractions import Fraction

from edgek.api.meta import Obj, get_path
from edgek.api.quantity import add_resources, canonical, format_quantity, parse_quantity
from edgek.cli.description.generic import head
from edgek.cli.description.layout import NONE, Fields, Table, Value
from edgek.cli.description.pod import conditions_table

ROLE = "node-role.kubernetes.io/"
_SYSTEM = (
    ("Machine ID", "machineID"), ("Kernel Version", "kernelVersion"), ("OS Image", "osImage"),
    ("Operating System", "operatingSystem"), ("Architecture", "architecture"),
    ("Container Runtime Version", "containerRuntimeVersion"),
    ("Kubelet Version", "kubeletVersion"),
)  # fmt: skip


def describe_node(node: Obj, pods: Sequence[Obj]) -> Fields:
    spec, status = node["spec"], node.get("status") or {}
    labels = node["metadata"].get("labels") or {}
    roles = sorted(k.removeprefix(ROLE) for k in labels if k.startswith(ROLE))
    running = [p for p in pods if get_path(p, "status", "phase") not in ("Succeeded", "Failed")]
    name, *rest = head(node)
    return Fields([
        name,
        ("Roles", ",".join(roles) or NONE),
        *rest,
        ("CreationTimestamp", node["metadata"].get("creationTimestamp", "")),
        ("Taints", [_taint(t) for t in spec.get("taints") or ()]),
        ("Unschedulable", str(bool(spec.get("unschedulable"))).lower()),
        ("Conditions", conditions_table(node)),
        ("Addresses", Fields([(a["type"], a["address"]) for a in status.get("addresses") or ()])),
        ("Capacity", _resources(status.get("capacity"))),
        ("Allocatable", _resources(status.get("allocatable"))),
        ("System Info", Fields([(label, get_path(status, "nodeInfo", key, default=""))
                                for label, key in _SYSTEM])),
        ("PodCIDR", spec.get("podCIDR") or NONE),
        ("Non-terminated Pods", _pods(running)),
        ("Allocated resources", _allocated(running, status.get("allocatable") or {})),
    ])  # fmt: skip


def _taint(taint: Obj) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint['effect']}"


def _resources(amounts: Obj | None) -> Value:
    return Fields([(k, canonical(v)) for k, v in sorted((amounts or {}).items())])


def _pods(pods: Iterable[Obj]) -> Table:
    rows = [
        [p["metadata"]["namespace"], p["metadata"]["name"], *_asked_texts(p)]
        for p in sorted(pods, key=lambda p: (p["metadata"]["namespace"], p["metadata"]["name"]))
    ]
    header = ("Namespace", "Name", "CPU Requests", "CPU Limits", "Memory Requests", "Memory Limits")
    return Table(header, rows)


def _asked_texts(pod: Obj) -> list[str]:
    return [
        _amount(asked(pod, kind), resource)
        for resource in ("cpu", "memory")
        for kind in ("requests", "limits")
    ]


def asked(pod: Obj, kind: str) -> dict[str, Fraction]:
    """``requests`` or ``limits`` of all containers together."""
    return add_resources(
        *(get_path(c, "resources", kind, default={}) for c in pod["spec"]["containers"])
    )


def _amount(amounts: dict[str, Fraction], resource: str) -> str:
    return format_quantity(amounts.get(resource, Fraction(0)), binary=resource == "memory")


def _allocated(pods: Sequence[Obj], allocatable: Obj) -> Table:
    rows = []
    for resource in ("cpu", "memory"):
        total = parse_quantity(allocatable.get(resource, 0))
        cells = []
        for kind in ("requests", "limits"):
            amount = sum((asked(p, kind).get(resource, Fraction(0)) for p in pods), Fraction(0))
            share = f" ({int(amount * 100 / total)}%)" if total else ""
            cells.append(_amount({resource: amount}, resource) + share)
        rows.append([resource, *cells])
    return Table(("Resource", "Requests", "Limits"), rows)
