"""Snapshot: what the node, its pods and their containers use at one moment.

``Collector.take`` reads some dozens of small kernel files; it is called in a thread, when
somebody asks, and never otherwise. Disk usage is not in it: that costs more (disk.py).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from agent.runtime.runtime import Container
from agent.stats import node, parse
from agent.stats.cgroups import CgroupReader, container_path
from agent.stats.usage import Network, Usage
from edgek.api.meta import Obj, uid

CONTAINER_NAME = "io.edgek.container-name"


@dataclass(frozen=True, kw_only=True)
class ContainerStats:
    """``path`` is the cgroup."""

    name: str
    container: Container
    path: str
    usage: Usage

    @property
    def started_at(self) -> datetime | None:
        return self.container.started_at


@dataclass(frozen=True, kw_only=True)
class PodStats:
    """``network`` is None for a pod on the host's network."""

    pod: Obj
    path: str
    usage: Usage
    containers: tuple[ContainerStats, ...] = ()
    network: Network | None = None


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """``link`` names the node's own interface; ``pods_usage`` is that of all pods together."""

    node: Usage
    pods: tuple[PodStats, ...]
    interfaces: Mapping[str, Network]
    link: str = ""
    pods_usage: Usage | None = None

    def counters(self) -> dict[str, tuple[float, int]]:
        """CPU nanoseconds by cgroup, with the time of each; "/" is the node, "pods" all pods."""
        found = {"/": self.node}
        if self.pods_usage is not None:
            found["pods"] = self.pods_usage
        for pod in self.pods:
            found[pod.path] = pod.usage
            found |= {c.path: c.usage for c in pod.containers}
        return {p: (u.time, u.cpu.usage_ns) for p, u in found.items() if u.cpu is not None}


@dataclass(frozen=True, kw_only=True)
class Collector:
    """``pods``: those of this node; ``containers`` of a pod by its uid; ``paths``: uid -> cgroup
    of those that have one; ``link`` names the host's end of a pod's link; ``root`` is the cgroup
    of all pods."""

    reader: CgroupReader
    pods: Callable[[], Iterable[Obj]]
    containers: Callable[[str], Iterable[Container]]
    paths: Callable[[], Mapping[str, str]]
    link: Callable[[str], str]
    root: str = ""

    def known(self) -> list[tuple[Obj, list[Container]]]:
        """What a snapshot is of; for the event loop, where it does not change meanwhile."""
        return [(pod, list(self.containers(uid(pod)))) for pod in self.pods()]

    def take(
        self, known: Iterable[tuple[Obj, list[Container]]], *, detailed: bool = False
    ) -> Snapshot:
        """For a thread. ``detailed``: with limits and waits, which few ask for."""
        paths, links = self.paths(), node.interfaces()
        found = (
            self._pod(pod, held, paths.get(uid(pod), ""), links, detailed=detailed)
            for pod, held in known
        )
        return Snapshot(
            node=node.node_usage(detailed=detailed),
            pods=tuple(stats for stats in found if stats is not None),
            interfaces=links,
            link=node.default_interface(),
            pods_usage=self.reader.usage(self.root) if self.root else None,
        )

    def _pod(
        self, pod: Obj, containers: list[Container], path: str, links: Mapping[str, Network],
        *, detailed: bool,
    ) -> PodStats | None:  # fmt: skip
        usage = self.reader.usage(path, detailed=detailed) if path else None
        if usage is None:
            return None
        host = links.get(self.link(uid(pod)))
        return PodStats(
            pod=pod,
            path=path,
            usage=usage,
            containers=tuple(self._containers(containers, path, detailed=detailed)),
            network=parse.from_inside(host) if host is not None else None,
        )

    def _containers(
        self, containers: list[Container], path: str, *, detailed: bool
    ) -> Iterable[ContainerStats]:
        for container in containers:
            if container.state != "running":
                continue
            own = container_path(path, container.id)
            if (usage := self.reader.usage(own, detailed=detailed)) is not None:
                name = container.labels.get(CONTAINER_NAME, "")
                yield ContainerStats(name=name, container=container, path=own, usage=usage)
