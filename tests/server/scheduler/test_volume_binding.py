"""Pods whose claims wait for them: chosen, told, waited for, and bound; or decided on anew."""

import asyncio
from typing import Any

import pytest

from edgek.api.meta import Obj, annotations
from edgek.kinds import (
    EVENT,
    NODE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    STORAGE_CLASS,
)
from server.scheduler.scheduler import build
from tests.support.cluster import ClusterApi, node, pod, until
from tests.support.loops import running

pytestmark = pytest.mark.looptime

SELECTED = "volume.kubernetes.io/selected-node"


@pytest.fixture
def api() -> ClusterApi:
    api = ClusterApi()
    api.put(NODE, node("n1"))
    return api


def put_class(api: ClusterApi, provisioner: str) -> None:
    wait = {"provisioner": provisioner, "volumeBindingMode": "WaitForFirstConsumer"}
    api.put(STORAGE_CLASS, {"metadata": {"name": "fast"}, **wait})


def put_claim(api: ClusterApi, **spec: Any) -> Obj:
    modes = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    meta = {"name": "data", "namespace": "default"}
    spec = {"storageClassName": "fast", **modes, **spec}
    phase = "Bound" if spec.get("volumeName") else "Pending"
    claim = {"metadata": meta, "spec": spec, "status": {"phase": phase}}
    return api.put(PERSISTENT_VOLUME_CLAIM, claim)


def put_volume(api: ClusterApi) -> None:
    spec = {
        "storageClassName": "fast",
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
    }
    volume = {"metadata": {"name": "pv"}, "spec": spec, "status": {"phase": "Available"}}
    api.put(PERSISTENT_VOLUME, volume)


def web(name: str = "web") -> Obj:
    source = {"persistentVolumeClaim": {"claimName": "data"}}
    return pod(name, volumes=[{"name": "data", **source}])


def on(api: ClusterApi, name: str = "web") -> str:
    found = api.one(POD, "default", name)
    return found["spec"].get("nodeName", "") if found else ""


def claim_of(api: ClusterApi) -> Obj:
    found = api.one(PERSISTENT_VOLUME_CLAIM, "default", "data")
    assert found is not None
    return found


def events(api: ClusterApi) -> list[str]:
    return [e["message"] for e in api.all(EVENT) if e["reason"] == "FailedScheduling"]


async def test_a_claim_is_told_its_node_and_the_pod_waits_until_it_is_bound(
    api: ClusterApi,
) -> None:
    put_class(api, "example.com/disks")
    put_claim(api)
    api.put(POD, web())
    async with running(api, build):
        await until(lambda: annotations(claim_of(api)).get(SELECTED) == "n1")
        await asyncio.sleep(30)
        assert on(api) == ""
        put_volume(api)
        put_claim(api, volumeName="pv")
        await until(lambda: on(api) == "n1")


async def test_a_free_volume_is_given_to_the_claim(api: ClusterApi) -> None:
    put_class(api, "kubernetes.io/no-provisioner")
    put_claim(api)
    put_volume(api)
    api.put(POD, web())
    async with running(api, build):
        await until(lambda: api.all(PERSISTENT_VOLUME)[0]["spec"].get("claimRef"))
        volume = api.all(PERSISTENT_VOLUME)[0]
        assert volume["spec"]["claimRef"]["uid"] == claim_of(api)["metadata"]["uid"]
        assert annotations(volume)["pv.kubernetes.io/bound-by-controller"] == "yes"
        put_claim(api, volumeName="pv")
        await until(lambda: on(api) == "n1")


async def test_a_provisioner_that_cannot_asks_for_another_decision(api: ClusterApi) -> None:
    put_class(api, "example.com/disks")
    put_claim(api)
    api.put(POD, web())
    async with running(api, build):
        await until(lambda: annotations(claim_of(api)).get(SELECTED) == "n1")
        await asyncio.sleep(1)
        api.put(NODE, node("n1", unschedulable=True))
        api.put(NODE, node("n2"))
        put_claim(api)
        await until(lambda: annotations(claim_of(api)).get(SELECTED) == "n2", seconds=30)
        assert events(api) == [
            'running PreBind plugin "VolumeBinding": binding volumes: '
            'selectedNode annotation reset for PVC "data"'
        ]


async def test_waiting_for_volumes_ends(api: ClusterApi) -> None:
    put_class(api, "example.com/disks")
    put_claim(api)
    api.put(POD, web())
    async with running(api, build):
        await asyncio.sleep(650)
        assert events(api) == [
            'running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded'
        ]


async def test_many_that_wait_keep_no_other_pod_waiting(api: ClusterApi) -> None:
    put_class(api, "example.com/disks")
    put_claim(api)
    for number in range(80):
        api.put(POD, web(f"web-{number}"))
    async with running(api, build):
        api.put(POD, pod("plain"))
        await until(lambda: on(api, "plain") == "n1")
        put_volume(api)
        put_claim(api, volumeName="pv")
        await until(lambda: all(on(api, f"web-{number}") for number in range(80)))


async def test_a_pod_that_goes_while_its_claim_is_bound_leaves_its_room(api: ClusterApi) -> None:
    api.put(NODE, node("n1", pods="1"))
    put_class(api, "example.com/disks")
    put_claim(api)
    api.put(POD, web())
    async with running(api, build):
        await until(lambda: annotations(claim_of(api)).get(SELECTED) == "n1")
        api.remove(POD, "default", "web")
        api.put(POD, pod("next"))
        await until(lambda: on(api, "next") == "n1")
        assert events(api) == []


async def test_an_unbound_claim_refuses_until_it_is_bound(api: ClusterApi) -> None:
    put_claim(api)
    api.put(POD, web())
    async with running(api, build):
        await until(lambda: events(api))
        assert events(api) == [
            "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. "
            "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        ]
        put_volume(api)
        put_claim(api, volumeName="pv")
        await until(lambda: on(api) == "n1")
