"""What a change of the Node object is told as: pure. As kubelet_node_status.go and setters.go.

``kubectl describe node`` shows these beside the conditions; words and reasons are the kubelet's.
"""

from typing import NamedTuple

from edgek.api.conditions import find_condition
from edgek.api.meta import Obj, get_path

# condition -> the event when it becomes False and when it becomes True.
_CONDITIONS = {
    "MemoryPressure": ("NodeHasSufficientMemory", "NodeHasInsufficientMemory"),
    "DiskPressure": ("NodeHasNoDiskPressure", "NodeHasDiskPressure"),
    "PIDPressure": ("NodeHasSufficientPID", "NodeHasInsufficientPID"),
    "Ready": ("NodeNotReady", "NodeReady"),
}


class Happened(NamedTuple):
    reason: str
    message: str
    warning: bool = False


def reference(node_name: str) -> Obj:
    """The Node as events of an agent name it: by its name for a uid, as ``kubectl describe``
    looks for them."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node_name, "uid": node_name},
    }


def plan_happened(node: Obj, changes: Obj) -> list[Happened]:
    """``changes``: the merge patch for the status of ``node``."""
    status, name = changes.get("status") or {}, node["metadata"]["name"]
    old = get_path(node, "status", "conditions", default=[])
    found = []
    boot, before = (
        get_path(obj, "status", "nodeInfo", "bootID", default="") for obj in (changes, node)
    )
    if before and boot and before != boot:
        text = f"Node {name} has been rebooted, boot id: {boot}"
        found.append(Happened("Rebooted", text, warning=True))
    for kind, reasons in _CONDITIONS.items():
        new, last = find_condition(status.get("conditions") or [], kind), find_condition(old, kind)
        if new is None or (last is not None and last["status"] == new["status"]):
            continue
        if kind != "Ready" or last is not None or new["status"] == "True":
            found.append(_now(name, reasons[new["status"] == "True"]))
    return found


def schedulable(node: Obj, *, before: bool) -> Happened | None:
    """``before``: whether it was cordoned when we last looked."""
    cordoned = bool(get_path(node, "spec", "unschedulable", default=False))
    if cordoned == before:
        return None
    name = node["metadata"]["name"]
    return _now(name, "NodeNotSchedulable" if cordoned else "NodeSchedulable")


def _now(name: str, reason: str) -> Happened:
    return Happened(reason, f"Node {name} status is now: {reason}")
