"""What pods use, measured when eviction asks: memory and processes from their cgroups, disk by
walks of their directories in a thread.
"""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent.pods.container_spec import pod_log_dir
from agent.pods.state import CONTAINER_NAME
from agent.pods.store import Containers, Pods
from agent.pressure.disk import Walk
from agent.pressure.ranking import ContainerUsage, PodUsage
from agent.runtime.cgroups import Cgroups
from agent.runtime.runtime import Container, Runtime, RuntimeFailure
from agent.stats.cgroups import CgroupReader, container_path
from agent.stats.disk import PodDisk
from edgek.api.meta import Obj, get_path, uid


@dataclass(kw_only=True)
class Meter:
    """``pod_root`` and ``log_root`` hold the pods' directories."""

    runtime: Runtime
    pods: Pods
    containers: Containers
    cgroups: Cgroups
    reader: CgroupReader
    pod_root: Path
    log_root: Path

    def __post_init__(self) -> None:
        self._layers: dict[str, str] = {}

    def memory(self, pods: Iterable[Obj]) -> dict[str, PodUsage]:
        """Working sets and processes, by uid; some file reads a pod."""
        paths = self.cgroups.pods()
        return {uid(pod): self._memory(pod, paths[uid(pod)]) for pod in pods if uid(pod) in paths}

    def _memory(self, pod: Obj, path: str) -> PodUsage:
        found = self.reader.usage(path)
        own = {
            c.labels.get(CONTAINER_NAME, ""): ContainerUsage(
                memory=self.reader.working_set(container_path(path, c.id))
            )
            for c in self.containers.of(uid(pod))
            if c.state == "running"
        }
        return PodUsage(
            memory=found.memory.working_set if found and found.memory else None,
            pids=(found.pids or 0) if found else 0,
            containers=own,
        )

    async def disk(self, pods: Iterable[Obj]) -> dict[str, PodUsage]:
        """Disk usage by uid. Takes as long as walking those directories does."""
        found = {}
        for pod in pods:
            own = self.containers.of(uid(pod))
            layers = {c.id: await self._layer(c) for c in own}
            found[uid(pod)] = await asyncio.to_thread(self._disk, pod, own, layers)
        known = {c.id for u in self.containers.uids() for c in self.containers.of(u)}
        self._layers = {k: v for k, v in self._layers.items() if k in known}
        return found

    async def disks(self) -> dict[str, PodDisk]:
        """Of every pod, as the kubelet's endpoints show it."""
        now = time.time()
        return {
            pod_uid: PodDisk(
                time=now,
                total=usage.disk,
                inodes=usage.inodes,
                layers={name: c.root for name, c in usage.containers.items()},
                logs={name: c.logs for name, c in usage.containers.items()},
                volumes=usage.volumes,
            )
            for pod_uid, usage in (await self.disk(self.pods.all())).items()
        }

    async def _layer(self, container: Container) -> str:
        if container.id not in self._layers:
            try:
                self._layers[container.id] = await self.runtime.layer(container.id)
            except RuntimeFailure:
                return ""
        return self._layers[container.id]

    def _disk(self, pod: Obj, own: list[Container], layers: dict[str, str]) -> PodUsage:
        """In a thread."""
        total, by_name = Walk(), dict[str, ContainerUsage]()
        for container in own:
            name = container.labels.get(CONTAINER_NAME, "")
            root = Walk().add(layers[container.id]) if layers[container.id] else Walk()
            before = by_name.get(name, ContainerUsage()).root
            by_name[name] = ContainerUsage(root=before + root.size)
            total = _sum(total, root)
        logs = pod_log_dir(self.log_root, pod)
        for name, usage in by_name.items():
            walk = Walk().add(logs / name)
            by_name[name] = ContainerUsage(root=usage.root, logs=walk.size)
            total = _sum(total, walk)
        volumes = {}
        for volume in get_path(pod, "spec", "volumes", default=[]):
            if "emptyDir" in volume and (volume["emptyDir"] or {}).get("medium") != "Memory":
                name = str(volume["name"])
                walk = Walk().add(self.pod_root / uid(pod) / "volumes" / "emptyDir" / name)
                volumes[name] = walk.size
                total = _sum(total, walk)
        return PodUsage(disk=total.size, inodes=total.inodes, containers=by_name, volumes=volumes)


def _sum(first: Walk, second: Walk) -> Walk:
    return Walk(size=first.size + second.size, inodes=first.inodes + second.inodes)
