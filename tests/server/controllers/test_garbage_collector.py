"""The garbage collector: what has no living owner goes, and nothing else does."""

import pytest

from edgek.api.meta import Key
from edgek.kinds import CONFIG_MAP, DEPLOYMENT, NODE, POD, REPLICA_SET, SECRET
from server.controllers import garbage_collector
from server.controllers.garbage_plan import Change, Owners, plan_change, plan_item
from tests.support.loops import running
from tests.support.memory_api import MemoryApi


@pytest.fixture
def api():
    return MemoryApi()


def put(api, kind, name, *owners, namespace="ns", **meta):
    refs = [_ref(*owner) if isinstance(owner, tuple) else _ref(owner) for owner in owners]
    metadata = {"name": name, "uid": name, "ownerReferences": refs, **meta}
    if kind.namespaced:
        metadata["namespace"] = namespace
    return api.put(kind, {"metadata": metadata})


def _ref(owner, block=True):
    meta = owner["metadata"]
    kinds = {"apiVersion": owner["apiVersion"], "kind": owner["kind"]}
    return kinds | {"name": meta["name"], "uid": meta["uid"], "blockOwnerDeletion": block}


def names(api):
    return sorted(key.name for _, key in api.objects)


def tree(api):
    """A Deployment with a ReplicaSet with two Pods."""
    deployment = put(api, DEPLOYMENT, "web")
    replica_set = put(api, REPLICA_SET, "web-1", deployment)
    for name in ("web-1-a", "web-1-b"):
        put(api, POD, name, replica_set)
    return deployment


async def delete(api, kind, name, policy):
    await api.client.delete(kind, Key("ns", name), propagation_policy=policy)


@pytest.mark.looptime
async def test_background_takes_all_dependents_of_dependents(api):
    tree(api)
    put(api, CONFIG_MAP, "unowned")
    async with running(api, garbage_collector.build) as loops:
        await delete(api, DEPLOYMENT, "web", "Background")
        await loops.settle()
        assert names(api) == ["unowned"]


@pytest.mark.looptime
async def test_what_lost_its_owner_while_nobody_looked_goes_at_start(api):
    tree(api)
    api.remove(DEPLOYMENT, "ns", "web")
    async with running(api, garbage_collector.build):
        assert names(api) == []


@pytest.mark.looptime
async def test_an_owner_made_anew_under_its_name_is_another(api):
    tree(api)
    api.remove(DEPLOYMENT, "ns", "web")
    api.put(DEPLOYMENT, {"metadata": {"name": "web", "namespace": "ns", "uid": "another"}})
    async with running(api, garbage_collector.build):
        assert names(api) == ["web"]


@pytest.mark.looptime
async def test_orphan_lets_dependents_live_without_their_owner(api):
    tree(api)
    async with running(api, garbage_collector.build) as loops:
        await delete(api, DEPLOYMENT, "web", "Orphan")
        await loops.settle()
        assert names(api) == ["web-1", "web-1-a", "web-1-b"]
        assert api.one(REPLICA_SET, "ns", "web-1")["metadata"]["ownerReferences"] == []


@pytest.mark.looptime
async def test_foreground_keeps_the_owner_until_its_dependents_are_gone(api):
    tree(api)
    put(api, POD, "web-1-c", api.one(REPLICA_SET, "ns", "web-1"), finalizers=["test/slow"])
    async with running(api, garbage_collector.build) as loops:
        await delete(api, DEPLOYMENT, "web", "Foreground")
        await loops.settle()
        assert names(api) == ["web", "web-1", "web-1-c"]
        api.calls.clear()
        await loops.settle(3600)
        assert api.calls == []
        api.remove(POD, "ns", "web-1-c")
        await loops.settle()
        assert names(api) == []


@pytest.mark.looptime
async def test_foreground_waits_only_for_dependents_that_block(api):
    owner = put(api, DEPLOYMENT, "web")
    put(api, REPLICA_SET, "loose", (owner, False), finalizers=["test/slow"])
    async with running(api, garbage_collector.build) as loops:
        await delete(api, DEPLOYMENT, "web", "Foreground")
        await loops.settle()
        assert names(api) == ["loose"]


@pytest.mark.looptime
async def test_a_circle_of_foreground_deletions_ends(api):
    first = put(api, CONFIG_MAP, "first", finalizers=["foregroundDeletion"])
    second = put(api, SECRET, "second", first)
    put(api, CONFIG_MAP, "first", second)
    async with running(api, garbage_collector.build) as loops:
        await delete(api, CONFIG_MAP, "first", "Foreground")
        await loops.settle()
        assert names(api) == []


@pytest.mark.looptime
async def test_one_living_owner_is_enough_and_references_to_dead_ones_are_dropped(api):
    dead, alive = put(api, CONFIG_MAP, "dead"), put(api, CONFIG_MAP, "alive")
    put(api, SECRET, "shared", dead, alive)
    async with running(api, garbage_collector.build) as loops:
        await delete(api, CONFIG_MAP, "dead", "Background")
        await loops.settle()
        [ref] = api.one(SECRET, "ns", "shared")["metadata"]["ownerReferences"]
        assert ref["name"] == "alive"


@pytest.mark.looptime
async def test_a_cluster_scoped_owner_works_across_namespaces(api):
    node = put(api, NODE, "n1")
    put(api, POD, "mirror", node, namespace="kube-system")
    async with running(api, garbage_collector.build) as loops:
        assert names(api) == ["mirror", "n1"]
        api.remove(NODE, "", "n1")
        await loops.settle()
        assert names(api) == []


@pytest.mark.looptime
async def test_an_owner_in_another_namespace_is_none_and_the_user_is_told(api):
    owner = put(api, CONFIG_MAP, "owner", namespace="elsewhere")
    put(api, SECRET, "lost", owner)
    async with running(api, garbage_collector.build) as loops:
        assert api.one(SECRET, "ns", "lost") is None
        assert loops.events() == [
            "OwnerRefInvalidNamespace: ownerRef [v1/ConfigMap, namespace: ns, name: owner, "
            'uid: owner] does not exist in namespace "ns"'
        ]


@pytest.mark.looptime
async def test_a_namespaced_owner_of_a_cluster_scoped_object_never_deletes_it(api):
    owner = put(api, CONFIG_MAP, "owner")
    put(api, NODE, "n1", owner)
    async with running(api, garbage_collector.build) as loops:
        api.remove(CONFIG_MAP, "ns", "owner")
        await loops.settle()
        assert api.one(NODE, "", "n1") is not None
        assert loops.events("OwnerRefInvalidNamespace")


@pytest.mark.looptime
async def test_an_owner_of_an_unknown_kind_is_taken_for_alive(api):
    put(
        api, SECRET, "x", {"apiVersion": "b/v1", "kind": "B", "metadata": {"name": "b", "uid": "u"}}
    )
    async with running(api, garbage_collector.build):
        assert api.one(SECRET, "ns", "x") is not None


@pytest.mark.looptime
async def test_a_quiet_cluster_costs_nothing(api):
    tree(api)
    async with running(api, garbage_collector.build) as loops:
        api.calls.clear()
        for number in range(5):
            pod = api.one(POD, "ns", "web-1-a")
            api.put(POD, {**pod, "status": {"phase": "Running", "n": number}})
        await loops.settle(3600)
        assert api.calls == []


def item(*refs, **meta):
    return {"metadata": {"name": "x", "uid": "x", "ownerReferences": list(refs), **meta}}


A, B = {"uid": "a", "blockOwnerDeletion": True}, {"uid": "b"}
WAITING = item(A, finalizers=["foregroundDeletion"], deletionTimestamp="t")


@pytest.mark.parametrize(
    ("owners", "dependents", "references", "delete"),
    [
        pytest.param(Owners(solid=[A, B]), [], None, "", id="all-solid"),
        pytest.param(Owners(solid=[A], dangling=[B]), [], [A], "", id="one-dangling"),
        pytest.param(Owners(solid=[B], waiting=[A]), [], [B], "", id="one-waiting"),
        pytest.param(Owners(dangling=[A, B]), [], None, "Background", id="none-left"),
        pytest.param(Owners(waiting=[A]), [], None, "Background", id="leaf-of-foreground"),
        pytest.param(Owners(waiting=[A]), [item()], None, "Foreground", id="branch"),
        pytest.param(
            Owners(waiting=[A, B]),
            [WAITING],
            [{"uid": "a", "blockOwnerDeletion": False}, B],
            "Foreground",
            id="circle",
        ),
    ],
)
def test_an_objects_fate_by_its_owners(owners, dependents, references, delete):
    plan = plan_item(item(A, B), owners, dependents)
    assert (plan.references, plan.delete) == (references, delete)


def test_a_heartbeat_means_nothing_to_the_graph():
    change = plan_change(item(A), item(A, resourceVersion="2"))
    assert change == Change()
