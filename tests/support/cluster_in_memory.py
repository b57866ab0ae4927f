"""A whole cluster on virtual time: the real API, all controllers, the scheduler, told nodes.

Nothing is durable here: every kind is kept as heartbeats are, so no commit needs a thread, and a
day of the cluster's life passes in a second. Nodes beat as real ones do (the agent's own Lease);
what their pods do is told by images: ``good`` runs and is ready, ``bad`` runs and never is,
``done`` ends well, ``fail`` ends with 1, ``exit-42`` with 42. Needs ``@pytest.mark.looptime``.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from agent.node.lease import NodeLease
from edgek.aio.clock import FakeClock
from edgek.aio.tasks import Tasks
from edgek.api.meta import Key, Obj, get_path, is_deleting, key_of, uid
from edgek.api.time import format_time
from edgek.client.client import Client
from edgek.client.transport import Call, Transport
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, run_controllers
from edgek.control.events import EventRecorder
from edgek.control.informer import Informers
from edgek.kinds import NODE, POD
from edgek.kinds.kind import Kind
from edgek.kinds.pods import is_ready
from server.app import Api, ApiConfig, build_api, section_config
from server.bootstrap import ClusterFacts, bootstrap
from server.controllers import ALL, node_ipam, node_lifecycle, taint_eviction
from server.parts import plugins
from server.run import BOOTSTRAPPER, CONTROLLER_USER, SCHEDULER_USER, group_versions
from server.scheduler import scheduler
from server.storage.local import SectionConfig
from server.storage.sqlite import SqliteEngine
from tests.support.api import ADMIN, parts

FACTS = {
    "cluster_cidr": "10.42.0.0/16",
    "service_cidr": "10.43.0.0/16",
    "cluster_dns": "10.43.0.10",
    "cluster_domain": "cluster.local",
}
CONTROLLERS = (
    *ALL,
    node_lifecycle.build,
    taint_eviction.build,
    partial(node_ipam.build, cluster_cidr=FACTS["cluster_cidr"]),
)
ENDINGS = {"done": 0, "fail": 1}
ENDED = ("Succeeded", "Failed")
KILLED = 143
SETTLE = 1.0


def in_memory(kind: Kind) -> SectionConfig:
    return replace(section_config(kind), durability="volatile")


class WallClock(FakeClock):
    """A wall clock that somebody may set; what is monotonic takes no notice."""

    set_by = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.set_by)

    def jump(self, seconds: float) -> None:
        self.set_by += seconds


Cut = Callable[[], Awaitable[None]]


async def no_cut() -> None:
    """Nobody is ended."""


class CountedWrites:
    """How often clients asked for more than reading, refused or not. ``before`` and ``after`` may
    end who asks: with the write undone, or done and nobody the wiser."""

    def __init__(self) -> None:
        self.count = 0
        self.before: Cut = no_cut
        self.after: Cut = no_cut

    def of(self, client: Client) -> Client:
        """The same client, counted."""
        client.transport = CountingTransport(client.transport, self)
        return client


class CountingTransport:
    def __init__(self, inner: Transport, counted: CountedWrites) -> None:
        self._inner = inner
        self._counted = counted
        self.watch, self.close = inner.watch, inner.close

    async def call(self, call: Call) -> Obj:
        if call.method == "GET":
            return await self._inner.call(call)
        self._counted.count += 1
        await self._counted.before()
        answer = await self._inner.call(call)
        await self._counted.after()
        return answer


@dataclass
class ClusterInMemory:
    api: Api
    context: Context
    tasks: Tasks
    client: Client
    clock: WallClock
    writes: CountedWrites
    loops: Tasks
    """Controllers and scheduler: what dies with the server."""
    dying: bool = False
    beats: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def restart(self) -> None:
        """As kill -9 does: every loop ends at whatever it awaits, and new ones know nothing."""
        await self.loops.close()
        self.loops = Tasks("loops")
        await self.loops.__aenter__()
        self.dying = False
        run_loops(self, self.loops)

    async def die(self) -> None:
        """For whoever is asked to by ``writes``: the server is killed here, and never comes back
        to its caller."""
        self.dying = True
        self.tasks.spawn(self.restart(), name="restart")
        await asyncio.Event().wait()

    async def settle(self, seconds: float = SETTLE) -> None:
        """Lets all work that is due within ``seconds`` of virtual time be done."""
        await asyncio.sleep(seconds)

    # --- nodes -------------------------------------------------------------------------------

    async def add_node(self, name: str, capacity: Obj | None = None, **labels: str) -> None:
        sizes = {"cpu": "4", "memory": "8Gi", "pods": "110", **(capacity or {})}
        status = {"capacity": sizes, "allocatable": sizes}
        meta = {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}}
        await self.client.create(NODE, {"metadata": meta})
        await self.client.patch(NODE, Key("", name), {"status": status}, subresource="status")
        await self.start_node(name)

    async def start_node(self, name: str) -> None:
        lease = NodeLease(self.client, name, clock=self.context.clock)
        self.beats[name] = self.tasks.spawn(lease.run(), name=f"node/{name}")
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        ready["lastHeartbeatTime"] = ready["lastTransitionTime"] = self.now
        body = {"status": {"conditions": [ready]}}
        await self.client.patch(
            NODE, Key("", name), body, patch_type="strategic", subresource="status"
        )

    def stop_node(self, name: str) -> None:
        """It falls silent; what its pods do from now on nobody learns."""
        self.beats.pop(name).cancel()

    @property
    def now(self) -> str:
        return format_time(self.context.clock.now())


class Kubelets:
    """What the agents of all nodes that are up would write of their pods."""

    name = "kubelets"
    kind = POD

    def __init__(self, cluster: ClusterInMemory) -> None:
        self._cluster = cluster
        self._pods = cluster.context.informers.get(POD)
        self.watches = (ForKind(POD), Mapped(NODE, self._pods_on))

    def _pods_on(self, node: Obj) -> list[Key]:
        """A node that comes back catches up."""
        name = node["metadata"]["name"]
        return [key_of(p) for p in self._pods.list() if get_path(p, "spec", "nodeName") == name]

    async def reconcile(self, key: Key) -> Result:
        pod = self._pods.get(key)
        if pod is None or get_path(pod, "spec", "nodeName") not in self._cluster.beats:
            return DONE
        if is_deleting(pod):
            await self._end(pod)
        elif get_path(pod, "status", "phase") not in ("Running", *ENDED):
            await self._write(pod, status_of(pod, now=self._cluster.now))
        elif (said := readiness(pod)) != is_ready(pod):  # somebody took it for lost
            await self._write(pod, {"conditions": ready_conditions(said, self._cluster.now)})
        return DONE

    async def _end(self, pod: Obj) -> None:
        if get_path(pod, "status", "phase") not in ENDED:
            await self._write(pod, _status(pod, code=KILLED, now=self._cluster.now))
        client = self._cluster.client
        await client.delete(
            POD, key_of(pod), grace_period_seconds=0, preconditions={"uid": uid(pod)}
        )

    async def _write(self, pod: Obj, status: Obj) -> None:
        body = {"metadata": {"uid": uid(pod)}, "status": status}
        await self._cluster.client.patch(
            POD, key_of(pod), body, patch_type="strategic", subresource="status"
        )


def status_of(pod: Obj, *, now: str) -> Obj:
    """What a pod comes to, by its first container's image."""
    image = pod["spec"]["containers"][0]["image"]
    code = int(image[5:]) if image.startswith("exit-") else ENDINGS.get(image)
    return _status(pod, code=code, now=now)


def _status(pod: Obj, *, code: int | None, now: str) -> Obj:
    """``code``: what its container ended with, None while it runs."""
    container = pod["spec"]["containers"][0]
    image = container["image"]
    phase = "Running" if code is None else "Failed" if code else "Succeeded"
    state: Obj = {"running": {"startedAt": now}}
    if code is not None:
        reason = "Error" if code else "Completed"
        state = {"terminated": {"exitCode": code, "reason": reason, "finishedAt": now}}
    ready = code is None and image != "bad"
    told = {"name": container["name"], "image": image, "imageID": "", "ready": ready}
    return {
        "phase": phase,
        "startTime": now,
        "conditions": ready_conditions(ready, now),
        "containerStatuses": [{**told, "restartCount": 0, "state": state}],
    }


def readiness(pod: Obj) -> bool:
    """What its containers say."""
    statuses = get_path(pod, "status", "containerStatuses", default=[])
    return bool(statuses) and all(s["ready"] for s in statuses)


def ready_conditions(ready: bool, now: str) -> list[Obj]:
    told = {"status": "True" if ready else "False", "reason": None, "lastTransitionTime": now}
    return [{"type": kind, **told} for kind in ("ContainersReady", "Ready")]


@asynccontextmanager
async def cluster_in_memory() -> AsyncIterator[ClusterInMemory]:
    """Settled and without nodes. Names are counted, so that a story can foretell them."""
    clock = WallClock()
    made = parts(SqliteEngine(":memory:"), clock=clock, plugins=plugins, user=ADMIN)
    config = ApiConfig(service_cidr=FACTS["service_cidr"], node_ports="30000-32767")
    api = build_api(config, replace(made, section=in_memory))
    counted = itertools.count(1)
    api.env.registry.suffix = lambda: f"{next(counted):05d}"
    uids = itertools.count(1)
    api.env.registry.new_uid = lambda: f"00000000-0000-4000-8000-{next(uids):012d}"
    facts = ClusterFacts(**FACTS, extension_authentication={}, group_versions=group_versions(api))
    try:
        async with Tasks("cluster") as tasks:
            await bootstrap(api.client(BOOTSTRAPPER), api.reader, facts)
            cluster = await start_loops(api, clock, tasks)
            await cluster.settle(5)
            yield cluster
            await cluster.loops.close()
    finally:
        await api.close()


async def start_loops(api: Api, clock: WallClock, tasks: Tasks) -> ClusterInMemory:
    writes = CountedWrites()
    kubelets = context_of(api, api.client(ADMIN), clock, tasks)
    loops = Tasks("loops")
    await loops.__aenter__()
    cluster = ClusterInMemory(api, kubelets, tasks, api.client(ADMIN), clock, writes, loops)
    tasks.spawn(run_controllers(kubelets, (lambda _: Kubelets(cluster),)), name="kubelets")
    run_loops(cluster, loops)
    return cluster


def context_of(api: Api, client: Client, clock: WallClock, tasks: Tasks) -> Context:
    informers, events = Informers(client, tasks), EventRecorder(client, clock)
    tasks.spawn(events.run(), name="events")
    return Context(client=client, informers=informers, events=events, clock=clock)


def run_loops(cluster: ClusterInMemory, loops: Tasks) -> None:
    api, writes = cluster.api, cluster.writes
    client = writes.of(api.client(CONTROLLER_USER))
    context = context_of(api, client, cluster.clock, loops)
    scheduling = replace(context, client=writes.of(api.client(SCHEDULER_USER)))
    loops.spawn(run_controllers(context, CONTROLLERS), name="controllers")
    loops.spawn(run_controllers(scheduling, (scheduler.build,)), name="scheduler")
