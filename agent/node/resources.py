"""Capacity and allocatable: what the machine has, and what of it pods may ask for. Pure.

As node_container_manager_linux.go GetNodeAllocatableReservation: what is reserved for the system
and edgek goes off, and what the hard thresholds of eviction keep free; huge pages are no memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from agent.kubelet_args import KubeletArgs
from agent.node.facts import Facts
from agent.runtime.runtime import Resources
from edgek.api.quantity import format_quantity

HARD_SIGNALS = {"memory": "memory.available", "ephemeral-storage": "nodefs.available"}


@dataclass(frozen=True, kw_only=True)
class NodeResources:
    """Texts as the Node object has them, extended resources among them."""

    capacity: Mapping[str, str] = field(default_factory=dict)
    allocatable: Mapping[str, str] = field(default_factory=dict)


def node_resources(
    facts: Facts,
    args: KubeletArgs,
    *,
    max_pods: int,
    devices: Mapping[str, tuple[int, int]] | None = None,
) -> NodeResources:
    """``devices``: extended resource -> how many there are, and how many of them work."""
    found = devices or {}
    capacity = {
        "cpu": str(facts.cpus),
        "memory": f"{facts.memory // 1024}Ki",
        "ephemeral-storage": f"{facts.storage // 1024}Ki",
        "pods": str(max_pods),
        **{name: _bytes(size) for name, size in facts.hugepages.items()},
    }
    hugepages = sum(facts.hugepages.values())
    memory: Fraction = facts.memory - _kept_free(facts, args, "memory") - hugepages
    storage: Fraction = facts.storage - _kept_free(facts, args, "ephemeral-storage")
    cpu = facts.cpus - args.reserved.get("cpu", Fraction(0))
    allocatable = capacity | {
        "cpu": format_quantity(max(cpu, Fraction(0))),
        "memory": f"{max(int(memory), 0) // 1024}Ki",
        "ephemeral-storage": str(max(int(storage), 0)),
    }
    return NodeResources(
        capacity=capacity | {name: str(there) for name, (there, _) in found.items()},
        allocatable=allocatable | {name: str(works) for name, (_, works) in found.items()},
    )


def _bytes(size: int) -> str:
    return format_quantity(size, binary=True)


def _kept_free(facts: Facts, args: KubeletArgs, resource: str) -> Fraction:
    total = facts.memory if resource == "memory" else facts.storage
    hard = _hard(args, HARD_SIGNALS[resource], total)
    return args.reserved.get(resource, Fraction(0)) + hard


def _hard(args: KubeletArgs, signal: str, capacity: int) -> Fraction:
    found = (t.value.of(capacity) for t in args.thresholds if t.signal == signal and t.hard)
    return max(found, default=Fraction(0))


def pods_cgroup(facts: Facts, args: KubeletArgs) -> Resources:
    """Limits of the cgroup above all pods: what is reserved is out of their reach, what hard
    thresholds keep free is not, or they would be killed before one could be evicted. CPU is
    shared, not cut. Without a reservation the limits are the whole machine, which also takes
    back those of before."""
    reserved = args.reserved if args.enforce else {}
    cpu, memory, pids = (reserved.get(name, Fraction(0)) for name in ("cpu", "memory", "pid"))
    shares = int((facts.cpus - cpu) * 1024)
    return Resources(
        cpu_shares=max(shares, 2),
        memory_limit_bytes=max(int(facts.memory - memory), 1),
        pids_limit=max(facts.pids - int(pids), 1) if pids and facts.pids else 0,
    )
