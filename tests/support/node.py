"""A node in memory: pod sync over FakeRuntime, FakeNetwork and MemoryApi, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.network import NodeNetwork
from agent.network.fake import FakeNetwork
from agent.pods.build import build_pod_sync
from agent.pods.etc import DnsSettings
from agent.pods.isolation import NodeSecurity
from agent.pods.memory import Host
from agent.pods.sync import PodSync
from agent.pods.volumes.plugin import Mounter
from agent.runtime.cgroups import Cgroups
from agent.runtime.fake import FakeRuntime
from agent.runtime.machine import Machine
from edgek.aio.clock import Clock
from edgek.aio.tasks import Tasks
from edgek.api.meta import Key, Obj
from edgek.control.events import EventRecorder
from edgek.control.informer import Informer
from edgek.kinds import EVENT, POD
from tests.support.memory_api import MemoryApi


async def no_mount(
    source: str, target: Path, *, kind: str,
    options: tuple[str, ...] = (), enter: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """The directory itself will do: no test of this node looks at what is mounted."""


class FakeHolders:
    """Processes that hold shared PID namespaces, as numbers."""

    def __init__(self) -> None:
        self.running: dict[str, int] = {}
        self._next = 1000

    def start(self, pod_uid: str) -> int:
        if pod_uid not in self.running:
            self._next += 1
            self.running[pod_uid] = self._next
        return self.running[pod_uid]

    def stop(self, pod_uid: str) -> None:
        self.running.pop(pod_uid, None)

    def pin_ipc(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def known(self) -> list[str]:
        return sorted(self.running)


NODE_NETWORK = NodeNetwork(
    node_name="node1",
    node_ip="192.0.2.1",
    pod_cidr="10.42.0.0/24",
    cluster_cidr="10.42.0.0/16",
    service_cidr="10.43.0.0/16",
    dns_ip="10.43.0.10",
)


@dataclass(kw_only=True)
class Node:
    api: MemoryApi
    runtime: FakeRuntime
    network: FakeNetwork
    sync: PodSync
    holders: FakeHolders

    def pod(self, name: str = "web") -> Obj | None:
        return self.api.one(POD, "default", name)

    def status(self, name: str = "web") -> Obj:
        pod = self.pod(name)
        assert pod is not None, f"pod {name} is gone"
        return pod.get("status") or {}

    def container(self, name: str = "web", index: int = 0) -> Obj:
        found: list[Obj] = self.status(name).get("containerStatuses") or [{}]
        return found[index]

    def reasons(self) -> list[str]:
        return [e["reason"] for e in self.api.all(EVENT)]

    def messages(self, reason: str) -> list[str]:
        return [e["message"] for e in self.api.all(EVENT) if e["reason"] == reason]

    def delete(self, name: str = "web", *, grace: int = 30) -> None:
        """As a graceful DELETE does."""
        pod = self.api.objects[POD, Key("default", name)]
        stamp = {"deletionTimestamp": "2026-01-01T00:01:00Z", "deletionGracePeriodSeconds": grace}
        self.api.put(POD, pod | {"metadata": pod["metadata"] | stamp})

    async def until(self, what: Callable[[], Any], *, within: float = 30) -> None:
        async with asyncio.timeout(within):
            while not what():  # noqa: ASYNC110 - what() may be anything
                await asyncio.sleep(0.1)


@asynccontextmanager
async def running_node(
    root: Path,
    *,
    clock: Clock,
    api: MemoryApi | None = None,
    runtime: FakeRuntime | None = None,
    network: FakeNetwork | None = None,
    restored: list[Obj] | None = None,
    security: NodeSecurity | None = None,
    node: Obj | None = None,
    mount: Mounter = no_mount,
    holders: FakeHolders | None = None,
    **allocatable: str,
) -> AsyncIterator[Node]:
    """``restored`` pods come from a checkpoint. The rest may be handed on from one life of the
    agent to the next."""
    api = api or MemoryApi()
    runtime = runtime or FakeRuntime(images=("main:1", "a:1", "b:1", "i"), clock=clock)
    network = network or FakeNetwork()
    await network.setup(NODE_NETWORK)
    host = Host(
        node_name="node1",
        node_ip="192.0.2.1",
        dns=DnsSettings(cluster_dns="10.43.0.10", cluster_domain="cluster.local"),
        allocatable={"cpu": "4", "memory": "4Gi", "pods": "110"} | allocatable,
        log_root=root / "logs",
        security=security or NodeSecurity(),
        node=lambda: node,
    )
    holders = holders or FakeHolders()
    bare = Machine(cgroup_v2=False, controllers=frozenset())
    async with Tasks("node") as tasks:
        recorder = EventRecorder(api.client, clock)
        tasks.spawn(recorder.run(), name="events")
        sync = build_pod_sync(
            host=host,
            client=api.client,
            runtime=runtime,
            network=network,
            cgroups=Cgroups(machine=bare, base=root / "cgroup", litter=root / "litter"),
            events=recorder.source("kubelet", host="node1"),
            clock=clock,
            tasks=tasks,
            pod_root=root / "pods",
            mount=mount,
            holders=holders,
        )
        sync.parts.pods.restore(restored or [])
        informer = Informer(api.client, POD, field_selector="spec.nodeName=node1")
        informer.on_change(sync.parts.pods.on_change)
        tasks.spawn(informer.run(), name="informer")
        tasks.spawn(sync.run(), name="sync")
        if restored is None:
            await informer.wait_synced()
            sync.parts.pods.sync(informer.list())
        yield Node(api=api, runtime=runtime, network=network, sync=sync, holders=holders)
