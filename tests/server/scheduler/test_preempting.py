"""Preemption as it happens: who goes, what they are told, and for whom the room is kept."""

import asyncio

import pytest

from edgek.api.conditions import find_condition
from edgek.api.errors import InternalError
from edgek.api.meta import Obj
from edgek.kinds import EVENT, NODE, POD, POD_DISRUPTION_BUDGET
from server.scheduler.scheduler import build
from tests.support.cluster import ClusterApi, node, pod, until
from tests.support.loops import running
from tests.support.memory_api import fail

pytestmark = pytest.mark.looptime


def on(api: ClusterApi, name: str) -> str:
    found = api.one(POD, "default", name)
    return found["spec"].get("nodeName", "") if found else ""


def status(api: ClusterApi, name: str) -> Obj:
    found = api.one(POD, "default", name)
    return dict(found["status"]) if found else {}


def events(api: ClusterApi, reason: str) -> list[str]:
    return [e["message"] for e in api.all(EVENT) if e["reason"] == reason]


def held(obj: Obj) -> Obj:
    """Stays, being deleted, until ``end``: as a pod with a grace period does."""
    obj["metadata"]["finalizers"] = ["example.com/grace"]
    return obj


def end(api: ClusterApi, name: str) -> None:
    api.remove(POD, "default", name)


@pytest.fixture
def api() -> ClusterApi:
    api = ClusterApi()
    api.put(NODE, node("n1", cpu="2"))
    return api


async def test_a_victim_is_told_why_and_its_node_goes_to_the_more_important(
    api: ClusterApi,
) -> None:
    api.put(POD, held(pod("lesser", cpu="2", nodeName="n1")))
    api.put(POD, pod("big", cpu="2", priority=100))
    async with running(api, build):
        await until(lambda: status(api, "big").get("nominatedNodeName") == "n1")
        victim = api.one(POD, "default", "lesser")
        assert victim is not None
        assert victim["metadata"]["deletionTimestamp"]
        condition = find_condition(victim["status"]["conditions"], "DisruptionTarget")
        assert condition is not None
        assert (condition["status"], condition["reason"], condition["message"]) == (
            "True",
            "PreemptionByScheduler",
            "default-scheduler: preempting to accommodate a higher priority pod",
        )
        assert events(api, "Preempted") == ["Preempted by pod uid-big on node n1"]
        assert events(api, "FailedScheduling") == ["0/1 nodes are available: 1 Insufficient cpu."]
        end(api, "lesser")
        await until(lambda: on(api, "big") == "n1")


async def test_room_made_for_one_pod_is_not_taken_by_another(api: ClusterApi) -> None:
    api.put(POD, held(pod("lesser", cpu="2", nodeName="n1")))
    api.put(POD, pod("big", cpu="2", priority=100))
    async with running(api, build):
        await until(lambda: status(api, "big").get("nominatedNodeName") == "n1")
        api.put(POD, pod("quick", cpu="1", priority=50))
        end(api, "lesser")
        await until(lambda: on(api, "big") == "n1")
        await asyncio.sleep(60)
        assert on(api, "quick") == ""


async def test_room_is_kept_over_a_restart(api: ClusterApi) -> None:
    big = pod("big", cpu="2", priority=100, status={"nominatedNodeName": "n1"})
    api.put(POD, held(pod("lesser", cpu="1", nodeName="n1")))
    api.put(POD, pod("quick", cpu="1", priority=50))
    api.put(POD, big)
    async with running(api, build):
        await asyncio.sleep(30)
        assert on(api, "quick") == ""


async def test_a_pod_that_goes_leaves_the_room_that_was_kept_for_it(api: ClusterApi) -> None:
    api.put(POD, held(pod("lesser", cpu="2", nodeName="n1")))
    api.put(POD, pod("big", cpu="2", priority=100))
    api.put(POD, pod("quick", cpu="1", priority=50))
    async with running(api, build):
        await until(lambda: status(api, "big").get("nominatedNodeName") == "n1")
        end(api, "big")
        end(api, "lesser")
        await until(lambda: on(api, "quick") == "n1", seconds=30)


async def test_a_more_important_pod_takes_the_room_and_the_promise_with_it(
    api: ClusterApi,
) -> None:
    api.put(POD, held(pod("lesser", cpu="2", nodeName="n1")))
    api.put(POD, pod("big", cpu="2", priority=100))
    async with running(api, build):
        await until(lambda: status(api, "big").get("nominatedNodeName") == "n1")
        api.put(POD, held(pod("second", cpu="2", nodeName="n1", priority=1)))
        end(api, "lesser")
        api.put(POD, pod("bigger", cpu="2", priority=200))
        await until(lambda: status(api, "bigger").get("nominatedNodeName") == "n1", seconds=30)
        await until(lambda: "nominatedNodeName" not in status(api, "big"))
        end(api, "second")
        await until(lambda: on(api, "bigger") == "n1", seconds=30)
        assert on(api, "big") == ""


async def test_budgets_choose_who_goes(api: ClusterApi) -> None:
    api.put(NODE, node("n2", cpu="2"))
    api.put(POD, pod("guarded", cpu="2", nodeName="n1", labels={"app": "db"}))
    api.put(POD, pod("free", cpu="2", nodeName="n2", priority=50))
    budget = {
        "metadata": {"name": "db", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "db"}}},
        "status": {"disruptionsAllowed": 0},
    }
    api.put(POD_DISRUPTION_BUDGET, budget)
    api.put(POD, pod("big", cpu="2", priority=100))
    async with running(api, build):
        await until(lambda: on(api, "big") == "n2", seconds=30)
        assert on(api, "guarded") == "n1"


async def test_a_victim_that_cannot_be_deleted_is_tried_again(api: ClusterApi) -> None:
    api.before.append(fail("DELETE", "pods", InternalError("later")))
    api.put(POD, pod("lesser", cpu="2", nodeName="n1"))
    api.put(POD, pod("big", cpu="2", priority=100))
    async with running(api, build):
        await until(lambda: on(api, "big") == "n1", seconds=60)


async def test_while_victims_end_nothing_is_written(api: ClusterApi) -> None:
    api.put(POD, held(pod("lesser", cpu="2", nodeName="n1")))
    api.put(POD, pod("big", cpu="2", priority=100))
    async with running(api, build):
        await asyncio.sleep(600)
        before = len(api.calls)
        await asyncio.sleep(3600)
        assert len(api.calls) == before
