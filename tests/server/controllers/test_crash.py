"""Level-based: wherever the server dies, the controllers started again reach the same end."""

import pytest

from edgek.api.meta import Key
from edgek.kinds import DAEMON_SET, DEPLOYMENT, NAMESPACE, NODE, POD, REPLICA_SET, STATEFUL_SET
from edgek.kinds import PERSISTENT_VOLUME_CLAIM as CLAIM
from edgek.kinds import POD_DISRUPTION_BUDGET as BUDGET
from server.controllers import (
    daemonset,
    deployment,
    disruption,
    garbage_collector,
    namespace,
    replicaset,
    statefulset,
)
from server.controllers.daemonset_nodes import target_node
from tests.support.loops import ReadyPods, running
from tests.support.memory_api import MemoryApi, dies_at

ALL = (
    namespace.build,
    garbage_collector.build,
    deployment.build,
    replicaset.build,
    daemonset.build,
    disruption.build,
    ReadyPods,
)
REPLICAS = 3


def workload(name, image, **spec):
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"image": image}]}}
    meta = {"name": name, "namespace": "ns"}
    spec = {"selector": {"matchLabels": labels}, "template": template, **spec}
    return {"metadata": meta, "spec": spec}


def put_all(api, image):
    for kind, made in (
        (DEPLOYMENT, workload("web", image, replicas=REPLICAS, progressDeadlineSeconds=600)),
        (DAEMON_SET, workload("d", image)),
    ):
        old = api.one(kind, "ns", made["metadata"]["name"]) or {"metadata": {"generation": 0}}
        meta = {**old["metadata"], **made["metadata"]}
        meta["generation"] += 1
        api.put(kind, {**old, **made, "metadata": meta})


def cluster():
    api = MemoryApi()
    api.put(NAMESPACE, {"metadata": {"name": "ns"}, "spec": {"finalizers": ["kubernetes"]}})
    for name in ("n1", "n2"):
        api.put(NODE, {"metadata": {"name": name}, "spec": {}})
    put_all(api, "v1")
    budget = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    api.put(BUDGET, {"metadata": {"name": "web", "namespace": "ns"}, "spec": budget})
    return api


async def crash_and_go_on(api, number, when):
    hooks = api.before if when == "before" else api.after
    hooks.append(dies_at(number))
    async with running(api, *ALL):
        pass
    hooks.clear()


def summary(api):
    image = [(p["spec"]["containers"][0]["image"], target_node(p)) for p in api.all(POD)]
    sets = [
        (s["metadata"]["annotations"]["deployment.kubernetes.io/revision"], s["spec"]["replicas"])
        for s in api.all(REPLICA_SET)
    ]
    return sorted(image), sorted(sets)


@pytest.mark.looptime
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(0, 40, 3))
async def test_a_rollout_ends_the_same_wherever_it_was_cut(number, when):
    api = cluster()
    async with running(api, *ALL):
        pass
    put_all(api, "v2")
    await crash_and_go_on(api, number, when)
    async with running(api, *ALL) as loops:
        await loops.settle(30)
        pods = [("v2", "")] * REPLICAS + [("v2", "n1"), ("v2", "n2")]
        assert summary(api) == (pods, [("1", 0), ("2", REPLICAS)])
        status = api.one(DEPLOYMENT, "ns", "web")["status"]
        assert status["availableReplicas"] == status["updatedReplicas"] == REPLICAS
        budget = api.one(BUDGET, "ns", "web")["status"]
        assert (budget["expectedPods"], budget["disruptionsAllowed"]) == (REPLICAS, 1)


@pytest.mark.looptime
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(0, 20, 2))
async def test_a_first_rollout_never_makes_too_many_pods(number, when):
    api = cluster()
    await crash_and_go_on(api, number, when)
    most = []
    api.before.append(lambda call: most.append(len(api.all(POD))))
    async with running(api, *ALL) as loops:
        await loops.settle(30)
        assert len(api.all(POD)) == max(most) == REPLICAS + 2


@pytest.mark.looptime
@pytest.mark.parametrize("number", range(12))
async def test_a_namespace_is_emptied_wherever_that_was_cut(number):
    api = cluster()
    async with running(api, *ALL):
        pass
    await api.client.delete(NAMESPACE, Key("", "ns"))
    await crash_and_go_on(api, number, "after")
    # The workloads' controllers are stopped: admission, which keeps them from making content in
    # a namespace that ends, is not here.
    async with running(api, namespace.build, garbage_collector.build) as loops:
        await loops.settle(30)
        assert [kind.kind for kind, key in api.objects if key.namespace == "ns"] == []
        assert api.all(NAMESPACE) == []


def put_stateful(api, image, **spec):
    claims = [{"metadata": {"name": "data"}, "spec": {}}]
    retention = {"whenDeleted": "Delete", "whenScaled": "Delete"}
    policies = {"volumeClaimTemplates": claims, "persistentVolumeClaimRetentionPolicy": retention}
    made = workload("db", image, **policies, **spec)
    old = api.one(STATEFUL_SET, "ns", "db") or {"metadata": {"generation": 0}}
    meta = {**old["metadata"], **made["metadata"]}
    api.put(
        STATEFUL_SET, {**old, **made, "metadata": meta | {"generation": meta["generation"] + 1}}
    )


@pytest.mark.looptime
@pytest.mark.parametrize("policy", ["OrderedReady", "Parallel"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(0, 24, 2))
async def test_a_stateful_set_ends_the_same_wherever_it_was_cut(number, when, policy):
    api = cluster()
    put_stateful(api, "v1", replicas=3, podManagementPolicy=policy)
    stateful = (statefulset.build, garbage_collector.build, ReadyPods)
    async with running(api, *stateful):
        pass
    kept = api.one(CLAIM, "ns", "data-db-0")["metadata"]["uid"]
    put_stateful(api, "v2", replicas=2, podManagementPolicy=policy)
    hooks = api.before if when == "before" else api.after
    hooks.append(dies_at(number))
    async with running(api, *stateful):
        pass
    hooks.clear()
    async with running(api, *stateful) as loops:
        await loops.settle(60)
        pods = {p["metadata"]["name"]: p["spec"]["containers"][0]["image"] for p in api.all(POD)}
        assert pods == {"db-0": "v2", "db-1": "v2"}
        assert [c["metadata"]["name"] for c in api.all(CLAIM)] == ["data-db-0", "data-db-1"]
        assert api.one(CLAIM, "ns", "data-db-0")["metadata"]["uid"] == kept
        status = api.one(STATEFUL_SET, "ns", "db")["status"]
        assert status["currentRevision"] == status["updateRevision"]
        assert status["currentReplicas"] == status["availableReplicas"] == 2
