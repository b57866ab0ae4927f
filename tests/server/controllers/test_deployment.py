"""Deployment: rollouts, rollbacks, pauses and what users are shown of them."""

import pytest

from edgek.api.conditions import find_condition
from edgek.api.errors import Forbidden
from edgek.kinds import DEPLOYMENT, POD, REPLICA_SET
from server.controllers import deployment as deployments
from server.controllers import replicaset
from tests.support.loops import ReadyPods, running
from tests.support.memory_api import MemoryApi, fail


@pytest.fixture
def api():
    return MemoryApi()


ALL = (deployments.build, replicaset.build, ReadyPods)


def deployment(image="v1", replicas=4, **spec):
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"image": image}]}}
    return {
        "metadata": {"name": "web", "namespace": "ns", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "progressDeadlineSeconds": 600,
            "template": template,
            **spec,
        },
    }


def change(api, **spec):
    """A user's change, as the server takes it: the generation counts."""
    old = api.one(DEPLOYMENT, "ns", "web")
    meta = {**old["metadata"], "generation": old["metadata"]["generation"] + 1}
    api.put(DEPLOYMENT, {**old, "metadata": meta, "spec": {**old["spec"], **spec}})


def set_image(api, image):
    change(api, template=deployment(image)["spec"]["template"])


def status(api):
    return api.one(DEPLOYMENT, "ns", "web")["status"]


def progressing(api):
    found = find_condition(status(api)["conditions"], "Progressing")
    return found["status"], found["reason"], found["message"]


def sets(api):
    """image -> replicas of each ReplicaSet, in the order of their revisions."""
    found = api.all(REPLICA_SET)
    found.sort(key=lambda s: int(revision(s)))
    return {s["spec"]["template"]["spec"]["containers"][0]["image"]: s for s in found}


def revision(obj):
    return obj["metadata"]["annotations"]["deployment.kubernetes.io/revision"]


def size(replica_set):
    return replica_set["spec"]["replicas"]


@pytest.mark.looptime
async def test_a_first_rollout_makes_one_replica_set_and_completes(api):
    api.put(DEPLOYMENT, deployment())
    async with running(api, *ALL) as loops:
        [made] = api.all(REPLICA_SET)
        hash_ = made["metadata"]["labels"]["pod-template-hash"]
        assert made["metadata"]["name"] == f"web-{hash_}"
        assert made["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": hash_}
        found = status(api)
        assert {k: v for k, v in found.items() if k != "conditions"} == {
            "observedGeneration": 1,
            "replicas": 4,
            "updatedReplicas": 4,
            "readyReplicas": 4,
            "availableReplicas": 4,
            "terminatingReplicas": 0,
        }
        assert progressing(api) == (
            "True",
            "NewReplicaSetAvailable",
            f'ReplicaSet "web-{hash_}" has successfully progressed.',
        )
        assert find_condition(found["conditions"], "Available")["reason"] == (
            "MinimumReplicasAvailable"
        )
        assert loops.events("ScalingReplicaSet") == [
            f"ScalingReplicaSet: Scaled up replica set web-{hash_} from 0 to 4"
        ]
        assert revision(api.one(DEPLOYMENT, "ns", "web")) == "1"


@pytest.mark.looptime
async def test_an_idle_deployment_makes_no_call_once_complete(api):
    api.put(DEPLOYMENT, deployment())
    async with running(api, *ALL) as loops:
        api.calls.clear()
        await loops.settle(7200)
        assert api.calls == []


@pytest.mark.looptime
async def test_a_new_template_is_rolled_out_within_its_limits(api):
    api.put(DEPLOYMENT, deployment())
    async with running(api, *ALL) as loops:
        most, least = [], []

        def count(call):
            found = api.all(POD)
            most.append(len(found))
            least.append(sum("status" in p for p in found))

        api.before.append(count)
        set_image(api, "v2")
        await loops.settle()
        assert {image: size(s) for image, s in sets(api).items()} == {"v1": 0, "v2": 4}
        assert (max(most), min(least)) == (5, 3)
        assert progressing(api)[1] == "NewReplicaSetAvailable"
        assert status(api)["observedGeneration"] == 2


@pytest.mark.looptime
async def test_undo_brings_the_old_replica_set_back_under_a_new_revision(api):
    api.put(DEPLOYMENT, deployment())
    async with running(api, *ALL) as loops:
        set_image(api, "v2")
        await loops.settle()
        set_image(api, "v1")
        await loops.settle()
        assert {i: (revision(s), size(s)) for i, s in sets(api).items()} == {
            "v2": ("2", 0),
            "v1": ("3", 4),
        }
        history = "deployment.kubernetes.io/revision-history"
        assert sets(api)["v1"]["metadata"]["annotations"][history] == "1"
        assert revision(api.one(DEPLOYMENT, "ns", "web")) == "3"


@pytest.mark.looptime
async def test_a_bad_image_stops_the_rollout_and_the_deadline_says_so_once(api):
    api.put(DEPLOYMENT, deployment(progressDeadlineSeconds=60))
    async with running(api, *ALL) as loops:
        set_image(api, "bad")
        await loops.settle(30)
        assert {i: size(s) for i, s in sets(api).items()} == {"v1": 3, "bad": 2}
        assert progressing(api)[:2] == ("True", "ReplicaSetUpdated")
        await loops.settle(60)
        name = sets(api)["bad"]["metadata"]["name"]
        assert progressing(api) == (
            "False",
            "ProgressDeadlineExceeded",
            f'ReplicaSet "{name}" has timed out progressing.',
        )
        api.calls.clear()
        await loops.settle(3600)
        assert api.calls == []
        set_image(api, "v3")
        await loops.settle()
        assert {i: size(s) for i, s in sets(api).items() if size(s)} == {"v3": 4}
        assert progressing(api)[:2] == ("True", "NewReplicaSetAvailable")


@pytest.mark.looptime
async def test_recreate_never_lets_two_versions_overlap(api):
    api.put(DEPLOYMENT, deployment(strategy={"type": "Recreate"}))
    async with running(api, *ALL) as loops:
        seen = set()

        def versions(call):
            images = {p["spec"]["containers"][0]["image"] for p in api.all(POD)}
            seen.add(frozenset(images))

        api.before.append(versions)
        lingering = api.all(POD)[0]
        lingering["metadata"]["finalizers"] = ["test/linger"]
        api.put(POD, lingering)
        set_image(api, "v2")
        await loops.settle()
        assert len(api.all(POD)) == 1
        api.remove(POD, "ns", lingering["metadata"]["name"])
        await loops.settle()
        assert {i: size(s) for i, s in sets(api).items()} == {"v1": 0, "v2": 4}
        assert seen == {frozenset({"v1"}), frozenset(), frozenset({"v2"})}


@pytest.mark.looptime
async def test_a_paused_deployment_scales_but_does_not_roll(api):
    api.put(DEPLOYMENT, deployment())
    async with running(api, *ALL) as loops:
        change(api, paused=True)
        await loops.settle()
        assert progressing(api) == ("Unknown", "DeploymentPaused", "Deployment is paused")
        set_image(api, "v2")
        change(api, replicas=6)
        await loops.settle()
        assert {i: size(s) for i, s in sets(api).items()} == {"v1": 6}
        change(api, paused=False)
        await loops.settle()
        assert {i: size(s) for i, s in sets(api).items()} == {"v1": 0, "v2": 6}
        assert progressing(api)[1] == "NewReplicaSetAvailable"


@pytest.mark.looptime
async def test_scaling_a_rollout_that_stands_still_keeps_its_proportions(api):
    """The example of upstream's documentation of proportional scaling."""
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    api.put(DEPLOYMENT, deployment(replicas=10, strategy=rolling))
    async with running(api, *ALL) as loops:
        set_image(api, "bad")
        await loops.settle()
        assert {i: size(s) for i, s in sets(api).items()} == {"v1": 8, "bad": 5}
        change(api, replicas=15)
        await loops.settle()
        assert {i: size(s) for i, s in sets(api).items()} == {"v1": 11, "bad": 7}


@pytest.mark.looptime
async def test_history_beyond_the_limit_is_removed(api):
    api.put(DEPLOYMENT, deployment(revisionHistoryLimit=1))
    async with running(api, *ALL) as loops:
        for image in ("v2", "v3", "v4"):
            set_image(api, image)
            await loops.settle()
        assert list(sets(api)) == ["v3", "v4"]


@pytest.mark.looptime
async def test_a_strangers_replica_set_under_our_name_is_passed_by(api):
    api.put(DEPLOYMENT, deployment())
    async with running(api, deployments.build):
        [ours] = api.all(REPLICA_SET)
    other = MemoryApi()
    stranger = {"metadata": {"name": ours["metadata"]["name"], "namespace": "ns"}}
    other.put(REPLICA_SET, stranger | {"spec": {"template": {}, "replicas": 1}})
    other.put(DEPLOYMENT, deployment())
    async with running(other, deployments.build):
        assert len(other.all(REPLICA_SET)) == 2
        assert other.one(DEPLOYMENT, "ns", "web")["status"]["collisionCount"] == 1


@pytest.mark.looptime
async def test_a_template_that_is_refused_shows_and_recovers_without_a_hot_loop(api):
    api.before.append(fail("POST", "replicasets", Forbidden("no"), times=9))
    api.put(DEPLOYMENT, deployment())
    async with running(api, *ALL) as loops:
        assert loops.events("ReplicaSetCreateError")
        assert len([c for c in api.calls if c.method != "GET" and "/events" not in c.path]) < 60
        await loops.settle(60)
        assert status(api)["availableReplicas"] == 4


@pytest.mark.looptime
async def test_failing_pods_show_on_the_deployment_as_replica_failure(api):
    api.before.append(fail("POST", "pods", Forbidden("exceeded quota"), times=1000))
    api.put(DEPLOYMENT, deployment())
    async with running(api, *ALL):
        found = find_condition(status(api)["conditions"], "ReplicaFailure")
        assert (found["status"], found["reason"], found["message"]) == (
            "True",
            "FailedCreate",
            "exceeded quota",
        )
