"""What one pod's change costs in a small and in a large cluster: the same, or something is wrong.

    python -m bench change [--pods 10000] [--nodes 500] [--changes 300]

Deployments of 20 pods, each with a Service, over nodes that are objects only. One pod at a time
becomes ready, as its agent would write it, and the server's processor time is measured until it
has nothing left to do: its ReplicaSet, its Deployment, its EndpointSlice. First with 200 pods,
then with all; the reference is the small cluster, beside it in the same process.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence

import uvloop

from bench.process import Server, memory_of, start_server
from bench.scale import beating, deployment, is_bound, make_nodes, when
from edgek.api.meta import Key, Obj
from edgek.kinds.deployment import DEPLOYMENT
from edgek.kinds.pod import POD
from edgek.kinds.service import SERVICE

REPLICAS = 20
SMALL = 200
_READY = {
    "phase": "Running",
    "conditions": [{"type": "Ready", "status": "True"}],
    "podIPs": [{"ip": "10.42.0.1"}],
    "podIP": "10.42.0.1",
}
_AT_ONCE = 20


async def grow(server: Server, begin: int, pods: int) -> float:
    """Deployments from number ``begin`` on until there are ``pods`` pods, all bound; seconds."""
    numbers = range(begin, pods // REPLICAS)
    gate = asyncio.Semaphore(_AT_ONCE)
    began = time.perf_counter()

    async def make(number: int) -> None:
        name = f"web-{number}"
        obj = deployment(REPLICAS, name=name)
        service = {
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"selector": {"app": name}, "ports": [{"port": 80}]},
        }
        async with gate:
            await server.client.create(SERVICE, service)
            await server.client.create(DEPLOYMENT, obj)

    async with when(server, POD, len(numbers) * REPLICAS, is_bound) as done:
        await asyncio.gather(*(make(number) for number in numbers))
        await done
    return time.perf_counter() - began


async def quiet(server: Server) -> None:
    """Returns when a second passes with next to no work done."""
    while True:
        before = server.cpu_seconds()
        await asyncio.sleep(1)
        if server.cpu_seconds() - before < 0.05:
            return


async def cost(server: Server, changes: int, *, ready: bool) -> float:
    """Milliseconds of the server's processor a change."""
    pods: list[Obj] = (await server.client.list(POD, limit=changes)).items
    status = _READY if ready else {**_READY, "conditions": [{"type": "Ready", "status": "False"}]}
    await quiet(server)
    before = server.cpu_seconds()
    for pod in pods:
        meta = pod["metadata"]
        key = Key(meta["namespace"], meta["name"])
        await server.client.patch(POD, key, {"status": status}, subresource="status")
    await quiet(server)
    return (server.cpu_seconds() - before) / len(pods) * 1e3


async def run(pods: int, nodes: int, changes: int) -> None:
    async with start_server() as server:
        await make_nodes(server, nodes)
        async with beating(server, nodes):
            await grow(server, 0, SMALL)
            small = await cost(server, min(changes, SMALL), ready=True)
            seconds = await grow(server, SMALL // REPLICAS, pods)
            made = pods - SMALL
            print(f"{made} more pods bound in {seconds:.1f} s, {made / seconds:,.0f} pods/s")
            print(
                f"{pods} pods, {nodes} nodes: RSS {server.rss():.0f} MB, "
                f"peak {memory_of(server.pid, 'VmHWM'):.0f} MB"
            )
            large = await cost(server, min(changes, SMALL), ready=False)
            print(
                f"a pod's change: {small:.2f} ms of CPU with {SMALL} pods, {large:.2f} ms with "
                f"{pods}, ratio {large / small:.2f}"
            )


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench change")
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--changes", type=int, default=200)
    args = parser.parse_args(argv)
    uvloop.run(run(args.pods, args.nodes, args.changes))
