"""A Deployment over many fake nodes: seconds until every pod is bound, and the server's memory.

    python -m bench scale [--nodes 100] [--replicas 1000] [--watchers 20]

The nodes are objects only: ready, with capacity and a lease, and nobody behind them. The clock
starts when the Deployment is sent and stops when this client's own watch has seen the last
binding. ``--watchers`` more clients watch all pods meanwhile, as agents and dashboards do.
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from bench.fanout import open_watches
from bench.process import Server, memory_of, start_server
from edgek.aio.clock import SystemClock
from edgek.api.errors import Conflict
from edgek.api.meta import Key, Obj
from edgek.api.time import format_micro_time, format_time
from edgek.kinds.deployment import DEPLOYMENT
from edgek.kinds.kind import Kind
from edgek.kinds.lease import LEASE
from edgek.kinds.node import NODE
from edgek.kinds.pod import POD

_DEADLINE = 300.0
_BEAT = 10.0


def node(number: int, now: str) -> Obj:
    size = {"cpu": "16", "memory": "64Gi", "pods": "110", "ephemeral-storage": "100Gi"}
    ready = {
        "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
        "lastHeartbeatTime": now, "lastTransitionTime": now,
    }  # fmt: skip
    return {
        "metadata": {"name": f"node-{number:04d}", "labels": {"zone": f"z{number % 3}"}},
        "status": {"capacity": size, "allocatable": size, "conditions": [ready]},
    }


def deployment(replicas: int, *, name: str = "web") -> Obj:
    labels = {"app": name}
    resources = {"requests": {"cpu": "10m", "memory": "16Mi"}}
    container = {"name": "web", "image": "registry.local/web:1", "resources": resources}
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


async def make_nodes(server: Server, count: int) -> None:
    """Returns when the node controller has taken every taint of new nodes away."""
    clock, client = SystemClock(), server.client

    async def make(number: int) -> None:
        now = clock.now()
        obj = node(number, format_time(now))
        name = obj["metadata"]["name"]
        created = await client.create(NODE, {"metadata": obj["metadata"]})
        spec = {"holderIdentity": name, "renewTime": format_micro_time(now),
                "leaseDurationSeconds": 40}  # fmt: skip
        meta = {"name": name, "namespace": "kube-node-lease"}
        await client.create(LEASE, {"metadata": meta, "spec": spec})
        while True:
            try:
                await client.update_status(NODE, {**created, "status": obj["status"]})
                return
            except Conflict:
                created = await client.get(NODE, Key("", name))

    await asyncio.gather(*(make(number) for number in range(count)))
    async with when(server, NODE, count, lambda obj: not obj["spec"].get("taints")) as done:
        await done


@asynccontextmanager
async def beating(server: Server, count: int) -> AsyncIterator[None]:
    """The nodes' heartbeats meanwhile: without, forty seconds later all would be NotReady."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(_BEAT)
            for number in range(count):
                key = Key("kube-node-lease", node(number, "")["metadata"]["name"])
                now = format_micro_time(SystemClock().now())
                await server.client.patch(LEASE, key, {"spec": {"renewTime": now}})

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def when(
    server: Server, kind: Kind, count: int, holds: Callable[[Obj], Any]
) -> AsyncIterator["asyncio.Task[None]"]:
    """A task that ends when ``holds`` has been seen of so many objects."""
    async with server.client.watch(kind) as events:

        async def wait() -> None:
            names: set[str] = set()
            async for event in events:
                if event.type != "BOOKMARK" and holds(event.obj):
                    names.add(event.obj["metadata"]["name"])
                if len(names) >= count:
                    return

        async with asyncio.timeout(_DEADLINE), asyncio.TaskGroup() as tasks:
            yield tasks.create_task(wait())


def is_bound(pod: Obj) -> bool:
    return bool(pod["spec"].get("nodeName"))


async def run(nodes: int, replicas: int, watchers: int) -> None:
    async with start_server() as server:
        await make_nodes(server, nodes)
        await asyncio.sleep(1)
        before = server.rss()
        path = "/api/v1/pods?watch=true"
        async with (
            beating(server, nodes),
            open_watches(server, path, watchers),
            when(server, POD, replicas, is_bound) as done,
        ):
            cpu, began = server.cpu_seconds(), time.perf_counter()
            await server.client.create(DEPLOYMENT, deployment(replicas))
            await done
            seconds = time.perf_counter() - began
            cpu = server.cpu_seconds() - cpu
        print(
            f"{replicas} pods on {nodes} nodes, {watchers} watchers: bound in {seconds:.2f} s, "
            f"{replicas / seconds:,.0f} pods/s, {cpu / replicas * 1e3:.2f} ms of CPU each"
        )
        await asyncio.sleep(2)
        print(
            f"RSS {before:.0f} MB with the nodes, {server.rss():.0f} MB with the pods, "
            f"peak {memory_of(server.pid, 'VmHWM'):.0f} MB"
        )


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench scale")
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--replicas", type=int, default=1000)
    parser.add_argument("--watchers", type=int, default=20)
    args = parser.parse_args(argv)
    uvloop.run(run(args.nodes, args.replicas, args.watchers))
