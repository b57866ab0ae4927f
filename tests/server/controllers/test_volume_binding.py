"""Claims and volumes find each other, once and for all, wherever that is cut."""

import asyncio
from typing import Any

import pytest

from edgek.aio.clock import SystemClock
from edgek.aio.tasks import Tasks
from edgek.api.meta import Key, Obj, annotations, name
from edgek.control.controller import Context, run_controllers
from edgek.control.events import EventRecorder
from edgek.control.informer import Informers
from edgek.kinds import NAMESPACE, NODE, POD, STORAGE_CLASS
from edgek.kinds import PERSISTENT_VOLUME as VOLUME
from edgek.kinds import PERSISTENT_VOLUME_CLAIM as CLAIM
from edgek.kinds.volume_match import PROVISIONED_BY, PROVISIONER, SELECTED_NODE, best_match
from server.controllers import volume_claims, volumes
from server.controllers.volume_binding_plan import Seen, plan_claim, plan_reclaim, plan_volume
from tests.support.api import admin, open_api
from tests.support.cluster import node, pod
from tests.support.loops import running
from tests.support.memory_api import MemoryApi, dies_at

BUILDERS = (volume_claims.build, volumes.build)


def volume(named: str, size: str = "5Gi", of: str = "slow", **more: Any) -> Obj:
    """``labels=``, ``annotations=`` and ``phase=`` apart, the rest is spec."""
    meta = {"name": named, "labels": more.pop("labels", {})}
    meta["annotations"] = more.pop("annotations", {})
    status = {"phase": more.pop("phase", "Available")}
    spec = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"]}
    spec |= {"storageClassName": of, "persistentVolumeReclaimPolicy": "Retain", **more}
    return {"metadata": meta, "spec": spec, "status": status}


def claim(named: str = "data", size: str = "1Gi", of: str | None = "slow", **more: Any) -> Obj:
    meta = {"name": named, "namespace": "ns", "uid": f"uid-{named}"}
    meta["annotations"] = more.pop("annotations", {})
    spec = {"resources": {"requests": {"storage": size}}, "accessModes": ["ReadWriteOnce"], **more}
    if of is not None:
        spec["storageClassName"] = of
    return {"metadata": meta, "spec": spec, "status": {"phase": "Pending"}}


def storage_class(named: str, mode: str = "Immediate", provisioner: str = "x.io/y") -> Obj:
    return {"metadata": {"name": named}, "provisioner": provisioner, "volumeBindingMode": mode}


def ref(named: str = "data", of: str = "") -> Obj:
    return {"namespace": "ns", "name": named} | ({"uid": of} if of else {})


def get(api: MemoryApi, kind: Any, named: str) -> Obj:
    found = api.one(kind, "" if kind in (VOLUME, STORAGE_CLASS) else "ns", named)
    assert found is not None
    return found


def state(api: MemoryApi) -> tuple[dict[str, Any], dict[str, Any]]:
    """Each claim's phase and volume, each volume's phase and claim."""
    return (
        {name(c): (c["status"]["phase"], c["spec"].get("volumeName")) for c in api.all(CLAIM)},
        {
            name(v): (v["status"]["phase"], (v["spec"].get("claimRef") or {}).get("name"))
            for v in api.all(VOLUME)
        },
    )


@pytest.mark.parametrize(
    ("wish", "there", "expected"),
    [
        pytest.param(claim(), [volume("a", "9Gi"), volume("b", "2Gi")], "b", id="smallest"),
        pytest.param(claim(size="6Gi"), [volume("a")], None, id="too small"),
        pytest.param(claim(), [volume("b"), volume("a")], "a", id="names decide"),
        pytest.param(claim(), [volume("a", of="fast")], None, id="class"),
        pytest.param(claim(), [volume("a", phase="Released")], None, id="phase"),
        pytest.param(claim(), [volume("a", volumeMode="Block")], None, id="mode"),
        pytest.param(claim(accessModes=["ReadWriteMany"]), [volume("a")], None, id="access modes"),
        pytest.param(
            claim(),
            [volume("a", "1Gi", accessModes=["ReadWriteOnce", "ReadWriteMany"]), volume("b")],
            "b",
            id="fewer access modes before size",
        ),
        pytest.param(
            claim(selector={"matchLabels": {"disk": "ssd"}}),
            [volume("a"), volume("b", "9Gi", labels={"disk": "ssd"})],
            "b",
            id="selector",
        ),
        pytest.param(claim(), [volume("a", "1Gi"), volume("b", claimRef=ref())], "b", id="named"),
        pytest.param(claim(), [volume("a", claimRef=ref("other"))], None, id="another's"),
        pytest.param(claim(), [volume("a", claimRef=ref(of="old"))], None, id="a namesake's"),
    ],
)
def test_the_best_volume(wish: Obj, there: list[Obj], expected: str | None) -> None:
    found = best_match(wish, there)
    assert (name(found) if found else None) == expected
    again = best_match(wish, there[::-1])
    assert (name(again) if again else None) == expected


def test_a_node_that_is_gone_gets_no_volume() -> None:
    wish = claim(annotations={SELECTED_NODE: "n1"})
    classes = {"slow": storage_class("slow", "WaitForFirstConsumer")}
    there = Seen(classes=classes, candidates=[volume("a")])
    assert plan_claim(wish, there).bind is None
    found = plan_claim(wish, Seen(classes=classes, candidates=[volume("a")], node=node("n1")))
    assert found.bind == volume("a")


BOUND = {"pv.kubernetes.io/bind-completed": "yes"}
NO_PROVISIONER = "kubernetes.io/no-provisioner"
NO_CLASS = "no persistent volumes available for this claim and no storage class is set"
WAITING = "Waiting for a volume to be created either by the external provisioner 'x.io/y' or"


@pytest.mark.parametrize(
    ("wish", "seen", "phase", "said"),
    [
        (claim(of=""), Seen(classes={}), "Pending", f"FailedBinding: {NO_CLASS}"),
        (
            claim(),
            Seen(classes={}),
            "Pending",
            'ProvisioningFailed: storageclass.storage.k8s.io "slow" not found',
        ),
        (
            claim(),
            Seen(classes={"slow": storage_class("slow", "Immediate", NO_PROVISIONER)}),
            "Pending",
            "ProvisioningFailed: no volume plugin matched name: kubernetes.io/no-provisioner",
        ),
        (
            claim(),
            Seen(classes={"slow": storage_class("slow")}),
            "Pending",
            f"ExternalProvisioning: {WAITING} manually by the system administrator. If volume "
            "creation is delayed, please verify that the provisioner is running and correctly "
            "registered.",
        ),
        (
            claim(),
            Seen(classes={"slow": storage_class("slow", "WaitForFirstConsumer")},
                 candidates=[volume("a")]),
            "Pending",
            "WaitForFirstConsumer: waiting for first consumer to be created before binding",
        ),
        (
            claim(),
            Seen(classes={"slow": storage_class("slow", "WaitForFirstConsumer")},
                 waiting_pods=["b", "a"]),
            "Pending",
            "WaitForPodScheduled: waiting for pods a,b to be scheduled",
        ),
        (
            claim(volumeName="a"),
            Seen(classes={}, volume=volume("a", "1Mi")),
            "Pending",
            'VolumeMismatch: Cannot bind to requested volume "a": requested PV is too small',
        ),
        (
            claim(volumeName="a"),
            Seen(classes={}, volume=volume("a", claimRef=ref("other", "u"))),
            "Pending",
            'FailedBinding: volume "a" already bound to a different claim.',
        ),
        (claim(volumeName="a"), Seen(classes={}), "Pending", ""),
        (
            claim(volumeName="a", annotations=BOUND),
            Seen(classes={}),
            "Lost",
            "ClaimLost: Bound claim has lost its PersistentVolume. Data on the volume is lost!",
        ),
        (
            claim(annotations=BOUND),
            Seen(classes={}),
            "Lost",
            "ClaimLost: Bound claim has lost reference to PersistentVolume. "
            "Data on the volume is lost!",
        ),
        (
            claim(volumeName="a", annotations=BOUND),
            Seen(classes={}, volume=volume("a", claimRef=ref("other", "u"))),
            "Lost",
            "ClaimMisbound: Two claims are bound to the same volume, "
            "this one is bound incorrectly",
        ),
    ],
)  # fmt: skip
def test_what_is_said_of_a_claim_without_a_volume(
    wish: Obj, seen: Seen, phase: str, said: str
) -> None:
    plan = plan_claim(wish, seen)
    assert plan == plan_claim(wish, seen)
    assert plan.phase == phase
    assert "".join(f"{s.reason}: {s.message}" for s in plan.said) == said


PROVISIONED = {PROVISIONED_BY: "x.io/y"}


@pytest.mark.parametrize(
    ("there", "holder", "phase", "reason"),
    [
        (volume("a"), None, "Available", ""),
        (volume("a", claimRef=ref()), None, "Available", ""),
        (volume("a", claimRef=ref(of="gone")), None, "Released", ""),
        (volume("a", claimRef=ref(of="u")), claim(volumeName="a"), "Bound", ""),
        (volume("a", claimRef=ref(of="u")), claim(), "", ""),
        (
            volume("a", claimRef=ref(of="u"), persistentVolumeReclaimPolicy="Delete"),
            None,
            "Failed",
            "VolumeFailedDelete",
        ),
        (
            volume("a", claimRef=ref(of="u"), persistentVolumeReclaimPolicy="Recycle"),
            None,
            "Failed",
            "VolumeFailedRecycle",
        ),
        (
            volume("a", claimRef=ref(of="u"), persistentVolumeReclaimPolicy="Delete",
                   annotations=PROVISIONED),
            None,
            "Released",
            "",
        ),
        (
            volume("a", claimRef=ref(of="u"), persistentVolumeReclaimPolicy="Delete",
                   annotations=PROVISIONED),
            claim(volumeName="b"),
            "Released",
            "",
        ),
        (volume("a", claimRef=ref(of="u")), claim(volumeName="b"), "Available", ""),
    ],
)  # fmt: skip
def test_the_phase_of_a_volume(there: Obj, holder: Obj | None, phase: str, reason: str) -> None:
    plan = plan_volume(there, holder)
    assert (plan.phase, plan.said.reason if plan.said else "") == (phase, reason)


def test_a_volume_of_csi_that_people_made_is_left_to_its_driver() -> None:
    there = volume("a", persistentVolumeReclaimPolicy="Delete", csi={"driver": "x"})
    assert plan_reclaim(there).phase == "Released"


@pytest.mark.looptime
async def test_a_claim_lives_and_its_volume_is_retained() -> None:
    api = MemoryApi()
    api.put(CLAIM, claim(of=""))
    async with running(api, *BUILDERS) as loops:
        assert loops.events() == [f"FailedBinding: {NO_CLASS}"]
        api.put(VOLUME, volume("big", "9Gi", of="", phase="Pending"))
        await loops.settle()
        assert state(api) == ({"data": ("Bound", "big")}, {"big": ("Bound", "data")})
        bound = get(api, CLAIM, "data")
        assert bound["status"]["capacity"] == {"storage": "9Gi"}
        assert "lastPhaseTransitionTime" in get(api, VOLUME, "big")["status"]
        done = len(api.writes)
        await loops.settle(3600)
        assert len(api.writes) == done
        api.remove(CLAIM, "ns", "data")
        await loops.settle()
        assert state(api)[1] == {"big": ("Released", "data")}
        api.put(CLAIM, claim(of="") | {"metadata": {"name": "data", "namespace": "ns", "uid": "2"}})
        await loops.settle()
        assert state(api)[0] == {"data": ("Pending", None)}, "a namesake is not the claim"


@pytest.mark.looptime
async def test_many_claims_at_once_never_share_a_volume() -> None:
    api = MemoryApi()
    for number in range(12):
        api.put(CLAIM, claim(f"c{number}"))
    for number in range(8):
        api.put(VOLUME, volume(f"v{number}", phase="Pending"))
    api.put(STORAGE_CLASS, storage_class("slow"))
    async with running(api, *BUILDERS) as loops:
        await loops.settle(60)
        claims, found = state(api)
        taken = [v for _, v in claims.values() if v]
        assert len(taken) == len(set(taken)) == 8
        assert all(claims[str(c)] == ("Bound", v) for v, (_, c) in found.items())


@pytest.mark.looptime
async def test_provisioners_are_told_by_annotations_and_their_volume_is_bound() -> None:
    api = MemoryApi()
    api.put(CLAIM, claim(of=None))
    async with running(api, *BUILDERS) as loops:
        made = storage_class("slow")
        made["metadata"]["annotations"] = {"storageclass.kubernetes.io/is-default-class": "true"}
        api.put(STORAGE_CLASS, made)
        await loops.settle()
        asks = get(api, CLAIM, "data")
        assert asks["spec"]["storageClassName"] == "slow"
        assert annotations(asks)[PROVISIONER] == "x.io/y"
        bound = volume("pvc-1", phase="Pending", claimRef=ref(of="uid-data"))
        api.put(VOLUME, bound | {"metadata": {"name": "pvc-1", "annotations": PROVISIONED}})
        await loops.settle()
        assert state(api) == ({"data": ("Bound", "pvc-1")}, {"pvc-1": ("Bound", "data")})


@pytest.mark.looptime
async def test_a_class_that_waits_is_bound_where_the_scheduler_says() -> None:
    api = MemoryApi()
    api.put(STORAGE_CLASS, storage_class("slow", "WaitForFirstConsumer"))
    for on in ("n1", "n2"):
        api.put(NODE, node(on))
        field = {"key": "metadata.name", "operator": "In", "values": [on]}
        required = {"nodeSelectorTerms": [{"matchFields": [field]}]}
        api.put(VOLUME, volume(f"on-{on}", nodeAffinity={"required": required}))
    api.put(CLAIM, claim())
    async with running(api, *BUILDERS) as loops:
        user = pod("web", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}])
        user["metadata"]["namespace"] = "ns"
        api.put(POD, user)
        await loops.settle()
        assert loops.events() == [
            "WaitForFirstConsumer: waiting for first consumer to be created before binding",
            "WaitForPodScheduled: waiting for pod web to be scheduled",
        ]
        asks = get(api, CLAIM, "data")
        meta = {**asks["metadata"], "annotations": {SELECTED_NODE: "n2"}}
        api.put(CLAIM, {**asks, "metadata": meta})
        await loops.settle()
        assert state(api)[0] == {"data": ("Bound", "on-n2")}


@pytest.mark.looptime
async def test_a_claim_whose_volume_is_taken_away_is_lost_and_told_so_once() -> None:
    api = MemoryApi()
    api.put(VOLUME, volume("a"))
    api.put(CLAIM, claim())
    async with running(api, *BUILDERS) as loops:
        api.remove(VOLUME, "", "a")
        await loops.settle()
        assert state(api)[0] == {"data": ("Lost", "a")}
        told = loops.events("ClaimLost")
        api.put(VOLUME, volume("other"))
        await loops.settle()
        assert loops.events("ClaimLost") == told
        assert len(told) == 1


def cluster() -> MemoryApi:
    api = MemoryApi()
    api.put(STORAGE_CLASS, storage_class("slow"))
    for number in range(2):
        api.put(CLAIM, claim(f"c{number}"))
        api.put(VOLUME, volume(f"v{number}", phase="Pending"))
    api.put(CLAIM, claim("named", volumeName="v2"))
    api.put(VOLUME, volume("v2", "500Gi", phase="Pending"))
    return api


@pytest.mark.looptime
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(16))
async def test_binding_ends_the_same_wherever_it_was_cut(number: int, when: str) -> None:
    api = cluster()
    hooks = api.before if when == "before" else api.after
    hooks.append(dies_at(number))
    async with running(api, *BUILDERS):
        pass
    hooks.clear()
    api.put(VOLUME, volume("v3", "1Gi", phase="Pending"))  # smaller: tempting for who is half bound
    async with running(api, *BUILDERS) as loops:
        await loops.settle(60)
        claims, found = state(api)
        assert {phase for phase, _ in claims.values()} == {"Bound"}
        assert claims["named"] == ("Bound", "v2")
        bonds = {v: c for c, (_, v) in claims.items()}
        assert len(bonds) == 3
        left = {v: ("Available", None) for v in found if v not in bonds}
        assert found == {v: ("Bound", c) for v, c in bonds.items()} | left


@pytest.mark.looptime
async def test_bad_input_makes_no_hot_loop() -> None:
    api = MemoryApi()
    api.put(CLAIM, claim(volumeName="a"))
    api.put(VOLUME, volume("a", claimRef=ref("other")))
    async with running(api, *BUILDERS) as loops:
        await loops.settle(3600)
        assert len(api.writes) <= 2


async def test_the_real_api_takes_every_step() -> None:
    clock = SystemClock()
    async with open_api(clock=clock) as api, Tasks("test") as tasks:
        client = admin(api)
        events = EventRecorder(client, clock)
        context = Context(
            client=client, informers=Informers(client, tasks), events=events, clock=clock
        )
        tasks.spawn(run_controllers(context, BUILDERS), name="controllers")
        await client.create(NAMESPACE, {"metadata": {"name": "ns"}})
        made = claim(of=None)
        del made["metadata"]["uid"]
        await client.create(CLAIM, made)
        await client.create(STORAGE_CLASS, storage_class("slow") | {
            "metadata": {"name": "slow", "annotations": {
                "storageclass.kubernetes.io/is-default-class": "true"}}})  # fmt: skip
        await client.create(VOLUME, volume("a", hostPath={"path": "/srv"}))

        async def until(kind: Any, key: Key, phase: str) -> Obj:
            async with asyncio.timeout(10):
                while (found := await client.get(kind, key))["status"]["phase"] != phase:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                return found

        bound = await until(CLAIM, Key("ns", "data"), "Bound")
        assert bound["spec"]["volumeName"] == "a"
        await client.delete(CLAIM, Key("ns", "data"))
        released = await until(VOLUME, Key("", "a"), "Released")
        assert released["status"]["lastPhaseTransitionTime"]
