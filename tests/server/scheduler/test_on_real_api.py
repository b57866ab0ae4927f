"""The scheduler against the real request path, under its own name and upstream's role for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from edgek.aio.clock import FakeClock
from edgek.aio.tasks import Tasks
from edgek.api.conditions import find_condition
from edgek.api.errors import NotFound
from edgek.api.meta import Key, Obj, annotations
from edgek.client.client import Client
from edgek.control.controller import Context, run_controllers
from edgek.control.events import EventRecorder
from edgek.control.informer import Informers
from edgek.kinds import (
    EVENT,
    NAMESPACE,
    NODE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    STORAGE_CLASS,
)
from edgek.kinds.kind import Kind
from server.app import Api
from server.authz.bootstrap import plan_bootstrap
from server.run import SCHEDULER_USER
from server.scheduler import scheduler
from tests.support.cluster import node, pod


async def until(check: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(10):
        while not await check():  # noqa: ASYNC110 - the server is asked, it tells nobody
            await asyncio.sleep(0.01)


def wire(kind: Kind, obj: Obj) -> Obj:
    obj["metadata"].pop("uid", None)
    return {"apiVersion": kind.api_version, "kind": kind.kind, **obj}


@pytest.fixture
async def scheduled(api: Api, client: Client, clock: FakeClock) -> AsyncIterator[Client]:
    async with Tasks("test") as tasks:
        own = api.client(SCHEDULER_USER)
        events = EventRecorder(client, clock)
        informers = Informers(client, tasks)
        context = Context(client=own, informers=informers, events=events, clock=clock)
        tasks.spawn(events.run(), name="events")
        tasks.spawn(run_controllers(context, (scheduler.build,)), name="scheduler")
        for kind, obj in plan_bootstrap(api.reader).create:
            await client.create(kind, obj)
        await client.create(NAMESPACE, wire(NAMESPACE, {"metadata": {"name": "default"}}))
        for name in ("n1", "n2"):
            await client.create(NODE, wire(NODE, node(name, cpu="2")))
        yield client


async def make(client: Client, kind: Kind, obj: Obj) -> Obj:
    return await client.create(kind, wire(kind, obj))


async def test_a_gated_pod_says_so_and_is_not_tried(scheduled: Client) -> None:
    gated = pod("gated", schedulingGates=[{"name": "example.com/wait"}])
    await make(scheduled, POD, gated)
    await make(scheduled, POD, pod("other"))

    async def other_is_bound() -> Any:
        return (await scheduled.get(POD, Key("default", "other")))["spec"].get("nodeName")

    await until(other_is_bound)
    found = await scheduled.get(POD, Key("default", "gated"))
    condition = find_condition(found["status"]["conditions"], "PodScheduled")
    assert condition is not None
    assert (condition["status"], condition["reason"]) == ("False", "SchedulingGated")
    assert "nodeName" not in found["spec"]


async def test_the_less_important_go_and_are_told_why(scheduled: Client) -> None:
    for name in ("one", "two"):
        await make(scheduled, POD, pod(name, cpu="2"))
    await make(scheduled, POD, pod("big", cpu="2", priority=1000))

    async def nominated() -> Any:
        found = await scheduled.get(POD, Key("default", "big"))
        return found["status"].get("nominatedNodeName")

    async def told() -> list[Obj]:
        found = (await scheduled.list(EVENT)).items
        return [e for e in found if e["reason"] == "Preempted"]

    await until(nominated)
    await until(told)
    victim = (await told())[0]["involvedObject"]["name"]
    found = await scheduled.get(POD, Key("default", victim))
    condition = find_condition(found["status"]["conditions"], "DisruptionTarget")
    assert condition is not None
    assert condition["reason"] == "PreemptionByScheduler"
    assert found["metadata"]["deletionTimestamp"]
    await scheduled.delete(POD, Key("default", victim), grace_period_seconds=0)

    async def bound() -> Any:
        found = await scheduled.get(POD, Key("default", "big"))
        return found["spec"].get("nodeName") and not found["status"].get("nominatedNodeName")

    await until(bound)


async def test_claims_get_their_node_and_volumes_their_claim(scheduled: Client) -> None:
    wait = {"volumeBindingMode": "WaitForFirstConsumer"}
    for name, provisioner in (
        ("made", "example.com/disks"),
        ("found", "kubernetes.io/no-provisioner"),
    ):
        one = {"metadata": {"name": name}, "provisioner": provisioner, **wait}
        await make(scheduled, STORAGE_CLASS, one)
    resources = {"requests": {"storage": "1Gi"}}
    for name in ("made", "found"):
        spec = {"storageClassName": name, "accessModes": ["ReadWriteOnce"], "resources": resources}
        claim = {"metadata": {"name": name, "namespace": "default"}, "spec": spec}
        await make(scheduled, PERSISTENT_VOLUME_CLAIM, claim)
    spec = {
        "storageClassName": "found",
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "hostPath": {"path": "/data"},
    }
    volume = await make(scheduled, PERSISTENT_VOLUME, {"metadata": {"name": "pv"}, "spec": spec})
    await scheduled.update_status(PERSISTENT_VOLUME, {**volume, "status": {"phase": "Available"}})
    for name in ("made", "found"):
        source = {"name": "data", "persistentVolumeClaim": {"claimName": name}}
        await make(scheduled, POD, pod(f"uses-{name}", volumes=[source]))

    async def selected() -> Any:
        claim = await scheduled.get(PERSISTENT_VOLUME_CLAIM, Key("default", "made"))
        return annotations(claim).get("volume.kubernetes.io/selected-node") in ("n1", "n2")

    async def claimed() -> Any:
        volume = await scheduled.get(PERSISTENT_VOLUME, Key("", "pv"))
        return (volume["spec"].get("claimRef") or {}).get("name") == "found"

    await until(selected)
    await until(claimed)


async def test_what_is_gone_meanwhile_is_no_trouble(scheduled: Client) -> None:
    await make(scheduled, POD, pod("web", cpu="64"))
    await scheduled.delete(POD, Key("default", "web"), grace_period_seconds=0)
    with pytest.raises(NotFound):
        await scheduled.get(POD, Key("default", "web"))
    await make(scheduled, POD, pod("next"))

    async def bound() -> Any:
        return (await scheduled.get(POD, Key("default", "next")))["spec"].get("nodeName")

    await until(bound)
