"""The short report that the server makes metrics.k8s.io from. Pure.

As metrics-server's pkg/storage: a container that began within the window is counted from its
start; one whose usage is not known yet keeps its whole pod out, because half a pod would mislead
an autoscaler.
"""

from typing import Any

from agent.stats.rates import Rated
from agent.stats.snapshot import ContainerStats, PodStats
from agent.stats.usage import Usage
from edgek.api.meta import Obj, name, namespace, uid

LEAST_SECONDS = 0.5
"""Of a container's life before its rate means anything."""


def report(rated: Rated) -> Obj:
    """CPU in nanocores, memory (the working set) in bytes, times in seconds."""
    snapshot = rated.snapshot
    pods = [_pod(rated, pod) for pod in snapshot.pods]
    return {
        "timestamp": snapshot.node.time,
        "window": rated.window,
        "node": _figures(snapshot.node, rated.nano_cores("/")),
        "pods": [pod for pod in pods if pod is not None],
    }


def _pod(rated: Rated, pod: PodStats) -> Obj | None:
    containers = {c.name: _container(rated, c) for c in pod.containers}
    if not containers or None in containers.values():
        return None
    about = {"name": name(pod.pod), "namespace": namespace(pod.pod), "uid": uid(pod.pod)}
    return {**about, "containers": containers}


def _container(rated: Rated, stats: ContainerStats) -> dict[str, Any] | None:
    rate = rated.nano_cores(stats.path)
    if rate is None and stats.usage.cpu is not None and stats.started_at is not None:
        lived = stats.usage.time - stats.started_at.timestamp()
        rate = int(stats.usage.cpu.usage_ns / lived) if lived >= LEAST_SECONDS else None
    figures = _figures(stats.usage, rate)
    return figures if len(figures) == 2 else None


def _figures(usage: Usage, rate: int | None) -> dict[str, Any]:
    """Without what the machine does not count."""
    found: dict[str, Any] = {}
    if rate is not None:
        found["cpu"] = rate
    if usage.memory is not None:
        found["memory"] = usage.memory.working_set
    return found
