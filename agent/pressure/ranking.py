"""Which pod is to go first, and the words for it. Pure.

As pkg/kubelet/eviction/helpers.go: pods above what they asked for come first, then those of low
priority, then by how far they are above. A pod nothing is known of comes before all. For process
ids there is no request: priority, then their number.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from agent.kubelet_args import Threshold
from agent.pressure.signals import RESOURCES, Observations
from edgek.api.meta import Obj, get_path, uid
from edgek.api.quantity import format_quantity, parse_quantity
from edgek.kinds.pods import containers, init_containers, pod_requests


@dataclass(frozen=True, kw_only=True)
class ContainerUsage:
    """Bytes; ``memory`` None where it is not known."""

    memory: int | None = None
    logs: int = 0
    root: int = 0


@dataclass(frozen=True, kw_only=True)
class PodUsage:
    """``disk`` and ``inodes``: logs, writable layers and local volumes. ``volumes``: bytes of each
    emptyDir by name. Disk is measured only where it is asked for."""

    memory: int | None = None
    pids: int = 0
    disk: int = 0
    inodes: int = 0
    containers: Mapping[str, ContainerUsage] = field(default_factory=dict)
    volumes: Mapping[str, int] = field(default_factory=dict)


Usages = Mapping[str, PodUsage]
"""By uid of the pod."""


def rank(pods: Iterable[Obj], usages: Usages, *, resource: str) -> list[Obj]:
    """The first to evict first. ``resource`` as in ``signals.RESOURCES``."""
    order = _ORDER[resource]
    return sorted(pods, key=lambda pod: order(pod, usages.get(uid(pod))))


def _by_memory(pod: Obj, usage: PodUsage | None) -> tuple[int, int, Fraction]:
    asked = pod_requests(pod).get("memory", Fraction(0))
    return _key(pod, usage.memory if usage else None, asked, asked)


def _by_disk(pod: Obj, usage: PodUsage | None) -> tuple[int, int, Fraction]:
    asked = pod_requests(pod).get("ephemeral-storage", Fraction(0))
    return _key(pod, usage.disk if usage else None, asked, asked)


def _by_inodes(pod: Obj, usage: PodUsage | None) -> tuple[int, int, Fraction]:
    return _key(pod, usage.inodes if usage else None, Fraction(0), Fraction(0))


def _by_pids(pod: Obj, usage: PodUsage | None) -> tuple[int, int, Fraction]:
    return 0, priority(pod), Fraction(-usage.pids if usage else 0)


def _key(pod: Obj, used: int | None, asked: Fraction, less: Fraction) -> tuple[int, int, Fraction]:
    if used is None:
        return 0, 0, Fraction(0)
    return (1 if used > asked else 2), priority(pod), less - used


_ORDER: Mapping[str, Callable[[Obj, PodUsage | None], tuple[int, int, Fraction]]] = {
    "memory": _by_memory,
    "ephemeral-storage": _by_disk,
    "inodes": _by_inodes,
    "pids": _by_pids,
}


def priority(pod: Obj) -> int:
    return int(get_path(pod, "spec", "priority", default=0))


def eviction_message(
    pod: Obj, usage: PodUsage | None, threshold: Threshold, observations: Observations
) -> str:
    """As evictionMessage, with its blank at the end."""
    resource = RESOURCES[threshold.signal]
    text = f"The node was low on resource: {resource}. "
    seen = observations.get(threshold.signal)
    if seen is not None:
        binary = resource in ("memory", "ephemeral-storage")
        floor = format_quantity(int(threshold.value.of(seen.capacity)), binary=binary)
        left = format_quantity(seen.available, binary=binary)
        text += f"Threshold quantity: {floor}, available: {left}. "
    for container in (*containers(pod), *init_containers(pod)) if usage else ():
        text += _container_text(container, usage, resource)
    return text


def _container_text(container: Obj, usage: PodUsage | None, resource: str) -> str:
    own = usage.containers.get(container["name"]) if usage else None
    asked = parse_quantity(get_path(container, "resources", "requests", resource, default=0))
    used = None
    if own is not None and resource == "memory":
        used = own.memory
    elif own is not None and resource == "ephemeral-storage":
        used = own.root + own.logs
    if used is None or used <= asked:
        return ""
    return (
        f"Container {container['name']} was using {format_quantity(used, binary=True)}, request is "
        f"{format_quantity(asked, binary=True)}, has larger consumption of {resource}. "
    )
