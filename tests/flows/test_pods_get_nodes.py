"""Scheduler and cluster controllers on the real API: what they write is what it accepts."""

import asyncio
from typing import Any

from edgek.aio.clock import FakeClock
from edgek.aio.tasks import Tasks
from edgek.api.conditions import find_condition
from edgek.api.meta import Key, Obj
from edgek.client.client import Client
from edgek.control.controller import Context, run_controllers
from edgek.control.events import EventRecorder
from edgek.control.informer import Informers
from edgek.kinds import ENDPOINT_SLICE, ENDPOINTS, EVENT, NAMESPACE, NODE, POD, SERVICE
from server.controllers import endpoint_slice, endpoints, node_ipam, node_lifecycle
from server.scheduler import scheduler
from tests.support.cluster import node, pod

READY = [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]
BUILDERS = (
    scheduler.build,
    endpoints.build,
    endpoint_slice.build,
    node_lifecycle.build,
    lambda context: node_ipam.build(context, cluster_cidr="10.42.0.0/16"),
)


async def wait_for(check: Any) -> None:
    for _ in range(1000):
        if await check():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{check.__name__} did not come to hold")


def wire(kind: Any, obj: Obj) -> Obj:
    obj["metadata"].pop("uid", None)
    return {"apiVersion": kind.api_version, "kind": kind.kind, **obj}


async def test_pods_are_placed_told_of_and_called(client: Client, clock: FakeClock) -> None:
    async with Tasks("flow") as tasks:
        events = EventRecorder(client, clock)
        context = Context(
            client=client, informers=Informers(client, tasks), events=events, clock=clock
        )
        tasks.spawn(events.run(), name="events")
        tasks.spawn(run_controllers(context, BUILDERS), name="controllers")
        await client.create(NAMESPACE, wire(NAMESPACE, {"metadata": {"name": "default"}}))
        for number in range(3):
            await client.create(NODE, wire(NODE, node(f"n{number}", conditions=READY)))
        for number in range(6):
            one = pod(f"web-{number}", cpu="1", labels={"app": "web"})
            await client.create(POD, wire(POD, one))
        await client.create(POD, wire(POD, pod("big", cpu="64")))
        spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
        service = {"metadata": {"name": "web", "namespace": "default"}, "spec": spec}
        await client.create(SERVICE, wire(SERVICE, service))

        async def all_bound() -> bool:
            pods = (await client.list(POD, label_selector="app=web")).items
            return all(p["spec"].get("nodeName") for p in pods)

        async def told() -> bool:
            big = await client.get(POD, Key("default", "big"))
            found = find_condition(big["status"].get("conditions"), "PodScheduled")
            return bool(found and found["message"].startswith("0/3 nodes are available: 3 Insuff"))

        await wait_for(all_bound)
        await wait_for(told)
        bound = (await client.list(POD, label_selector="app=web")).items
        where = [p["spec"]["nodeName"] for p in bound]
        assert sorted(where) == ["n0", "n0", "n1", "n1", "n2", "n2"]
        for number, one in enumerate(bound):
            ready = {"type": "Ready", "status": "True"}
            ips = [{"ip": f"10.42.0.{number + 2}"}]
            status = {"phase": "Running", "podIP": ips[0]["ip"], "podIPs": ips}
            await client.update_status(POD, {**one, "status": status | {"conditions": [ready]}})

        async def called() -> bool:
            slices = (await client.list(ENDPOINT_SLICE)).items
            old = (await client.list(ENDPOINTS)).items
            return bool(
                slices
                and len(slices[0]["endpoints"]) == 6
                and old
                and len((old[0].get("subsets") or [{}])[0].get("addresses") or ()) == 6
            )

        async def networked() -> bool:
            nodes = (await client.list(NODE)).items
            return len({n["spec"].get("podCIDR") for n in nodes} - {None}) == 3

        async def announced() -> bool:
            found = (await client.list(EVENT)).items
            return sum(e["reason"] == "Scheduled" for e in found) == 6

        await wait_for(called)
        await wait_for(networked)
        await wait_for(announced)
