"""/metrics/resource: what autoscalers and metrics-server read. Pure.

Names, labels and help as pkg/kubelet/metrics/collectors/resource_metrics.go.
"""

from collections.abc import Mapping

from agent.stats.exposition import Family
from agent.stats.snapshot import Snapshot
from agent.stats.usage import Usage
from edgek.api.meta import name, namespace

_ABOUT = {
    "cpu_usage_seconds_total": (
        "counter",
        "Cumulative cpu time consumed by the {} in core-seconds",
    ),
    "memory_working_set_bytes": ("gauge", "Current working set of the {} in bytes"),
    "swap_usage_bytes": ("gauge", "Current amount of the {} swap usage in bytes"),
}


def resource_families(snapshot: Snapshot) -> list[Family]:
    node = _families("node")
    pods, containers = _families("pod"), _families("container")
    started = Family(
        name="container_start_time_seconds",
        help="[STABLE] Start time of the container since unix epoch in seconds",
    )
    _add(node, snapshot.node, {})
    for pod in snapshot.pods:
        labels = {"namespace": namespace(pod.pod), "pod": name(pod.pod)}
        _add(pods, pod.usage, labels)
        for container in pod.containers:
            own = {"container": container.name, **labels}
            _add(containers, container.usage, own)
            if container.started_at is not None:
                started.add(container.started_at.timestamp(), own)
    failed = Family(
        name="resource_scrape_error",
        help="[STABLE] 1 if there was an error while getting container metrics, 0 otherwise",
    )
    failed.add(0, {})
    return [*containers.values(), started, *node.values(), *pods.values(), failed]


def _families(what: str) -> dict[str, Family]:
    return {
        key: Family(name=f"{what}_{key}", type=kind, help=f"[STABLE] {text.format(what)}")
        for key, (kind, text) in _ABOUT.items()
    }


def _add(families: Mapping[str, Family], usage: Usage, labels: Mapping[str, str]) -> None:
    if usage.cpu is not None:
        seconds = usage.cpu.usage_ns / 1e9
        families["cpu_usage_seconds_total"].add(seconds, labels, at=usage.time)
    if usage.memory is not None:
        memory = usage.memory
        families["memory_working_set_bytes"].add(memory.working_set, labels, at=usage.time)
        families["swap_usage_bytes"].add(memory.swap, labels, at=usage.time)
