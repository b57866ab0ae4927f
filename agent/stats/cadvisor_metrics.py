"""/metrics/cadvisor: every figure of every cgroup. Pure.

Names, types, labels and help as cadvisor's metrics/prometheus.go and the kubelet's
containerPrometheusLabelsFunc have them; a pod's own series have container="".
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from agent.stats.cadvisor_details import (
    Machine,
    disk_families,
    filesystem_families,
    limit_families,
    machine_families,
    pressure_families,
)
from agent.stats.exposition import Family
from agent.stats.snapshot import PodStats, Snapshot
from agent.stats.usage import Network, Usage
from edgek.api.meta import name, namespace

Labels = Mapping[str, str]
Read = Callable[[Usage], float | None]


class _Metric(NamedTuple):
    name: str
    type: str
    help: str
    read: Read
    more: Labels = MappingProxyType({})


def _cpu(of: str, unit: float = 1) -> Read:
    return lambda usage: getattr(usage.cpu, of) / unit if usage.cpu is not None else None


def _limited(of: str, unit: float = 1) -> Read:
    """Only of what has a CPU limit, as cadvisor."""
    return lambda usage: (
        getattr(usage.cpu, of) / unit if usage.cpu is not None and usage.cpu.periods else None
    )


def _memory(of: str) -> Read:
    return lambda usage: getattr(usage.memory, of) if usage.memory is not None else None


_FAULTS = "Cumulative count of memory allocation failures."
METRICS = (
    _Metric("container_cpu_usage_seconds_total", "counter",
            "Cumulative cpu time consumed in seconds.", _cpu("usage_ns", 1e9), {"cpu": "total"}),
    _Metric("container_cpu_user_seconds_total", "counter",
            "Cumulative user cpu time consumed in seconds.", _cpu("user_ns", 1e9)),
    _Metric("container_cpu_system_seconds_total", "counter",
            "Cumulative system cpu time consumed in seconds.", _cpu("system_ns", 1e9)),
    _Metric("container_cpu_cfs_periods_total", "counter",
            "Number of elapsed enforcement period intervals.", _limited("periods")),
    _Metric("container_cpu_cfs_throttled_periods_total", "counter",
            "Number of throttled period intervals.", _limited("throttled_periods")),
    _Metric("container_cpu_cfs_throttled_seconds_total", "counter",
            "Total time duration the container has been throttled.",
            _limited("throttled_ns", 1e9)),
    _Metric("container_last_seen", "gauge",
            "Last time a container was seen by the exporter", lambda usage: int(usage.time)),
    _Metric("container_memory_cache", "gauge",
            "Number of bytes of page cache memory.", _memory("cache")),
    _Metric("container_memory_failures_total", "counter", _FAULTS, _memory("page_faults"),
            {"failure_type": "pgfault", "scope": "hierarchy"}),
    _Metric("container_memory_failures_total", "counter", _FAULTS, _memory("major_page_faults"),
            {"failure_type": "pgmajfault", "scope": "hierarchy"}),
    _Metric("container_memory_mapped_file", "gauge",
            "Size of memory mapped files in bytes.", _memory("mapped")),
    _Metric("container_memory_max_usage_bytes", "gauge",
            "Maximum memory usage recorded in bytes", _memory("peak")),
    _Metric("container_memory_rss", "gauge", "Size of RSS in bytes.", _memory("rss")),
    _Metric("container_memory_swap", "gauge",
            "Container swap usage in bytes.", _memory("swap")),
    _Metric("container_memory_usage_bytes", "gauge",
            "Current memory usage in bytes, including all memory regardless of when it was "
            "accessed",
            _memory("usage")),
    _Metric("container_memory_working_set_bytes", "gauge",
            "Current working set in bytes.", _memory("working_set")),
    _Metric("container_oom_events_total", "counter",
            "Count of out of memory events observed for the container",
            lambda usage: usage.oom_kills),
    _Metric("container_spec_memory_limit_bytes", "gauge",
            "Memory limit for the container.", _memory("limit")),
    _Metric("container_threads", "gauge",
            "Number of threads running inside the container", lambda usage: usage.pids),
)  # fmt: skip

_NETWORK = {
    "receive_bytes": ("rx_bytes", "Cumulative count of bytes received"),
    "receive_errors": ("rx_errors", "Cumulative count of errors encountered while receiving"),
    "receive_packets_dropped": (
        "rx_dropped",
        "Cumulative count of packets dropped while receiving",
    ),
    "receive_packets": ("rx_packets", "Cumulative count of packets received"),
    "transmit_bytes": ("tx_bytes", "Cumulative count of bytes transmitted"),
    "transmit_errors": ("tx_errors", "Cumulative count of errors encountered while transmitting"),
    "transmit_packets_dropped": (
        "tx_dropped",
        "Cumulative count of packets dropped while transmitting",
    ),
    "transmit_packets": ("tx_packets", "Cumulative count of packets transmitted"),
}


def cadvisor_families(snapshot: Snapshot, about: Machine) -> list[Family]:
    rows = list(_rows(snapshot))
    found: dict[str, Family] = {}
    for metric in METRICS:
        family = found.setdefault(
            metric.name, Family(name=metric.name, type=metric.type, help=metric.help)
        )
        for labels, usage in rows:
            if (value := metric.read(usage)) is not None:
                family.add(value, _sorted({**labels, **metric.more}), at=usage.time)
    return [
        *found.values(), _started(snapshot), *_network(snapshot), *disk_families(rows),
        *filesystem_families(rows[0], about.filesystems), *limit_families(rows),
        *pressure_families(rows), *machine_families(about),
    ]  # fmt: skip


def _rows(snapshot: Snapshot) -> Iterable[tuple[dict[str, str], Usage]]:
    yield _labels("/"), snapshot.node
    for pod in snapshot.pods:
        yield _labels(pod.path, pod), pod.usage
        for container in pod.containers:
            image, own = container.container.image, container.container.id
            labels = _labels(pod.path, pod, container=container.name, image=image, name=own)
            yield labels | {"id": container.path}, container.usage


def _labels(path: str, pod: PodStats | None = None, **more: str) -> dict[str, str]:
    found = {"container": "", "id": path, "image": "", "name": "", "namespace": "", "pod": ""}
    if pod is not None:
        found |= {"namespace": namespace(pod.pod), "pod": name(pod.pod)}
    return found | more


def _sorted(labels: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(labels.items()))


def _started(snapshot: Snapshot) -> Family:
    family = Family(
        name="container_start_time_seconds",
        help="Start time of the container since unix epoch in seconds.",
    )
    for pod in snapshot.pods:
        for container in pod.containers:
            if container.started_at is not None:
                image, own = container.container.image, container.container.id
                labels = _labels(container.path, pod, container=container.name, image=image)
                moment = container.started_at.timestamp()
                family.add(moment, labels | {"name": own}, at=container.usage.time)
    return family


def _network(snapshot: Snapshot) -> Iterable[Family]:
    links: list[tuple[dict[str, str], Network, float]] = []
    if (own := snapshot.interfaces.get(snapshot.link)) is not None:
        links.append((_labels("/"), own, snapshot.node.time))
    links += [
        (_labels(pod.path, pod), pod.network, pod.usage.time)
        for pod in snapshot.pods
        if pod.network is not None
    ]
    for key, (field, text) in _NETWORK.items():
        family = Family(name=f"container_network_{key}_total", type="counter", help=text)
        for labels, link, time in links:
            family.add(getattr(link, field), _sorted(labels | {"interface": link.name}), at=time)
        yield family
