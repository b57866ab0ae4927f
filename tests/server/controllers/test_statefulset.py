"""StatefulSet: pods come, go and are replaced in order, each with its own claims."""

import pytest

from edgek.api.errors import Forbidden
from edgek.kinds import CONTROLLER_REVISION, POD, STATEFUL_SET
from edgek.kinds import PERSISTENT_VOLUME_CLAIM as CLAIM
from server.controllers import garbage_collector, statefulset
from tests.support.loops import ReadyPods, running
from tests.support.memory_api import MemoryApi, fail

ALL = (statefulset.build, garbage_collector.build, ReadyPods)


def stateful_set(image="v1", replicas=3, **spec):
    labels = {"app": "db"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"image": image}]}}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    return {
        "metadata": {"name": "db", "namespace": "ns", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "updateStrategy": rolling,
            "template": template,
            **spec,
        },
    }


def change(api, **spec):
    old = api.one(STATEFUL_SET, "ns", "db")
    meta = {**old["metadata"], "generation": old["metadata"]["generation"] + 1}
    api.put(STATEFUL_SET, {**old, "metadata": meta, "spec": {**old["spec"], **spec}})


def set_image(api, image):
    change(api, template=stateful_set(image)["spec"]["template"])


def names(api, kind=POD):
    return sorted(o["metadata"]["name"] for o in api.all(kind))


def images(api):
    return {p["metadata"]["name"]: p["spec"]["containers"][0]["image"] for p in api.all(POD)}


def status(api):
    return api.one(STATEFUL_SET, "ns", "db")["status"]


def writes(api, method):
    """The names written, in order (a pod that is made has its name in the body)."""
    found = [c for c in api.writes if "/pods" in c.path and c.method == method]
    return [c.body["metadata"]["name"] if method == "POST" else c.path[-4:] for c in found]


@pytest.fixture
def api():
    return MemoryApi()


@pytest.mark.looptime
async def test_pods_come_one_after_the_other_and_go_in_reverse(api):
    api.put(STATEFUL_SET, stateful_set())
    async with running(api, statefulset.build) as loops:
        for ordinal in range(3):
            assert names(api) == [f"db-{n}" for n in range(ordinal + 1)]
            loops.make_ready(api.one(POD, "ns", f"db-{ordinal}"))
            await loops.settle()
        assert names(api) == ["db-0", "db-1", "db-2"]
        assert status(api)["availableReplicas"] == status(api)["currentReplicas"] == 3
        change(api, replicas=1)
        await loops.settle()
        assert writes(api, "DELETE") == ["db-2", "db-1"]
        made = "SuccessfulCreate: create Pod db-0 in StatefulSet db successful"
        assert loops.events("SuccessfulCreate")[0] == made
        gone = "SuccessfulDelete: delete Pod db-2 in StatefulSet db successful"
        assert loops.events("SuccessfulDelete")[0] == gone
        api.calls.clear()
        await loops.settle(3600)
        assert api.calls == []


@pytest.mark.looptime
async def test_parallel_waits_for_nobody(api):
    api.put(STATEFUL_SET, stateful_set(podManagementPolicy="Parallel"))
    async with running(api, statefulset.build) as loops:
        assert names(api) == ["db-0", "db-1", "db-2"]
        change(api, replicas=0)
        await loops.settle()
        assert names(api) == []


@pytest.mark.looptime
async def test_a_new_template_goes_out_from_the_top_one_by_one(api):
    api.put(STATEFUL_SET, stateful_set())
    async with running(api, *ALL) as loops:
        least = []
        api.before.append(lambda call: least.append(len(api.all(POD))))
        set_image(api, "v2")
        await loops.settle(30)
        assert (writes(api, "DELETE"), min(least)) == (["db-2", "db-1", "db-0"], 2)
        assert set(images(api).values()) == {"v2"}
        assert status(api)["currentRevision"] == status(api)["updateRevision"]
        assert status(api)["updatedReplicas"] == status(api)["currentReplicas"] == 3


@pytest.mark.looptime
async def test_an_undo_reuses_its_revision_and_history_has_a_limit(api):
    api.put(STATEFUL_SET, stateful_set(revisionHistoryLimit=1))
    async with running(api, *ALL) as loops:
        for image in ("v2", "v3", "v2"):
            set_image(api, image)
            await loops.settle(30)
        revisions = {r["revision"]: r for r in api.all(CONTROLLER_REVISION)}
        assert sorted(revisions) == [3, 4]
        assert status(api)["currentRevision"] == revisions[4]["metadata"]["name"]
        assert "controller.kubernetes.io/hash" in revisions[4]["metadata"]["labels"]


@pytest.mark.looptime
async def test_a_broken_rollout_stops_and_an_undo_needs_the_broken_pod_deleted(api):
    api.put(STATEFUL_SET, stateful_set())
    async with running(api, *ALL) as loops:
        set_image(api, "bad")
        await loops.settle(30)
        assert images(api) == {"db-0": "v1", "db-1": "v1", "db-2": "bad"}
        set_image(api, "v1")
        await loops.settle(30)
        assert images(api)["db-2"] == "bad"
        api.remove(POD, "ns", "db-2")
        await loops.settle(30)
        assert set(images(api).values()) == {"v1"}
        assert status(api)["availableReplicas"] == 3


@pytest.mark.looptime
async def test_a_partition_keeps_the_rest_at_their_revision_even_when_they_are_made_anew(api):
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    api.put(STATEFUL_SET, stateful_set(updateStrategy=rolling))
    async with running(api, *ALL) as loops:
        set_image(api, "v2")
        await loops.settle(30)
        api.remove(POD, "ns", "db-0")
        await loops.settle(30)
        assert images(api) == {"db-0": "v1", "db-1": "v1", "db-2": "v2"}
        assert (status(api)["currentReplicas"], status(api)["updatedReplicas"]) == (2, 1)
        assert status(api)["currentRevision"] != status(api)["updateRevision"]


@pytest.mark.looptime
async def test_pods_that_are_over_come_back_under_their_name(api):
    api.put(STATEFUL_SET, stateful_set(replicas=1))
    async with running(api, *ALL) as loops:
        for phase, reason in (
            ("Failed", "RecreatingFailedPod"),
            ("Succeeded", "RecreatingTerminatedPod"),
        ):
            old = api.one(POD, "ns", "db-0")
            api.put(POD, {**old, "status": {**old["status"], "phase": phase}})
            await loops.settle()
            assert api.one(POD, "ns", "db-0")["metadata"]["uid"] != old["metadata"]["uid"]
            assert len(loops.events(reason)) == 1
        failed = "RecreatingFailedPod: StatefulSet ns/db is recreating failed Pod db-0"
        assert loops.events("RecreatingFailedPod") == [failed]


CLAIMS = [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}]


def retention(deleted, scaled):
    return {"whenDeleted": deleted, "whenScaled": scaled}


@pytest.mark.looptime
async def test_claims_come_before_their_pods_and_stay(api):
    api.put(STATEFUL_SET, stateful_set(replicas=2, volumeClaimTemplates=CLAIMS))
    async with running(api, *ALL) as loops:
        first = [c.path.rpartition("/")[2] for c in api.writes if c.method == "POST"]
        assert [p for p in first if p in ("pods", "persistentvolumeclaims")] == [
            "persistentvolumeclaims", "pods",
        ] * 2  # fmt: skip
        made = "SuccessfulCreate: create Claim data-db-0 Pod db-0 in StatefulSet db success"
        assert made in loops.events("SuccessfulCreate")
        before = api.all(CLAIM)
        change(api, replicas=0)
        await loops.settle()
        change(api, replicas=2)
        await loops.settle()
        api.remove(STATEFUL_SET, "ns", "db")
        await loops.settle(30)
        assert (names(api), api.all(CLAIM)) == ([], before)


@pytest.mark.looptime
async def test_claims_go_with_the_pods_and_the_set_they_shall_go_with(api):
    policy = retention("Delete", "Delete")
    owner = stateful_set(volumeClaimTemplates=CLAIMS, persistentVolumeClaimRetentionPolicy=policy)
    api.put(STATEFUL_SET, owner)
    async with running(api, *ALL) as loops:
        kept = api.one(CLAIM, "ns", "data-db-0")
        change(api, replicas=1)
        await loops.settle(30)
        assert api.all(CLAIM) == [kept]
        change(api, replicas=2)
        await loops.settle(30)
        assert names(api, CLAIM) == ["data-db-0", "data-db-1"]
        api.remove(STATEFUL_SET, "ns", "db")
        await loops.settle(30)
        assert (names(api), names(api, CLAIM)) == ([], [])


@pytest.mark.looptime
async def test_a_changed_policy_changes_whose_the_claims_are(api):
    api.put(STATEFUL_SET, stateful_set(replicas=1, volumeClaimTemplates=CLAIMS))
    async with running(api, *ALL) as loops:
        for deleted, owners in (("Delete", ["db"]), ("Retain", [])):
            policy = retention(deleted, "Retain")
            change(api, persistentVolumeClaimRetentionPolicy=policy)
            await loops.settle()
            refs = api.one(CLAIM, "ns", "data-db-0")["metadata"].get("ownerReferences", [])
            assert [r["name"] for r in refs] == owners


@pytest.mark.looptime
async def test_refused_claims_are_told_and_tried_again(api):
    api.before.append(fail("POST", "persistentvolumeclaims", Forbidden("exceeded quota"), times=2))
    api.put(STATEFUL_SET, stateful_set(replicas=1, volumeClaimTemplates=CLAIMS))
    async with running(api, *ALL) as loops:
        assert names(api) == ["db-0"]
        assert set(loops.events("FailedCreate")) == {
            "FailedCreate: create Claim data-db-0 for Pod db-0 in StatefulSet db failed error: "
            "exceeded quota",
            "FailedCreate: create Pod db-0 in StatefulSet db failed error: failed to create PVC "
            "data-db-0: exceeded quota",
        }


@pytest.mark.looptime
async def test_only_pods_that_are_named_after_the_set_are_adopted(api):
    for name in ("db-1", "db-x", "db-00", "other-0"):
        api.put(POD, {"metadata": {"name": name, "namespace": "ns", "labels": {"app": "db"}},
                      "spec": {"containers": [{"image": "mine"}]}})  # fmt: skip
    api.put(STATEFUL_SET, stateful_set(replicas=2))
    async with running(api, *ALL):
        owned = [p for p in api.all(POD) if p["metadata"].get("ownerReferences")]
        assert sorted(p["metadata"]["name"] for p in owned) == ["db-0", "db-1"]
        assert (
            api.one(POD, "ns", "db-1")["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "1"
        )


@pytest.mark.looptime
async def test_the_next_pod_comes_when_time_has_made_the_last_available(api):
    api.put(STATEFUL_SET, stateful_set(replicas=2, minReadySeconds=60))
    async with running(api, *ALL) as loops:
        await loops.settle(50)
        assert names(api) == ["db-0"]
        await loops.settle(20)
        assert names(api) == ["db-0", "db-1"]


@pytest.mark.looptime
async def test_a_revision_of_another_under_the_name_is_counted_as_a_collision(api):
    api.put(STATEFUL_SET, stateful_set(replicas=1))
    async with running(api, *ALL):
        [mine] = api.all(CONTROLLER_REVISION)
    api = MemoryApi()
    meta = {"name": mine["metadata"]["name"], "namespace": "ns"}
    api.put(CONTROLLER_REVISION, {"metadata": meta, "data": {"other": 1}, "revision": 1})
    api.put(STATEFUL_SET, stateful_set(replicas=1))
    async with running(api, *ALL):
        assert status(api)["collisionCount"] == 1
        assert status(api)["currentRevision"] != mine["metadata"]["name"]
        assert names(api) == ["db-0"]


@pytest.mark.looptime
async def test_a_stranger_under_a_pods_name_is_left_alone_and_waited_for(api):
    ref = {"apiVersion": "apps/v1", "kind": "Other", "name": "o", "uid": "u", "controller": True}
    meta = {"name": "db-0", "namespace": "ns", "labels": {"app": "db"}, "ownerReferences": [ref]}
    stranger = api.put(POD, {"metadata": meta, "spec": {"containers": [{"image": "theirs"}]}})
    api.put(STATEFUL_SET, stateful_set(replicas=1))
    async with running(api, statefulset.build) as loops:
        await loops.settle(600)
        assert api.all(POD) == [stranger]
        api.remove(POD, "ns", "db-0")
        await loops.settle(1)
        assert images(api) == {"db-0": "v1"}


@pytest.mark.looptime
async def test_a_pod_waits_for_a_claim_that_is_going_and_gets_a_new_one(api):
    meta = {"name": "data-db-0", "namespace": "ns", "finalizers": ["kubernetes.io/pvc-protection"]}
    meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    going = api.put(CLAIM, {"metadata": meta, "spec": {}})
    api.put(STATEFUL_SET, stateful_set(replicas=1, volumeClaimTemplates=CLAIMS))
    async with running(api, statefulset.build) as loops:
        await loops.settle(600)
        assert names(api) == []
        assert loops.events("FailedCreate") == [
            "FailedCreate: create Pod db-0 in StatefulSet db failed error: pvc data-db-0 is being "
            "deleted"
        ]
        api.remove(CLAIM, "ns", "data-db-0")
        await loops.settle(1)
        assert names(api) == ["db-0"]
        assert api.one(CLAIM, "ns", "data-db-0")["metadata"]["uid"] != going["metadata"]["uid"]


@pytest.mark.looptime
async def test_a_pending_pod_gets_a_claim_that_is_lost_anew(api):
    api.put(STATEFUL_SET, stateful_set(replicas=1, volumeClaimTemplates=CLAIMS))
    async with running(api, statefulset.build) as loops:
        api.remove(CLAIM, "ns", "data-db-0")
        await loops.settle(1)
        assert names(api, CLAIM) == ["data-db-0"]
        assert loops.events("FailedUpdate") == loops.events("FailedCreate") == []


@pytest.mark.looptime
async def test_a_claim_of_somebody_else_is_told_of_and_left_to_them(api):
    theirs = {"apiVersion": "v1", "kind": "Other", "name": "o", "uid": "u", "controller": True}
    meta = {"name": "data-db-0", "namespace": "ns", "ownerReferences": [theirs]}
    before = api.put(CLAIM, {"metadata": meta, "spec": {}})
    owner = stateful_set(
        replicas=1,
        volumeClaimTemplates=CLAIMS,
        persistentVolumeClaimRetentionPolicy=retention("Delete", "Delete"),
    )
    api.put(STATEFUL_SET, owner)
    async with running(api, statefulset.build, ReadyPods) as loops:
        assert api.all(CLAIM) == [before]
        [told] = loops.events("ConflictingController")
        assert "PersistentVolumeClaim data-db-0 has a conflicting OwnerReference" in told
