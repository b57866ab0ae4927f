"""Edge semantics: autonomous pods keep their place on a silent node, and win when it is back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from edgek.aio.clock import FakeClock
from edgek.api.conditions import find_condition
from edgek.api.meta import Obj, deep_copy, name
from edgek.api.time import format_micro_time
from edgek.kinds import (
    ENDPOINT_SLICE,
    ENDPOINTS,
    LEASE,
    NAMESPACE,
    NODE,
    POD,
    REPLICA_SET,
    SERVICE,
)
from edgek.kinds.pods import is_ready, node_name, phase
from server.controllers import (
    endpoint_slice,
    endpoints,
    node_lifecycle,
    pod_gc,
    replicaset,
    taint_eviction,
)
from server.controllers.autonomy import (
    AUTONOMOUS,
    NODE_REACHABLE,
    Autonomy,
    plan_cut_off,
    plan_returned,
)
from server.controllers.deletion_order import pods_to_delete
from tests.support.api import admin, open_api
from tests.support.cluster import node, pod
from tests.support.loops import Loops, running
from tests.support.memory_api import MemoryApi

NOW = "2026-01-01T00:00:00Z"
STAYS = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute"}
    | {"tolerationSeconds": 300}
    for key in ("not-ready", "unreachable")
]
OUT_OF_SERVICE = {"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}


def well(named: str, **more: Any) -> Obj:
    condition = {"type": "Ready", "status": "True", "lastHeartbeatTime": NOW}
    return node(named, conditions=[condition], **more)


def runs(named: str, on: str, mark: str = "", **more: Any) -> Obj:
    ready = [{"type": "Ready", "status": "True", "lastTransitionTime": NOW}]
    made = pod(named, nodeName=on, tolerations=STAYS, **more)
    made["status"] = {"phase": "Running", "conditions": ready}
    if mark:
        made["metadata"]["annotations"] = {AUTONOMOUS: mark}
    return made


@asynccontextmanager
async def beating(loops: Loops, *names: str) -> AsyncIterator[None]:
    async def beat() -> None:
        while True:
            for each in names:
                now = format_micro_time(loops.context.clock.now() + timedelta(seconds=1))
                meta = {"name": each, "namespace": "kube-node-lease"}
                loops.api.put(LEASE, {"metadata": meta, "spec": {"renewTime": now}})
            await asyncio.sleep(10)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def loops_of(*, default: bool = False) -> tuple[Any, ...]:
    return (
        partial(node_lifecycle.build, autonomous=default),
        partial(taint_eviction.build, autonomous=default),
        pod_gc.build,
        replicaset.build,
    )


def one(api: MemoryApi, named: str) -> Obj:
    found = api.one(POD, "default", named)
    assert found is not None, f"{named} is gone"
    return found


def comes_back(api: MemoryApi, named: str, **more: Any) -> None:
    """The agent renews its node's status, and tells of the pods it still runs."""
    back = deep_copy(api.one(NODE, "", named) or {})
    back["status"] = well(named)["status"]
    back["status"]["conditions"][0]["lastHeartbeatTime"] = "2026-01-01T01:00:00Z"
    api.put(NODE, back)


def agent_tells(loops: Loops, named: str) -> None:
    found = one(loops.api, named)
    now = format_micro_time(loops.context.clock.now())
    others = [c for c in found["status"]["conditions"] if c["type"] != "Ready"]
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": now}
    loops.api.put(POD, {**found, "status": {"phase": "Running", "conditions": [*others, ready]}})


def condition(of: Obj, kind: str) -> Obj:
    return find_condition(of["status"]["conditions"], kind) or {}


@pytest.mark.parametrize(
    ("own", "nodes", "default", "expected"),
    [
        ("", "", False, False),
        ("", "", True, True),
        ("", "true", False, True),
        ("", "false", True, False),
        ("true", "false", False, True),
        ("false", "true", True, False),
        ("yes", "true", False, True),
    ],
)
def test_the_pod_speaks_before_its_node_and_that_before_the_server(
    own: str, nodes: str, default: bool, expected: bool
) -> None:
    on = well("n1", labels={AUTONOMOUS: nodes})
    assert Autonomy(default).of(runs("p", "n1", own), on) is expected


@pytest.mark.looptime
@pytest.mark.parametrize(("default", "marked"), [(False, "pod"), (False, "node"), (True, "server")])
async def test_an_autonomous_pod_keeps_its_place_through_hours_of_silence(
    default: bool, marked: str
) -> None:
    api = MemoryApi()
    api.put(NODE, well("n1", labels={AUTONOMOUS: "true"} if marked == "node" else {}))
    api.put(NODE, well("n2"))
    api.put(POD, runs("edge", "n1", "true" if marked == "pod" else ""))
    api.put(POD, runs("plain", "n1", "false"))
    async with running(api, *loops_of(default=default)) as loops, beating(loops, "n2"):
        await loops.settle(70)
        assert phase(one(api, "edge")) == "Unknown"
        assert condition(one(api, "edge"), "Ready")["status"] == "Unknown"
        assert condition(one(api, "edge"), NODE_REACHABLE)["status"] == "False"
        assert phase(one(api, "plain")) == "Running"
        assert condition(one(api, "plain"), "Ready")["status"] == "False"
        writes = len(api.writes)
        await loops.settle(2 * 3600)
        assert api.one(POD, "default", "plain") is None
        assert phase(one(api, "edge")) == "Unknown"
        done = [c.path for c in api.writes[writes:]]
        assert len([p for p in done if p.endswith(("/edge", "/edge/status"))]) == 0
        comes_back(api, "n1")
        agent_tells(loops, "edge")
        await loops.settle(30)
        assert phase(one(api, "edge")) == "Running"
        assert is_ready(one(api, "edge"))
        assert condition(one(api, "edge"), NODE_REACHABLE)["status"] == "True"
        assert "NodeReturned: Node n1 is heard of again" in loops.events()


def say(api: MemoryApi, where: str, word: str) -> None:
    label = where == "a label"
    changed = deep_copy(api.one(NODE, "", "n1") or {}) if label else deep_copy(one(api, "edge"))
    field = "labels" if label else "annotations"
    changed["metadata"].setdefault(field, {})[AUTONOMOUS] = word
    api.put(NODE if label else POD, changed)


@pytest.mark.looptime
@pytest.mark.parametrize("says", ["a label", "an annotation"])
async def test_autonomy_may_be_taken_away_and_given_while_the_node_is_silent(says: str) -> None:
    api = MemoryApi()
    api.put(NODE, well("n1", labels={AUTONOMOUS: "true"}))
    api.put(NODE, well("n2"))
    api.put(POD, runs("edge", "n1"))
    async with running(api, *loops_of()) as loops, beating(loops, "n2"):
        await loops.settle(600)
        say(api, says, "false")
        await loops.settle(200)  # its tolerationSeconds begin now
        say(api, says, "true")
        await loops.settle(600)
        assert phase(one(api, "edge")) == "Unknown"
        say(api, says, "false")
        await loops.settle(400)
        assert api.one(POD, "default", "edge") is None


@pytest.mark.looptime
async def test_people_may_say_that_a_silent_node_is_dead() -> None:
    api = MemoryApi()
    api.put(NODE, well("n1"))
    api.put(NODE, well("n2"))
    api.put(POD, runs("edge", "n1", "true"))
    stuck = runs("stuck", "n1", "true")
    stuck["metadata"] |= {"finalizers": ["test/hold"]}
    api.put(POD, stuck)
    async with running(api, *loops_of()) as loops, beating(loops, "n2"):
        await loops.settle(600)
        one(api, "edge")
        dead = deep_copy(api.one(NODE, "", "n1") or {})
        dead["spec"]["taints"] = [*dead["spec"]["taints"], OUT_OF_SERVICE]
        api.put(NODE, dead)
        await loops.settle(10)
        assert api.one(POD, "default", "edge") is None
        assert phase(one(api, "stuck")) == "Failed"


@pytest.mark.looptime
async def test_a_node_that_says_it_is_unwell_is_believed() -> None:
    api = MemoryApi()
    api.put(NODE, well("n1"))
    api.put(NODE, well("n2"))
    api.put(POD, runs("edge", "n1", "true"))
    async with running(api, *loops_of()) as loops, beating(loops, "n1", "n2"):
        sick = deep_copy(api.one(NODE, "", "n1") or {})
        sick["status"]["conditions"][0] |= {"status": "False", "lastHeartbeatTime": "later"}
        api.put(NODE, sick)
        await loops.settle(400)
        assert api.one(POD, "default", "edge") is None


def replica_set(replicas: int) -> Obj:
    labels = {"app": "web"}
    spec = {"containers": [{"name": "main", "image": "busybox"}]}
    return {
        "metadata": {"name": "web", "namespace": "default", "uid": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": {AUTONOMOUS: "true"}},
                "spec": spec,
            },
        },
    }


def scale(api: MemoryApi, replicas: int) -> None:
    old = api.one(REPLICA_SET, "default", "web") or {}
    api.put(REPLICA_SET, {**old, "spec": {**old["spec"], "replicas": replicas}})


@pytest.mark.looptime
async def test_the_returned_pod_outlasts_what_was_made_in_its_stead() -> None:
    """Upstream's order would take the returned one: it is ready for a shorter time."""
    api = MemoryApi()
    api.put(NODE, well("n1"))
    api.put(NODE, well("n2"))
    api.put(REPLICA_SET, replica_set(1))
    api.put(POD, runs("own", "n1", "true", labels={"app": "web"}, owner="web"))
    async with running(api, *loops_of()) as loops, beating(loops, "n2"):
        await loops.settle(600)
        assert len(api.all(POD)) == 1, "silence alone makes no replacement"
        scale(api, 2)  # somebody (or an autoscaler) does
        await loops.settle(10)
        made = next(p for p in api.all(POD) if name(p) != "own")
        loops.make_ready(made, node="n2")
        await loops.settle(600)
        comes_back(api, "n1")
        agent_tells(loops, "own")
        await loops.settle(30)
        scale(api, 1)
        await loops.settle(30)
        assert [name(p) for p in api.all(POD)] == ["own"]


@pytest.mark.looptime
async def test_while_the_node_is_silent_the_unknown_pod_goes_first() -> None:
    api = MemoryApi()
    api.put(NODE, well("n1"))
    api.put(NODE, well("n2"))
    api.put(REPLICA_SET, replica_set(2))
    api.put(POD, runs("own", "n1", "true", labels={"app": "web"}, owner="web"))
    api.put(POD, runs("other", "n2", "true", labels={"app": "web"}, owner="web"))
    async with running(api, *loops_of()) as loops, beating(loops, "n2"):
        await loops.settle(600)
        scale(api, 1)
        await loops.settle(30)
        assert [node_name(p) for p in api.all(POD)] == ["n2"]


@pytest.mark.looptime
async def test_a_deletion_by_hand_stands_and_its_replacement_stays() -> None:
    api = MemoryApi()
    api.put(NODE, well("n1"))
    api.put(NODE, well("n2"))
    api.put(REPLICA_SET, replica_set(1))
    own = runs("own", "n1", "true", labels={"app": "web"}, owner="web")
    own["metadata"]["finalizers"] = ["test/agent"]  # stands for the agent, which must confirm
    api.put(POD, own)
    async with running(api, *loops_of()) as loops, beating(loops, "n2"):
        await loops.settle(600)
        api.put(POD, one(api, "own") | {"metadata": one(api, "own")["metadata"] | {
            "deletionTimestamp": NOW}})  # fmt: skip
        await loops.settle(10)
        made = [p for p in api.all(POD) if name(p) != "own"]
        assert len(made) == 1
        loops.make_ready(made[0], node="n2")
        comes_back(api, "n1")
        await loops.settle(60)
        api.remove(POD, "default", "own")  # the agent ends what it was told to end
        await loops.settle(60)
        assert [name(p) for p in api.all(POD)] == [name(made[0])]


def behind(api: MemoryApi) -> dict[str, bool]:
    """Which pods are called: as the slices say, and as the Endpoints do."""
    found = {
        e["targetRef"]["name"]: e["conditions"]["ready"]
        for s in api.all(ENDPOINT_SLICE)
        for e in s["endpoints"]
    }
    subsets = (api.one(ENDPOINTS, "default", "web") or {})["subsets"]
    addresses = [a["targetRef"]["name"] for s in subsets for a in s.get("addresses") or ()]
    assert sorted(n for n, ready in found.items() if ready) == sorted(addresses)
    return found


@pytest.mark.looptime
async def test_unknown_pods_stand_behind_a_service_where_no_other_is_ready() -> None:
    api = MemoryApi()
    api.put(NODE, well("n1"))
    api.put(NODE, well("n2"))
    for named, on, mark, ip in (
        ("edge", "n1", "true", "10.42.0.1"),
        ("plain", "n1", "false", "10.42.0.2"),
        ("other", "n2", "", "10.42.0.3"),
    ):
        made = runs(named, on, mark, labels={"app": "web"})
        made["status"] |= {"podIP": ip, "podIPs": [{"ip": ip}]}
        api.put(POD, made)
    spec = {"selector": {"app": "web"}, "clusterIP": "10.43.0.7", "ports": [{"port": 80}]}
    api.put(SERVICE, {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})
    builders = (*loops_of(), endpoints.build, endpoint_slice.build)
    async with running(api, *builders) as loops, beating(loops, "n2"):
        assert behind(api) == {"edge": True, "plain": True, "other": True}
        await loops.settle(70)
        assert behind(api) == {"edge": False, "plain": False, "other": True}
        api.remove(POD, "default", "other")
        await loops.settle(10)
        assert behind(api) == {"edge": True, "plain": False}


def test_of_pods_that_were_cut_off_the_oldest_stays() -> None:
    def was_cut_off(named: str, made: str) -> Obj:
        kept = runs(named, named, "true")
        kept["metadata"]["creationTimestamp"] = made
        mark = {"type": NODE_REACHABLE, "status": "True"}
        kept["status"]["conditions"].append(mark)
        return kept

    pods = [was_cut_off(f"p{i}", f"2026-01-01T00:00:0{i}Z") for i in (3, 1, 2)]
    now = datetime.fromisoformat("2026-02-01T00:00:00+00:00")
    for order in (pods, pods[::-1]):
        assert [name(p) for p in pods_to_delete(order, order, 2, now)] == ["p3", "p2"]


async def test_the_real_api_takes_what_is_said_of_a_cut_off_pod() -> None:
    async with open_api(clock=FakeClock()) as api:
        client = admin(api)
        await client.create(NAMESPACE, {"metadata": {"name": "default"}})
        made = {"metadata": {"name": "edge"}, "spec": {"nodeName": "n1", "containers": [
            {"name": "c", "image": "i"}]}}  # fmt: skip
        created = await client.create(
            POD, {**made, "metadata": {"name": "edge", "namespace": "default"}}
        )
        running_ = await client.update_status(POD, {**created, "status": {
            "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})  # fmt: skip
        cut = plan_cut_off(running_, well("n1"), now=NOW)
        assert cut is not None
        stored = await client.update_status(POD, {**running_, "status": cut})
        assert plan_cut_off(stored, well("n1"), now=NOW) is None
        back = plan_returned(stored, well("n1"), now=NOW)
        assert back is not None
        stored = await client.update_status(POD, {**stored, "status": back})
        assert plan_returned(stored, well("n1"), now=NOW) is None
        assert phase(stored) == "Unknown"


@pytest.mark.looptime
@pytest.mark.parametrize("number", range(8))
async def test_a_crash_of_the_server_at_any_write_changes_nothing(number: int) -> None:
    api = MemoryApi()
    api.put(NODE, well("n1", labels={AUTONOMOUS: "true"}))
    api.put(NODE, well("n2"))
    api.put(POD, runs("edge", "n1"))
    api.put(POD, runs("plain", "n1", "false"))
    left = [number]

    def dies(call: Any) -> None:
        if call.method != "GET" and "/events" not in call.path:
            left[0] -= 1
        if left[0] < 0:
            raise ConnectionError("killed")

    api.before.append(dies)
    async with running(api, *loops_of()) as loops, beating(loops, "n2"):
        await loops.settle(600)
    api.before.clear()
    async with running(api, *loops_of()) as loops, beating(loops, "n2"):
        await loops.settle(900)
        assert api.one(POD, "default", "plain") is None
        assert phase(one(api, "edge")) == "Unknown"
        comes_back(api, "n1")
        await loops.settle(60)
        assert condition(one(api, "edge"), NODE_REACHABLE)["status"] == "True"
