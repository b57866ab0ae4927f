"""Wherever the server dies, or a write fails: started again, the same pods end up placed, and no
more of the others had to go."""

import random

import pytest

from edgek.api.errors import ServiceUnavailable
from edgek.api.meta import annotations
from edgek.client.transport import Call
from edgek.kinds import NODE, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD, STORAGE_CLASS
from server.scheduler.scheduler import build
from tests.support.cluster import ClusterApi, node, pod
from tests.support.loops import running
from tests.support.memory_api import dies_at

pytestmark = pytest.mark.looptime

SELECTED = "volume.kubernetes.io/selected-node"


def cluster() -> ClusterApi:
    """Four lesser pods fill the only open node; an important one needs the room of two."""
    api = ClusterApi()
    api.put(NODE, node("n1", cpu="4"))
    api.put(NODE, node("n2", cpu="1", taints=[{"key": "own", "effect": "NoSchedule"}]))
    for number in range(4):
        api.put(POD, pod(f"lesser-{number}", cpu="1", priority=number, nodeName="n1"))
    api.put(POD, pod("big", cpu="2", priority=100))
    wait = {"provisioner": "example.com/disks", "volumeBindingMode": "WaitForFirstConsumer"}
    api.put(STORAGE_CLASS, {"metadata": {"name": "fast"}, **wait})
    claim = {"metadata": {"name": "data", "namespace": "default"}}
    spec = {"storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}}
    api.put(PERSISTENT_VOLUME_CLAIM, {**claim, "spec": spec, "status": {"phase": "Pending"}})
    source = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    tolerations = [{"key": "own", "operator": "Exists"}]
    selector = {"kubernetes.io/hostname": "n2"}
    api.put(POD, pod("db", volumes=[source], tolerations=tolerations, nodeSelector=selector))
    return api


def provisioned(api: ClusterApi) -> None:
    """What the volume controllers do for a claim that knows its node."""
    claim = api.one(PERSISTENT_VOLUME_CLAIM, "default", "data")
    assert claim is not None
    assert annotations(claim)[SELECTED] == "n2"
    api.put(PERSISTENT_VOLUME, {"metadata": {"name": "pv"}, "spec": {}})
    spec = {**claim["spec"], "volumeName": "pv"}
    api.put(PERSISTENT_VOLUME_CLAIM, {**claim, "spec": spec, "status": {"phase": "Bound"}})


def placed(api: ClusterApi) -> dict[str, str]:
    return {p["metadata"]["name"]: p["spec"].get("nodeName", "") for p in api.all(POD)}


END = {"big": "n1", "db": "n2", "lesser-2": "n1", "lesser-3": "n1"}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(9))
async def test_the_end_is_the_same_wherever_the_server_died(number: int, when: str) -> None:
    api = cluster()
    hooks = api.before if when == "before" else api.after
    hooks.append(dies_at(number))
    async with running(api, build):
        pass
    hooks.clear()
    async with running(api, build) as loops:
        await loops.settle(30)
        provisioned(api)
        await loops.settle(30)
        assert placed(api) == END


@pytest.mark.parametrize("seed", range(5))
async def test_writes_that_fail_now_and_then_only_take_longer(seed: int) -> None:
    rng, api = random.Random(seed), cluster()

    def sometimes(call: Call) -> None:
        if call.method != "GET" and rng.random() < 0.4:
            raise ServiceUnavailable("not now")

    api.before.append(sometimes)
    api.after.append(sometimes)
    async with running(api, build) as loops:
        await loops.settle(120)
        provisioned(api)
        await loops.settle(120)
        assert placed(api) == END
