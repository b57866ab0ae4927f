"""ReplicaSet: the number of pods, whose they are, and what the status says of them."""

from datetime import UTC, datetime

import pytest

from edgek.api.errors import Forbidden
from edgek.kinds import POD, REPLICA_SET, REPLICATION_CONTROLLER
from server.controllers import replication_controller
from server.controllers.replicaset import Failure, build, plan_replicas, replica_set_status
from tests.support.loops import running
from tests.support.memory_api import MemoryApi, fail

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def replica_set(name="web", replicas=3, **spec):
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c"}]}}
    return {
        "metadata": {"name": name, "namespace": "ns", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": template,
            **spec,
        },
    }


def bare_pod(name, **labels):
    return {"metadata": {"name": name, "namespace": "ns", "labels": labels}, "spec": {}}


def set_replicas(api, number, name="web"):
    old = api.one(REPLICA_SET, "ns", name)
    spec = {**old["spec"], "replicas": number}
    api.put(REPLICA_SET, {**old, "spec": spec})


@pytest.fixture
def api():
    return MemoryApi()


@pytest.mark.parametrize(
    ("wanted", "have", "create", "delete"), [(3, 1, 2, 0), (3, 3, 0, 0), (1, 3, 0, 2), (0, 2, 0, 2)]
)
def test_plan_makes_up_the_difference(wanted, have, create, delete):
    pods = [bare_pod(f"p{n}") for n in range(have)]
    plan = plan_replicas(replica_set(replicas=wanted), pods, pods, NOW)
    assert (plan.create, len(plan.delete)) == (create, delete)


def test_status_counts_each_kind_of_pod():
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2025-12-31T23:59:50Z"}
    running_pod = {"phase": "Running", "conditions": [ready]}
    pods = [
        bare_pod("bare"),
        bare_pod("ready", app="web") | {"status": running_pod},
        bare_pod("over", app="web") | {"status": {"phase": "Succeeded"}},
        bare_pod("going", app="web"),
    ]
    pods[3]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert replica_set_status(replica_set(minReadySeconds=30), pods, None, NOW) == {
        "replicas": 2,
        "fullyLabeledReplicas": 1,
        "readyReplicas": 1,
        "terminatingReplicas": 1,
        "observedGeneration": 1,
    }


def test_a_failure_shows_once_and_success_takes_it_away():
    failure = Failure(reason="FailedCreate", message="exceeded quota")
    failed = replica_set() | {"status": replica_set_status(replica_set(), [], failure, NOW)}
    [condition] = failed["status"]["conditions"]
    assert (condition["type"], condition["reason"]) == ("ReplicaFailure", "FailedCreate")
    again = Failure(reason="FailedCreate", message="other words")
    assert replica_set_status(failed, [], again, NOW)["conditions"] == [condition]
    assert "conditions" not in replica_set_status(failed, [], None, NOW)


@pytest.mark.looptime
async def test_pods_are_made_from_the_template_and_replaced(api):
    api.put(REPLICA_SET, replica_set())
    async with running(api, build) as loops:
        pods = api.all(POD)
        assert len(pods) == 3
        [ref] = pods[0]["metadata"]["ownerReferences"]
        assert pods[0]["metadata"]["name"].startswith("web-")
        assert (ref["kind"], ref["name"], ref["controller"]) == ("ReplicaSet", "web", True)
        loops.make_ready(*pods)
        api.remove(POD, "ns", pods[0]["metadata"]["name"])
        await loops.settle()
        assert len(api.all(POD)) == 3
        assert loops.events("SuccessfulCreate")[0] == (
            f"SuccessfulCreate: Created pod: {pods[0]['metadata']['name']}"
        )
        assert api.one(REPLICA_SET, "ns", "web")["status"] == {
            "replicas": 3,
            "fullyLabeledReplicas": 3,
            "readyReplicas": 2,
            "availableReplicas": 2,
            "terminatingReplicas": 0,
            "observedGeneration": 1,
        }


@pytest.mark.looptime
async def test_scaling_down_deletes_the_surplus_and_an_idle_set_writes_nothing(api):
    api.put(REPLICA_SET, replica_set())
    async with running(api, build) as loops:
        kept, *rest = api.all(POD)
        loops.make_ready(kept)
        set_replicas(api, 1)
        await loops.settle()
        assert [p["metadata"]["name"] for p in api.all(POD)] == [kept["metadata"]["name"]]
        assert len(loops.events("SuccessfulDelete")) == len(rest) == 2
        api.calls.clear()
        await loops.settle(3600)
        assert api.calls == []


@pytest.mark.looptime
async def test_orphans_that_match_are_adopted_and_strangers_released(api):
    api.put(POD, bare_pod("orphan", app="web"))
    api.put(REPLICA_SET, replica_set(replicas=2))
    async with running(api, build) as loops:
        assert len(api.all(POD)) == 2
        orphan = api.one(POD, "ns", "orphan")
        assert orphan["metadata"]["ownerReferences"][0]["name"] == "web"
        orphan = {**orphan, "metadata": {**orphan["metadata"], "labels": {"app": "debug"}}}
        api.put(POD, orphan)
        await loops.settle()
        assert len(api.all(POD)) == 3
        assert api.one(POD, "ns", "orphan")["metadata"]["ownerReferences"] == []


@pytest.mark.looptime
async def test_another_controllers_pods_are_left_alone(api):
    pod = bare_pod("theirs", app="web")
    ref = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "other", "uid": "u"}
    pod["metadata"]["ownerReferences"] = [ref | {"controller": True}]
    api.put(POD, pod)
    api.put(REPLICA_SET, replica_set(replicas=0))
    async with running(api, build):
        assert api.one(POD, "ns", "theirs")["metadata"]["ownerReferences"] == [
            ref | {"controller": True}
        ]


@pytest.mark.looptime
async def test_refused_pods_show_in_condition_and_event_back_off_and_recover(api):
    refusal = fail("POST", "pods", Forbidden("exceeded quota"), times=6)
    api.before.append(refusal)
    api.put(REPLICA_SET, replica_set(replicas=100))
    async with running(api, build) as loops:
        tries = [c for c in api.calls if c.method == "POST" and c.path.endswith("/pods")]
        assert len(tries) == 6 + 100
        assert loops.events("FailedCreate") == ["FailedCreate: Error creating: exceeded quota"]
        assert len(api.all(POD)) == 100
        assert "conditions" not in api.one(REPLICA_SET, "ns", "web")["status"]


@pytest.mark.looptime
async def test_a_pod_becomes_available_by_time_alone(api):
    api.put(REPLICA_SET, replica_set(replicas=1, minReadySeconds=60))
    async with running(api, build) as loops:
        loops.make_ready(*api.all(POD))
        await loops.settle()
        assert "availableReplicas" not in api.one(REPLICA_SET, "ns", "web")["status"]
        await loops.settle(60)
        assert api.one(REPLICA_SET, "ns", "web")["status"]["availableReplicas"] == 1


@pytest.mark.looptime
async def test_a_deleted_set_makes_no_more_pods(api):
    owner = replica_set()
    owner["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"]}
    api.put(REPLICA_SET, owner)
    api.put(POD, bare_pod("orphan", app="web"))
    async with running(api, build):
        [pod] = api.all(POD)
        assert "ownerReferences" not in pod["metadata"]


@pytest.mark.looptime
async def test_a_replication_controller_is_kept_by_the_same_engine(api):
    owner = replica_set(replicas=2, selector={"app": "web"})
    api.put(REPLICATION_CONTROLLER, owner)
    api.put(POD, bare_pod("orphan", app="web"))
    async with running(api, replication_controller.build) as loops:
        refs = [p["metadata"]["ownerReferences"][0] for p in api.all(POD)]
        assert {(r["apiVersion"], r["kind"]) for r in refs} == {("v1", "ReplicationController")}
        [created] = loops.events("SuccessfulCreate")
        assert created.startswith("SuccessfulCreate: Created pod: web-")
        loops.make_ready(*api.all(POD))
        await loops.settle()
        assert api.one(REPLICATION_CONTROLLER, "ns", "web")["status"] == {
            "replicas": 2,
            "fullyLabeledReplicas": 2,
            "readyReplicas": 2,
            "availableReplicas": 2,
            "observedGeneration": 1,
        }
