"""The workload controllers against the real request path: defaults, validation, finalizers."""

from collections.abc import AsyncIterator

import pytest

from edgek.aio.clock import SystemClock
from edgek.aio.tasks import Tasks
from edgek.api.errors import NotFound
from edgek.api.meta import Key
from edgek.control.events import EventRecorder
from edgek.kinds import (
    CONFIG_MAP,
    DAEMON_SET,
    DEPLOYMENT,
    EVENT,
    NAMESPACE,
    NODE,
    POD,
    REPLICA_SET,
    SECRET,
)
from server.controllers import daemonset, deployment, garbage_collector, namespace, replicaset
from tests.support.api import admin, open_api
from tests.support.loops import ReadyPods, controlled, until

ALL = (
    namespace.build,
    garbage_collector.build,
    deployment.build,
    replicaset.build,
    daemonset.build,
    ReadyPods,
)


@pytest.fixture
async def client() -> AsyncIterator:
    """Of an API on which the controllers run, with namespace ``ns`` and node ``n1``."""
    clock = SystemClock()
    async with open_api(clock=clock) as api, controlled(admin(api), clock, *ALL) as context:
        client = context.client
        await client.create(NAMESPACE, {"metadata": {"name": "ns"}})
        await client.create(NODE, {"metadata": {"name": "n1"}})
        yield client


def workload(name, image="v1", **spec):
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "c", "image": image}]},
    }
    return {
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


async def names(client, kind):
    return [o["metadata"]["name"] for o in (await client.list(kind, namespace="ns")).items]


async def complete(client, generation):
    status = (await client.get(DEPLOYMENT, Key("ns", "web"))).get("status", {})
    fields = ("replicas", "updatedReplicas", "availableReplicas")
    seen = status.get("observedGeneration", 0) >= generation
    return seen and [status.get(f) for f in fields] == [3, 3, 3]


async def test_a_deployment_rolls_out_and_back(client):
    await client.create(DEPLOYMENT, workload("web", replicas=3))
    await until(lambda: complete(client, 1))
    for generation, image in ((2, "v2"), (3, "v1")):
        patch = {"spec": workload("web", image)["spec"]}
        await client.patch(DEPLOYMENT, Key("ns", "web"), patch)
        await until(lambda generation=generation: complete(client, generation))
    sets = (await client.list(REPLICA_SET, namespace="ns")).items
    revision = "deployment.kubernetes.io/revision"
    assert sorted(s["metadata"]["annotations"][revision] for s in sets) == ["2", "3"]


async def test_foreground_deletion_ends_with_the_owner(client):
    await client.create(DEPLOYMENT, workload("web", replicas=3))
    await until(lambda: complete(client, 1))
    await client.delete(DEPLOYMENT, Key("ns", "web"), propagation_policy="Foreground")

    async def gone():
        return await names(client, DEPLOYMENT) == []

    await until(gone)
    assert await names(client, REPLICA_SET) == await names(client, POD) == []


async def test_orphaned_replica_sets_are_adopted_by_the_next_deployment(client):
    await client.create(DEPLOYMENT, workload("web", replicas=3))
    await until(lambda: complete(client, 1))
    [before], pods = await names(client, REPLICA_SET), await names(client, POD)
    await client.delete(DEPLOYMENT, Key("ns", "web"), propagation_policy="Orphan")

    async def gone():
        return await names(client, DEPLOYMENT) == []

    await until(gone)
    await client.create(DEPLOYMENT, workload("web", replicas=3))
    await until(lambda: complete(client, 1))
    assert await names(client, REPLICA_SET) == [before]
    assert await names(client, POD) == pods


async def test_dependents_of_an_owner_that_is_deleted_go(client):
    owner = await client.create(CONFIG_MAP, {"metadata": {"name": "a", "namespace": "ns"}})
    ref = {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": owner["metadata"]["uid"]}
    meta = {"name": "b", "namespace": "ns", "ownerReferences": [ref]}
    await client.create(SECRET, {"metadata": meta})
    await client.delete(CONFIG_MAP, Key("ns", "a"))

    async def gone():
        return await names(client, SECRET) == []

    await until(gone)


async def test_a_daemon_set_covers_nodes_and_its_history_is_kept(client):
    await client.create(DAEMON_SET, workload("d"))
    key = Key("ns", "d")

    async def updated(generation, number):
        status = (await client.get(DAEMON_SET, key)).get("status", {})
        fields = ("updatedNumberScheduled", "numberAvailable", "currentNumberScheduled")
        seen = status.get("observedGeneration", 0) >= generation
        return seen and [status.get(f) for f in fields] == [number] * 3

    await until(lambda: updated(1, 1))
    await client.create(NODE, {"metadata": {"name": "n2"}})
    await until(lambda: updated(1, 2))
    await client.patch(DAEMON_SET, key, {"spec": workload("d", "v2")["spec"]})
    await until(lambda: updated(2, 2))


async def test_a_namespace_ends_with_all_its_content(client):
    await client.create(CONFIG_MAP, {"metadata": {"name": "a", "namespace": "ns"}})
    pod = {"metadata": {"name": "p", "namespace": "ns"}}
    await client.create(POD, pod | {"spec": {"containers": [{"name": "c", "image": "x"}]}})
    await client.delete(NAMESPACE, Key("", "ns"))

    async def gone():
        try:
            await client.get(NAMESPACE, Key("", "ns"))
        except NotFound:
            return True

    await until(gone)
    assert await names(client, CONFIG_MAP) == []


async def test_an_event_that_repeats_is_counted(client):
    pod = await client.create(
        POD,
        {
            "metadata": {"name": "p", "namespace": "ns"},
            "spec": {"containers": [{"name": "c", "image": "x"}]},
        },
    )
    recorder = EventRecorder(client, SystemClock())
    async with Tasks("events") as tasks:
        tasks.spawn(recorder.run(), name="run")
        for _ in range(3):
            recorder.source("kubelet", host="n1").warning(pod, "BackOff", "back-off")

        async def counted():
            found = (await client.list(EVENT, namespace="ns")).items
            return [e["count"] for e in found if e["reason"] == "BackOff"] == [3]

        await until(counted)
