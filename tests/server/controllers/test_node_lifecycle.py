"""Silent nodes are marked and given up in time, and never because of the observer's own trouble."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from edgek.api.conditions import find_condition
from edgek.api.meta import Obj, deep_copy
from edgek.api.time import format_micro_time
from edgek.kinds import LEASE, NODE, POD
from server.controllers import node_lifecycle, taint_eviction
from server.controllers.node_health import Disruption, disruption, plan_silence, plan_taints
from server.controllers.taint_eviction import FOREVER, plan_patience
from tests.support.cluster import node, pod
from tests.support.loops import Loops, running
from tests.support.memory_api import MemoryApi

NOW = "2026-01-01T00:00:00Z"
BUILDERS = (node_lifecycle.build, taint_eviction.build)
STAYS = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute"}
    | {"tolerationSeconds": 300}
    for key in ("not-ready", "unreachable")
]


def well(name: str, ready: str = "True", **more: Any) -> Obj:
    condition = {"type": "Ready", "status": ready, "lastHeartbeatTime": NOW}
    return node(name, conditions=[condition], **more)


def runs(name: str, on: str, **more: Any) -> Obj:
    ready = [{"type": "Ready", "status": "True", "lastTransitionTime": NOW}]
    status = {"phase": "Running", "conditions": ready}
    return pod(name, nodeName=on, tolerations=STAYS, status=status, **more)


def keys(taints: list[Obj]) -> set[str]:
    return {f"{t['key'].rpartition('/')[2]}:{t['effect']}" for t in taints}


def taints_of(api: MemoryApi, name: str) -> set[str]:
    found = api.one(NODE, "", name)
    assert found is not None
    return keys(found["spec"].get("taints") or [])


def ready_of(api: MemoryApi, name: str) -> str:
    found = api.one(NODE, "", name)
    assert found is not None
    return str((find_condition(found["status"]["conditions"], "Ready") or {})["status"])


async def beat(loops: Loops, *names: str) -> None:
    """Heartbeats of these nodes until cancelled."""
    while True:
        for name in names:
            now = format_micro_time(loops.context.clock.now() + timedelta(seconds=1))
            meta = {"name": name, "namespace": "kube-node-lease"}
            loops.api.put(LEASE, {"metadata": meta, "spec": {"renewTime": now}})
        await asyncio.sleep(10)


async def stop(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        pytest.param(("Ready", "True"), set(), id="well"),
        pytest.param(
            ("Ready", "False"), {"not-ready:NoSchedule", "not-ready:NoExecute"}, id="sick"
        ),
        pytest.param(
            ("Ready", "Unknown"), {"unreachable:NoSchedule", "unreachable:NoExecute"}, id="silent"
        ),
    ],
)
def test_readiness_becomes_taints(condition: tuple[str, str], expected: set[str]) -> None:
    one = node("n", conditions=[{"type": condition[0], "status": condition[1]}])
    assert keys(plan_taints(one, evict=True, now=NOW) or []) == expected


def test_pressure_and_cordoning_keep_new_pods_away_only() -> None:
    one = well("n", unschedulable=True, taints=[{"key": "mine", "effect": "NoExecute"}])
    one["status"]["conditions"].append({"type": "DiskPressure", "status": "True"})
    taints = plan_taints(one, evict=True, now=NOW) or []
    assert keys(taints) == {
        "mine:NoExecute",
        "disk-pressure:NoSchedule",
        "unschedulable:NoSchedule",
    }
    one["spec"]["taints"] = taints
    assert plan_taints(one, evict=True, now=NOW) is None


def test_a_node_that_never_spoke_takes_no_pods() -> None:
    assert keys(plan_taints(node("n"), evict=None, now=NOW) or []) == {"not-ready:NoSchedule"}


def test_silence_is_told_in_upstreams_words_and_once() -> None:
    status = plan_silence(well("n"), now=NOW)
    assert status is not None
    ready = find_condition(status["conditions"], "Ready") or {}
    assert ready["reason"] == "NodeStatusUnknown"
    assert ready["message"] == "Kubelet stopped posting node status."
    assert plan_silence({**well("n"), "status": status}, now=NOW) is None


@pytest.mark.parametrize(
    ("bad", "total", "expected"),
    [
        (0, 3, Disruption.NORMAL),
        (2, 3, Disruption.NORMAL),
        (3, 5, Disruption.PARTIAL),
        (1, 1, Disruption.FULL),
        (5, 5, Disruption.FULL),
    ],
)
def test_disruption(bad: int, total: int, expected: Disruption) -> None:
    nodes = [well(f"n{i}", "Unknown" if i < bad else "True") for i in range(total)]
    assert disruption(nodes) is expected


@pytest.mark.parametrize(
    ("tolerations", "expected"),
    [
        ([], 0.0),
        ([{"operator": "Exists"}], FOREVER),
        ([{"operator": "Exists", "tolerationSeconds": 30}], 30.0),
        ([{"operator": "Exists", "tolerationSeconds": -1}], 0.0),
        ([{"operator": "Exists"}, {"operator": "Exists", "tolerationSeconds": 7}], 7.0),
        ([{"key": "a", "operator": "Exists"}], 0.0),
    ],
)
def test_patience(tolerations: list[Obj], expected: float) -> None:
    taints = [{"key": "a", "effect": "NoExecute"}, {"key": "b", "effect": "NoExecute"}]
    assert plan_patience(taints, tolerations) == expected


@pytest.mark.looptime
async def test_a_node_that_falls_silent_loses_its_pods_and_gets_well_again() -> None:
    api = MemoryApi()
    for name in ("n1", "n2", "n3"):
        api.put(NODE, well(name))
    api.put(POD, runs("web", "n1"))
    async with running(api, *BUILDERS) as loops:
        all_ = asyncio.create_task(beat(loops, "n1", "n2", "n3"))
        await asyncio.sleep(600)
        assert ready_of(api, "n1") == "True"
        await stop(all_)
        others = asyncio.create_task(beat(loops, "n2", "n3"))
        await asyncio.sleep(65)
        assert ready_of(api, "n1") == "Unknown"
        assert taints_of(api, "n1") == {"unreachable:NoSchedule", "unreachable:NoExecute"}
        web = api.one(POD, "default", "web")
        assert web is not None
        assert (find_condition(web["status"]["conditions"], "Ready") or {})["status"] == "False"
        await asyncio.sleep(250)
        assert api.one(POD, "default", "web") is not None
        await asyncio.sleep(60)
        assert api.one(POD, "default", "web") is None
        assert ready_of(api, "n2") == "True"
        back = deep_copy(api.one(NODE, "", "n1") or {})
        back["status"] = well("n1")["status"]
        back["status"]["conditions"][0]["lastHeartbeatTime"] = "2026-01-01T01:00:00Z"
        api.put(NODE, back)
        await loops.settle()
        assert taints_of(api, "n1") == set()
        await stop(others)


@pytest.mark.looptime
async def test_a_node_that_says_it_is_not_ready_is_not_contradicted_about_its_pods() -> None:
    api = MemoryApi()
    api.put(NODE, well("n1", "False"))
    api.put(NODE, well("n2"))
    api.put(POD, runs("web", "n1"))
    async with running(api, *BUILDERS) as loops:
        beats = asyncio.create_task(beat(loops, "n1", "n2"))
        await asyncio.sleep(200)
        assert taints_of(api, "n1") == {"not-ready:NoSchedule", "not-ready:NoExecute"}
        web = api.one(POD, "default", "web")
        assert web is not None
        assert (find_condition(web["status"]["conditions"], "Ready") or {})["status"] == "True"
        await stop(beats)


@pytest.mark.looptime
async def test_a_short_silence_cancels_the_eviction() -> None:
    api = MemoryApi()
    api.put(NODE, well("n1", taints=[]))
    api.put(NODE, well("n2"))
    api.put(POD, runs("web", "n1"))
    async with running(api, taint_eviction.build) as loops:
        taint = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
        api.put(NODE, well("n1", taints=[taint]))
        await loops.settle(200)
        api.put(NODE, well("n1", taints=[]))
        await loops.settle(600)
        assert api.one(POD, "default", "web") is not None
        assert "TaintManagerEviction: Cancelling deletion of Pod default/web" in loops.events()


@pytest.mark.looptime
async def test_when_all_fall_silent_nobody_is_evicted() -> None:
    api = MemoryApi()
    for name in ("n1", "n2", "n3"):
        api.put(NODE, well(name))
        api.put(POD, runs(f"web-{name}", name))
    async with running(api, *BUILDERS) as loops:
        await loops.settle(3600)
        assert [ready_of(api, n) for n in ("n1", "n2", "n3")] == ["Unknown"] * 3
        assert taints_of(api, "n1") == {"unreachable:NoSchedule"}
        assert len(api.all(POD)) == 3


@pytest.mark.looptime
async def test_a_jump_of_the_wall_clock_kills_no_node() -> None:
    """Heartbeats carry wall time; only their coming counts, not what they say."""
    api = MemoryApi()
    api.put(NODE, well("n1"))
    async with running(api, *BUILDERS) as loops:
        task = asyncio.create_task(beat(loops, "n1"))
        await asyncio.sleep(100)
        api.put(
            LEASE,
            {
                "metadata": {"name": "n1", "namespace": "kube-node-lease"},
                "spec": {"renewTime": "1999-01-01T00:00:00.000000Z"},
            },
        )
        await asyncio.sleep(45)
        assert ready_of(api, "n1") == "True"
        await stop(task)


@pytest.mark.looptime
async def test_nodes_are_given_up_one_at_a_time() -> None:
    api = MemoryApi()
    for number in range(6):
        api.put(NODE, well(f"n{number}"))
    async with running(api, *BUILDERS) as loops:
        task = asyncio.create_task(beat(loops, *[f"n{i}" for i in range(2, 6)]))
        await asyncio.sleep(51)
        given_up = [n for n in ("n0", "n1") if "unreachable:NoExecute" in taints_of(api, n)]
        assert len(given_up) == 1
        await asyncio.sleep(12)
        assert "unreachable:NoExecute" in taints_of(api, "n0") & taints_of(api, "n1")
        await stop(task)


@pytest.mark.looptime
async def test_healthy_nodes_cost_no_writes() -> None:
    api = MemoryApi()
    api.put(NODE, well("n1"))
    async with running(api, *BUILDERS) as loops:
        task = asyncio.create_task(beat(loops, "n1"))
        await asyncio.sleep(3600)
        assert api.writes == []
        await stop(task)


def zoned(name: str, zone: str) -> Obj:
    return well(name, labels={"topology.kubernetes.io/zone": zone})


@pytest.mark.looptime
async def test_a_zone_that_is_lost_whole_keeps_its_pods_and_others_are_judged_apart() -> None:
    api = MemoryApi()
    for name, zone in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b"), ("b3", "b")):
        api.put(NODE, zoned(name, zone))
    api.put(POD, runs("site", "a1"))
    api.put(POD, runs("web", "b1"))
    async with running(api, *BUILDERS) as loops:
        task = asyncio.create_task(beat(loops, "b2", "b3"))
        await asyncio.sleep(900)
        assert taints_of(api, "a1") == taints_of(api, "a2") == {"unreachable:NoSchedule"}
        assert api.one(POD, "default", "site") is not None
        assert api.one(POD, "default", "web") is None
        await stop(task)


@pytest.mark.looptime
async def test_after_a_zone_was_lost_its_other_nodes_have_a_grace_to_be_heard_of() -> None:
    api = MemoryApi()
    for name in ("a1", "a2", "a3"):
        api.put(NODE, zoned(name, "a"))
    async with running(api, *BUILDERS) as loops:
        await asyncio.sleep(600)
        assert taints_of(api, "a2") == {"unreachable:NoSchedule"}
        for name in ("a1", "a3"):
            back = deep_copy(api.one(NODE, "", name) or {})
            back["status"] = well(name)["status"]
            back["status"]["conditions"][0]["lastHeartbeatTime"] = "2026-01-01T01:00:00Z"
            api.put(NODE, back)
        task = asyncio.create_task(beat(loops, "a1", "a3"))
        await asyncio.sleep(40)
        assert taints_of(api, "a2") == {"unreachable:NoSchedule"}
        await asyncio.sleep(20)
        assert taints_of(api, "a2") == {"unreachable:NoSchedule", "unreachable:NoExecute"}
        await stop(task)


@pytest.mark.looptime
async def test_each_zone_gives_up_nodes_at_a_pace_of_its_own() -> None:
    api = MemoryApi()
    for zone in "ab":
        for number in range(6):
            api.put(NODE, zoned(f"{zone}{number}", zone))
    async with running(api, *BUILDERS) as loops:
        alive = [f"{z}{i}" for z in "ab" for i in range(2, 6)]
        task = asyncio.create_task(beat(loops, *alive))
        await asyncio.sleep(51)
        lost = [n for n in ("a0", "a1", "b0", "b1")
                if "unreachable:NoExecute" in taints_of(api, n)]  # fmt: skip
        assert sorted(n[0] for n in lost) == ["a", "b"]
        await stop(task)


@pytest.mark.looptime
async def test_nodes_that_come_and_go_are_told_of_and_those_there_at_the_start_are_not() -> None:
    api = MemoryApi()
    api.put(NODE, well("n1"))
    async with running(api, *BUILDERS) as loops:
        assert loops.events() == []
        api.put(NODE, well("n2"))
        await loops.settle()
        api.remove(NODE, "", "n2")
        await loops.settle()
        assert loops.events() == [
            "RegisteredNode: Node n2 event: Registered Node n2 in Controller",
            "RemovingNode: Node n2 event: Removing Node n2 from Controller",
        ]
