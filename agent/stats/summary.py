"""/stats/summary: the kubelet's own JSON of usage (stats/v1alpha1 Summary). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from agent.stats.disk import PodDisk
from agent.stats.rates import Rated
from agent.stats.snapshot import ContainerStats, PodStats
from agent.stats.usage import Filesystem, Network, Usage
from agent.stats.volumes import VolumeAt
from edgek.api.meta import Obj, get_path, name, namespace, uid
from edgek.api.time import format_time


@dataclass(frozen=True, kw_only=True)
class About:
    """What of the node is not in a snapshot. ``disks`` are the pods' by uid."""

    node_name: str
    booted: datetime
    max_pids: int
    node_fs: Filesystem | None = None
    image_fs: Filesystem | None = None
    disks: Mapping[str, PodDisk] = field(default_factory=dict)
    volumes: Mapping[VolumeAt, Filesystem] = field(default_factory=dict)


def summary(rated: Rated, about: About, *, only_cpu_and_memory: bool = False) -> Obj:
    """``only_cpu_and_memory``: the short form that autoscalers ask for."""
    node = _cpu_and_memory(rated, "/", rated.snapshot.node) | {
        "nodeName": about.node_name,
        "startTime": format_time(about.booted),
        "systemContainers": _system(rated),
    }
    pods = [_pod(rated, pod, about, short=only_cpu_and_memory) for pod in rated.snapshot.pods]
    if only_cpu_and_memory:
        return {"node": node, "pods": pods}
    snapshot = rated.snapshot
    node["fs"] = _filesystem(about.node_fs, snapshot.node.time)
    image_fs = _filesystem(about.image_fs, snapshot.node.time)
    node["runtime"] = {"imageFs": image_fs, "containerFs": image_fs}
    node["rlimit"] = {
        "time": _moment(snapshot.node.time),
        "maxpid": about.max_pids,
        "curproc": snapshot.node.pids or 0,
    }
    if (link := snapshot.interfaces.get(snapshot.link)) is not None:
        node["network"] = _network(link, snapshot.node.time)
    return {"node": node, "pods": pods}


def _system(rated: Rated) -> list[Obj]:
    usage = rated.snapshot.pods_usage
    if usage is None:
        return []
    return [{"name": "pods", **_cpu_and_memory(rated, "pods", usage)}]


def _pod(rated: Rated, pod: PodStats, about: About, *, short: bool) -> Obj:
    disk = about.disks.get(uid(pod.pod))
    found: Obj = {
        "podRef": {"name": name(pod.pod), "namespace": namespace(pod.pod), "uid": uid(pod.pod)},
        "startTime": get_path(pod.pod, "status", "startTime"),
        "containers": [_container(rated, c, about, disk, short=short) for c in pod.containers],
        **_cpu_and_memory(rated, pod.path, pod.usage),
    }
    if short:
        return found
    if pod.network is not None:
        found["network"] = _network(pod.network, pod.usage.time)
    if pod.usage.pids is not None:
        found["process_stats"] = {"process_count": pod.usage.pids}
    if disk is not None:
        total = _used(disk.total, about.node_fs, disk.time) | {"inodesUsed": disk.inodes}
        found["ephemeral-storage"] = total
    if volumes := [*_claimed(pod, about), *(_volumes(disk, about) if disk is not None else ())]:
        found["volume"] = volumes
    return found


def _container(
    rated: Rated, stats: ContainerStats, about: About, disk: PodDisk | None, *, short: bool
) -> Obj:
    started = stats.started_at
    found: Obj = {
        "name": stats.name,
        "startTime": format_time(started) if started is not None else None,
        **_cpu_and_memory(rated, stats.path, stats.usage),
    }
    if short or disk is None:
        return found
    if (layer := disk.layers.get(stats.name)) is not None:
        found["rootfs"] = _used(layer, about.image_fs, disk.time)
    if (logs := disk.logs.get(stats.name)) is not None:
        found["logs"] = _used(logs, about.node_fs, disk.time)
    return found


def _claimed(pod: PodStats, about: About) -> list[Obj]:
    return [
        {
            "name": volume.volume,
            "pvcRef": {"name": volume.claim, "namespace": volume.namespace},
            **_filesystem(filesystem, pod.usage.time),
        }
        for volume, filesystem in about.volumes.items()
        if volume.pod_uid == uid(pod.pod)
    ]


def _volumes(disk: PodDisk, about: About) -> list[Obj]:
    return [
        {"name": volume, **_used(use, about.node_fs, disk.time)}
        for volume, use in sorted(disk.volumes.items())
    ]


def _cpu_and_memory(rated: Rated, path: str, usage: Usage) -> Obj:
    moment = _moment(usage.time)
    found: Obj = {}
    if usage.cpu is not None:
        found["cpu"] = {"time": moment, "usageCoreNanoSeconds": usage.cpu.usage_ns}
        if (rate := rated.nano_cores(path)) is not None:
            found["cpu"]["usageNanoCores"] = rate
    if (memory := usage.memory) is None:
        return found
    found["memory"] = {
        "time": moment,
        "usageBytes": memory.usage,
        "workingSetBytes": memory.working_set,
        "rssBytes": memory.rss,
        "pageFaults": memory.page_faults,
        "majorPageFaults": memory.major_page_faults,
    }
    if memory.limit:
        found["memory"]["availableBytes"] = max(memory.limit - memory.working_set, 0)
    found["swap"] = {"time": moment, "swapUsageBytes": memory.swap}
    return found


def _network(link: Network, time: float) -> Obj:
    figures: dict[str, Any] = {
        "name": link.name,
        "rxBytes": link.rx_bytes,
        "rxErrors": link.rx_errors,
        "txBytes": link.tx_bytes,
        "txErrors": link.tx_errors,
    }
    return {"time": _moment(time), **figures, "interfaces": [figures]}


def _filesystem(found: Filesystem | None, time: float) -> Obj:
    if found is None:
        return {}
    return {
        "time": _moment(time),
        "availableBytes": found.available,
        "capacityBytes": found.capacity,
        "usedBytes": found.used,
        "inodesFree": found.inodes_free,
        "inodes": found.inodes,
        "inodesUsed": found.inodes_used,
    }


def _used(used: int, on: Filesystem | None, time: float) -> Obj:
    """A directory's part of the filesystem it is on."""
    found = _filesystem(on, time)
    found.pop("inodesUsed", None)
    return {**found, "time": _moment(time), "usedBytes": used}


def _moment(time: float) -> str:
    return format_time(datetime.fromtimestamp(time, UTC))
