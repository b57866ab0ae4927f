"""Volumes of CSI drivers are attached where pods are, in objects; ephemeral ones have claims."""

from typing import Any

import pytest

from edgek.api.meta import Obj, deep_copy, name
from edgek.kinds import CSI_DRIVER, NODE, POD
from edgek.kinds import PERSISTENT_VOLUME as VOLUME
from edgek.kinds import PERSISTENT_VOLUME_CLAIM as CLAIM
from edgek.kinds import VOLUME_ATTACHMENT as ATTACHMENT
from server.controllers import ephemeral_volumes, volume_attachments
from server.controllers.volume_attachments_plan import attachment_of, plan_attachments, unique_name
from tests.support.cluster import node, pod
from tests.support.loops import running
from tests.support.memory_api import MemoryApi

OUT_OF_SERVICE = {"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}


def volume(named: str = "v", *modes: str, of: str = "data") -> Obj:
    csi = {"driver": "disks.example.com", "volumeHandle": f"h-{named}"}
    ref = {"namespace": "default", "name": of}
    spec = {"csi": csi, "accessModes": [*modes] or ["ReadWriteOnce"], "claimRef": ref}
    return {"metadata": {"name": named}, "spec": spec, "status": {"phase": "Bound"}}


def claim(named: str = "data", of: str = "v") -> Obj:
    meta = {"name": named, "namespace": "default"}
    return {"metadata": meta, "spec": {"volumeName": of}, "status": {"phase": "Bound"}}


def user(named: str, on: str, of: str = "data") -> Obj:
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": of}}]
    return pod(named, nodeName=on, volumes=volumes, status={"phase": "Running"})


def cluster(*modes: str) -> MemoryApi:
    api = MemoryApi()
    for on in ("n1", "n2"):
        api.put(NODE, node(on, conditions=[{"type": "Ready", "status": "True"}]))
    api.put(VOLUME, volume("v", *modes))
    api.put(CLAIM, claim())
    return api


def where(api: MemoryApi) -> list[str]:
    return sorted(a["spec"]["nodeName"] for a in api.all(ATTACHMENT))


def attach(api: MemoryApi) -> None:
    """What the driver does."""
    for found in api.all(ATTACHMENT):
        api.put(ATTACHMENT, {**found, "status": {"attached": True}})


def change(api: MemoryApi, on: str, **status: Any) -> Obj:
    found = deep_copy(api.one(NODE, "", on) or {})
    found["status"] |= status
    return api.put(NODE, found) or found


def attached(api: MemoryApi, on: str) -> list[str]:
    found = api.one(NODE, "", on) or {}
    return [v["name"] for v in found["status"].get("volumesAttached") or ()]


def test_the_plan_is_the_same_each_time_and_names_follow_from_what_is_attached() -> None:
    wanted = {n: volume(n) for n in ("b", "a")}
    elsewhere = attachment_of(wanted["b"], "n2")
    old = attachment_of(volume("old"), "n1")
    there = {"b": [elsewhere], "old": [old]}
    plan = plan_attachments("n1", wanted, there, in_use=lambda named: False)
    assert plan == plan_attachments("n1", wanted, there, in_use=lambda named: False)
    assert plan.attach == [attachment_of(wanted["a"], "n1")]
    assert plan.refused == [wanted["b"]]
    assert plan.detach == [old]
    assert plan_attachments("n1", wanted, there, in_use=lambda named: True).waits == [old]


@pytest.mark.looptime
async def test_a_volume_is_attached_with_its_pod_and_detached_when_it_is_unmounted() -> None:
    api = cluster()
    async with running(api, volume_attachments.build) as loops:
        api.put(POD, user("web", "n1"))
        await loops.settle()
        assert where(api) == ["n1"]
        assert attached(api, "n1") == []
        attach(api)
        await loops.settle()
        assert attached(api, "n1") == [unique_name(volume())]
        change(api, "n1", volumesInUse=[unique_name(volume())])
        api.remove(POD, "default", "web")
        await loops.settle(3600)
        assert where(api) == ["n1"], "the node has it mounted yet"
        change(api, "n1", volumesInUse=[])
        await loops.settle()
        assert where(api) == attached(api, "n1") == []
        done = len(api.writes)
        await loops.settle(3600)
        assert len(api.writes) == done


@pytest.mark.looptime
@pytest.mark.parametrize(("state", "seconds"), [("Unknown", 365), ("out of service", 5)])
async def test_a_node_that_cannot_let_go_loses_the_volume_in_the_end(
    state: str, seconds: int
) -> None:
    api = cluster()
    async with running(api, volume_attachments.build) as loops:
        api.put(POD, user("web", "n1"))
        await loops.settle()
        change(api, "n1", volumesInUse=[unique_name(volume())],
               conditions=[{"type": "Ready", "status": "Unknown"}])  # fmt: skip
        api.remove(POD, "default", "web")
        api.put(POD, user("again", "n2"))
        await loops.settle()
        assert where(api) == ["n1"]
        assert (
            'FailedAttachVolume: Multi-Attach error for volume "v" Volume is already exclusively '
            "attached to one node and can't be attached to another"
        ) in loops.events()
        if state == "out of service":
            found = deep_copy(api.one(NODE, "", "n1") or {})
            found["spec"]["taints"] = [OUT_OF_SERVICE]
            api.put(NODE, found)
        else:
            await loops.settle(300)
            assert where(api) == ["n1"]
        await loops.settle(seconds)
        assert where(api) == ["n2"]


@pytest.mark.looptime
async def test_shared_volumes_are_attached_to_each_node_and_some_drivers_attach_nothing() -> None:
    api = cluster("ReadWriteMany")
    for named, on in (("a", "n1"), ("b", "n2"), ("c", "n2")):
        api.put(POD, user(named, on))
    async with running(api, volume_attachments.build) as loops:
        assert where(api) == ["n1", "n2"]
        spec = {"attachRequired": False}
        api.put(CSI_DRIVER, {"metadata": {"name": "disks.example.com"}, "spec": spec})
        await loops.settle()
        assert where(api) == []


@pytest.mark.looptime
@pytest.mark.parametrize("number", range(4))
async def test_attaching_ends_the_same_wherever_it_was_cut(number: int) -> None:
    api = cluster()
    api.put(POD, user("web", "n1"))
    left = [number]

    def dies(call: Any) -> None:
        if call.method != "GET":
            left[0] -= 1
        if left[0] < 0:
            raise ConnectionError("killed")

    api.after.append(dies)
    async with running(api, volume_attachments.build):
        pass
    api.after.clear()
    async with running(api, volume_attachments.build) as loops:
        attach(api)
        await loops.settle()
        assert (where(api), attached(api, "n1")) == (["n1"], [unique_name(volume())])


def ephemeral(named: str) -> Obj:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    source = {"volumeClaimTemplate": template}
    return pod(named, volumes=[{"name": "scratch", "ephemeral": source}, {"name": "other"}])


@pytest.mark.looptime
async def test_an_ephemeral_volume_gets_its_claim_and_gets_it_again() -> None:
    api = MemoryApi()
    api.put(POD, ephemeral("web"))
    async with running(api, ephemeral_volumes.build) as loops:
        made = api.one(CLAIM, "default", "web-scratch")
        assert made is not None
        assert made["metadata"]["labels"] == {"a": "b"}
        assert made["spec"] == {"accessModes": ["ReadWriteOnce"]}
        assert made["metadata"]["ownerReferences"][0]["uid"] == "uid-web"
        api.remove(CLAIM, "default", "web-scratch")
        await loops.settle()
        assert [name(c) for c in api.all(CLAIM)] == ["web-scratch"]


@pytest.mark.looptime
async def test_a_claim_of_somebody_else_is_not_taken() -> None:
    api = MemoryApi()
    api.put(CLAIM, claim("web-scratch"))
    api.put(POD, ephemeral("web"))
    async with running(api, ephemeral_volumes.build) as loops:
        await loops.settle()
        assert loops.events() == [
            "FailedBinding: ephemeral volume scratch: PVC default/web-scratch was not created for "
            "pod default/web (pod is not owner)"
        ]
