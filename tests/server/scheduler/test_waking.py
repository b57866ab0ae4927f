"""Which changes wake a waiting pod: those that can turn what its plugins said, and no others."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edgek.api.meta import Key
from server.scheduler.changes import Change
from server.scheduler.queue import SchedulingQueue
from server.scheduler.scheduler import PROFILES, helped_by
from tests.support.cluster import pod

pytestmark = pytest.mark.looptime

C = Change
WAKES = {
    "NodeUnschedulable": C.NODE_ADDED | C.NODE_TAINTS,
    "NodeName": C.NODE_ADDED,
    "TaintToleration": C.NODE_ADDED | C.NODE_TAINTS,
    "NodeAffinity": C.NODE_ADDED | C.NODE_LABELS,
    "NodePorts": C.NODE_ADDED | C.POD_GONE,
    "NodeResourcesFit": C.NODE_ADDED | C.NODE_ROOM | C.POD_GONE,
    "VolumeRestrictions": C.NODE_ADDED | C.POD_GONE | C.CLAIM,
    "NodeVolumeLimits": C.NODE_ADDED | C.POD_GONE | C.CLAIM | C.VOLUME | C.DRIVER,
    "VolumeBinding": C.NODE_ADDED | C.NODE_LABELS | C.CLAIM | C.VOLUME | C.CLASS | C.DRIVER,
    "VolumeZone": C.NODE_ADDED | C.NODE_LABELS | C.CLAIM | C.VOLUME | C.CLASS,
    "PodTopologySpread": C.NODE_ADDED
    | C.NODE_LABELS
    | C.NODE_TAINTS
    | C.NODE_ROOM
    | C.POD_GONE
    | C.POD_PLACED,
    "InterPodAffinity": C.NODE_ADDED | C.NODE_LABELS | C.POD_GONE | C.POD_PLACED | C.NAMESPACE,
}
KEY = Key("default", "web")


@pytest.fixture
async def queue() -> AsyncIterator[SchedulingQueue]:
    queue = SchedulingQueue(helped_by(PROFILES), time=asyncio.get_running_loop().time)
    yield queue
    queue.close()


async def refuse(queue: SchedulingQueue, *plugins: str) -> None:
    queue.set(KEY, pod("web"))
    key, queued = await queue.pop()
    queue.refused(key, queued, frozenset(plugins))
    await asyncio.sleep(60)


def test_every_plugin_says_what_wakes_its_pods() -> None:
    assert helped_by(PROFILES) == WAKES


@pytest.mark.parametrize("plugin", sorted(WAKES))
async def test_a_change_wakes_whom_it_can_help(queue: SchedulingQueue, plugin: str) -> None:
    woken = Change(0)
    for change in Change:
        await refuse(queue, plugin)
        queue.changed(change)
        woken |= Change(0) if queue.idle else change
        queue.remove(KEY)
    assert woken == WAKES[plugin]


async def test_one_plugin_of_several_is_enough(queue: SchedulingQueue) -> None:
    await refuse(queue, "TaintToleration", "NodeResourcesFit")
    queue.changed(Change.POD_GONE)
    assert not queue.idle


async def test_a_pod_that_met_no_node_waits_for_one(queue: SchedulingQueue) -> None:
    await refuse(queue)
    queue.changed(Change.POD_GONE)
    assert queue.idle
    queue.changed(Change.NODE_ADDED)
    assert not queue.idle


async def test_each_refusal_makes_the_next_try_wait_longer_up_to_ten_seconds(
    queue: SchedulingQueue,
) -> None:
    loop, waits = asyncio.get_running_loop(), []
    queue.set(KEY, pod("web"))
    key, queued = await queue.pop()
    for _ in range(6):
        queue.refused(key, queued, frozenset(("NodeResourcesFit",)))
        began = loop.time()
        queue.changed(Change.POD_GONE)
        await queue.pop()
        waits.append(round(loop.time() - began))
    assert waits == [1, 2, 4, 8, 10, 10]


async def test_a_retry_does_not_take_a_pod_from_whoever_has_it(queue: SchedulingQueue) -> None:
    await refuse(queue, "NodeResourcesFit")
    queue.changed(Change.POD_GONE)
    key, queued = await queue.pop()
    queue.retry(key, queued)
    await asyncio.sleep(60)
    assert queue.idle


@pytest.mark.parametrize(
    ("first", "second", "order"),
    [
        pytest.param({}, {"priority": 5}, ["b", "a"], id="the more important"),
        pytest.param({"priority": 5}, {"priority": 5}, ["a", "b"], id="the older"),
    ],
)
async def test_who_goes_first(
    queue: SchedulingQueue, first: dict[str, Any], second: dict[str, Any], order: list[str]
) -> None:
    queue.set(Key("default", "a"), pod("a", **first))
    queue.set(Key("default", "b"), pod("b", **second))
    assert [(await queue.pop())[0].name for _ in range(2)] == order
