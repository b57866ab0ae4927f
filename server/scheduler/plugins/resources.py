"""NodeResourcesFit and NodeResourcesBalancedAllocation: room, much of it, evenly used."""

from server.scheduler.node_info import NodeInfo
from server.scheduler.plugins.plugin import PASS, Check, Rate, Reasons, Unresolvable
from server.scheduler.pod_info import PodInfo


def check_resources(pod: PodInfo) -> Check | None:
    wanted = [(name, number) for name, number in pod.requests.items() if number > 0]

    def check(node: NodeInfo) -> Reasons:
        room, used = node.allocatable, node.requested
        for name, number in wanted:
            if number > room.get(name, 0) - used.get(name, 0):
                return _reasons(node)
        return PASS if len(node.pods) < room.get("pods", 0) else _reasons(node)

    def _reasons(node: NodeInfo) -> Reasons:
        """All that is short, as fitsRequest lists it; only built for a node that is refused."""
        short = [
            f"Insufficient {name}"
            for name, number in wanted
            if number > node.allocatable.get(name, 0) - node.requested.get(name, 0)
        ]
        if len(node.pods) >= node.allocatable.get("pods", 0):
            short.insert(0, "Too many pods")
        # What the node would lack even when it is empty, no preemption can give it.
        never = any(number > node.allocatable.get(name, 0) for name, number in wanted)
        return Unresolvable(short) if never else tuple(short)

    return check


def _shares(pod: PodInfo, node: NodeInfo) -> tuple[float, float]:
    """How much of cpu and memory would be used with the pod there, 0 to 1."""
    room = node.allocatable
    cpu, memory = room.get("cpu", 0), room.get("memory", 0)
    return (
        min((node.score_cpu + pod.score_cpu) / cpu, 1.0) if cpu else 1.0,
        min((node.score_memory + pod.score_memory) / memory, 1.0) if memory else 1.0,
    )


def rate_free(pod: PodInfo) -> Rate | None:
    """LeastAllocated: what share stays free, cpu and memory alike."""

    def rate(node: NodeInfo) -> float:
        cpu, memory = _shares(pod, node)
        return 100 - 50 * (cpu + memory)

    return rate


def rate_balance(pod: PodInfo) -> Rate | None:
    """Nodes whose cpu and memory fill up alike; says nothing of pods that ask for neither."""
    if not (pod.requests.get("cpu") or pod.requests.get("memory")):
        return None

    def rate(node: NodeInfo) -> float:
        cpu, memory = _shares(pod, node)
        return 100 - 50 * abs(cpu - memory)

    return rate
