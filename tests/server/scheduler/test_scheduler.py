"""The scheduler against an API: pods get bound once, wait quietly, and wake when it helps."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from edgek.api.errors import ServiceUnavailable
from edgek.api.meta import Obj
from edgek.client.transport import Call
from edgek.kinds import EVENT, NODE, POD
from server.scheduler.ranking import Profile
from server.scheduler.scheduler import PROFILES, Scheduler, build
from tests.support.cluster import ClusterApi, node, pod, until
from tests.support.loops import running

pytestmark = pytest.mark.looptime


@pytest.fixture
def api() -> ClusterApi:
    return ClusterApi()


@pytest.fixture
async def start(api: ClusterApi) -> AsyncIterator[Callable[[], None]]:
    """Starts the scheduler when called, so that a test can lay out the cluster before."""
    tasks: list[asyncio.Task[None]] = []

    async def serve() -> None:
        async with running(api, build):
            await asyncio.Event().wait()

    yield lambda: tasks.append(asyncio.create_task(serve()))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def on(api: ClusterApi, name: str) -> str:
    found = api.one(POD, "default", name)
    return found["spec"].get("nodeName", "") if found else ""


def events(api: ClusterApi, reason: str) -> list[str]:
    return [e["message"] for e in api.all(EVENT) if e["reason"] == reason]


def condition(api: ClusterApi, name: str) -> Obj:
    found = api.one(POD, "default", name)
    conditions = (found or {}).get("status", {}).get("conditions") or [{}]
    return dict(conditions[0])


async def test_a_pod_is_bound_and_its_event_says_where(api: ClusterApi, start: Any) -> None:
    api.put(NODE, node("n1"))
    api.put(POD, pod("web-1"))
    start()
    await until(lambda: on(api, "web-1") == "n1")
    await until(lambda: events(api, "Scheduled") == ["Successfully assigned default/web-1 to n1"])
    assert api.all(EVENT)[0]["source"]["component"] == "default-scheduler"


async def test_a_pod_no_node_takes_says_why_and_then_causes_no_more_writes(
    api: ClusterApi, start: Any
) -> None:
    api.put(NODE, node("n1", cpu="1"))
    api.put(POD, pod("big", cpu="2"))
    start()
    message = (
        "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: "
        "1 Preemption is not helpful for scheduling."
    )
    await until(lambda: condition(api, "big").get("message") == message)
    assert condition(api, "big")["reason"] == "Unschedulable"
    await until(lambda: events(api, "FailedScheduling") == [message])
    before = len(api.calls)
    await asyncio.sleep(3600)
    assert len(api.calls) == before


async def test_a_waiting_pod_wakes_when_room_is_freed_and_not_for_what_cannot_help(
    api: ClusterApi, start: Any
) -> None:
    api.put(NODE, node("n1", cpu="1"))
    api.put(POD, pod("first", cpu="1", nodeName="n1"))
    api.put(POD, pod("second", cpu="1"))
    start()
    await until(lambda: condition(api, "second"))
    await asyncio.sleep(60)
    before = len(api.writes)
    api.put(NODE, {**node("n1", cpu="1"), "status": {**node("n1", cpu="1")["status"], "x": "y"}})
    await asyncio.sleep(60)
    assert len(api.writes) == before
    api.remove(POD, "default", "first")
    await until(lambda: on(api, "second") == "n1")


async def test_a_finished_pod_gives_its_room_back(api: ClusterApi, start: Any) -> None:
    api.put(NODE, node("n1", cpu="1"))
    api.put(POD, pod("job", cpu="1", nodeName="n1"))
    api.put(POD, pod("next", cpu="1"))
    start()
    await until(lambda: condition(api, "next"))
    api.put(POD, pod("job", cpu="1", nodeName="n1", status={"phase": "Succeeded"}))
    await until(lambda: on(api, "next") == "n1")


async def test_more_important_pods_go_first(api: ClusterApi, start: Any) -> None:
    api.put(NODE, node("n1", cpu="1"))
    api.put(POD, pod("ordinary", cpu="1"))
    api.put(POD, pod("important", cpu="1", priority=1000))
    start()
    await until(lambda: on(api, "important") == "n1")
    assert on(api, "ordinary") == ""


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"schedulerName": "other"}, id="another scheduler's"),
        pytest.param({"schedulingGates": [{"name": "example.com/wait"}]}, id="gated"),
    ],
)
async def test_pods_that_are_not_ours_now_are_left_alone(
    api: ClusterApi, start: Any, spec: dict[str, Any]
) -> None:
    api.put(NODE, node("n1"))
    api.put(POD, pod("theirs", **spec))
    api.put(POD, pod("ours"))
    start()
    await until(lambda: on(api, "ours") == "n1")
    await asyncio.sleep(60)
    assert on(api, "theirs") == ""
    assert not condition(api, "theirs")


async def test_a_gate_that_opens_lets_the_pod_in(api: ClusterApi, start: Any) -> None:
    api.put(NODE, node("n1"))
    api.put(POD, pod("web", schedulingGates=[{"name": "example.com/wait"}]))
    start()
    await asyncio.sleep(1)
    api.put(POD, pod("web"))
    await until(lambda: on(api, "web") == "n1")


async def test_a_binding_that_fails_is_tried_again_and_its_room_was_not_lost(
    api: ClusterApi, start: Any
) -> None:
    left = [2]

    def refuse(call: Call) -> None:
        if call.path.endswith("/binding") and left[0]:
            left[0] -= 1
            raise ServiceUnavailable("later")

    api.before.append(refuse)
    api.put(NODE, node("n1", cpu="1"))
    api.put(POD, pod("web", cpu="1"))
    start()
    await until(lambda: on(api, "web") == "n1", seconds=10)


async def test_a_pod_that_goes_while_it_is_bound_leaves_its_room(
    api: ClusterApi, start: Any
) -> None:
    def vanish(call: Call) -> None:
        if call.path.endswith("/first/binding"):
            api.remove(POD, "default", "first")

    api.before.append(vanish)
    api.put(NODE, node("n1", cpu="1"))
    api.put(POD, pod("first", cpu="1"))
    start()
    await until(lambda: not api.one(POD, "default", "first"))
    api.put(POD, pod("second", cpu="1"))
    await until(lambda: on(api, "second") == "n1")


async def test_hundreds_of_pods_are_bound_once_each_and_evenly(api: ClusterApi, start: Any) -> None:
    for number in range(20):
        api.put(NODE, node(f"n{number}"))
    for number in range(400):
        api.put(POD, pod(f"web-{number}", cpu="10m", owner="rs"))
    start()
    await until(lambda: all(on(api, f"web-{i}") for i in range(400)))
    bindings = [c.path for c in api.calls if c.path.endswith("/binding")]
    assert len(bindings) == len(set(bindings)) == 400
    counts = [sum(on(api, f"web-{i}") == f"n{n}" for i in range(400)) for n in range(20)]
    assert set(counts) == {20}


async def test_several_schedulers_in_one_each_with_its_name(api: ClusterApi) -> None:
    """Two profiles see the same cluster, and their events bear their names."""
    lenient = Profile(filters=(), scores=(), cluster=())
    profiles = {**PROFILES, "lenient": lenient}
    api.put(NODE, node("n1", unschedulable=True))
    api.put(POD, pod("strict"))
    api.put(POD, pod("anywhere", schedulerName="lenient"))
    api.put(POD, pod("theirs", schedulerName="someone-else"))
    async with running(api, lambda context: Scheduler(context, profiles=profiles)):
        await until(lambda: on(api, "anywhere") == "n1")
        await until(lambda: events(api, "FailedScheduling"))
        assert on(api, "strict") == on(api, "theirs") == ""
        told = {e["involvedObject"]["name"]: e["source"]["component"] for e in api.all(EVENT)}
        assert told == {"strict": "default-scheduler", "anywhere": "lenient"}


async def test_an_idle_scheduler_reads_and_writes_nothing(api: ClusterApi, start: Any) -> None:
    for number in range(3):
        api.put(NODE, node(f"n{number}"))
    api.put(POD, pod("placed"))
    api.put(POD, pod("too-big", cpu="64"))
    api.put(POD, pod("gated", schedulingGates=[{"name": "example.com/wait"}]))
    start()
    await until(lambda: on(api, "placed") and condition(api, "too-big"))
    await asyncio.sleep(60)
    before = len(api.calls)
    await asyncio.sleep(24 * 3600)
    assert len(api.calls) == before


async def test_pods_wait_for_each_other_and_wake_when_one_is_placed(
    api: ClusterApi, start: Any
) -> None:
    term = {
        "labelSelector": {"matchLabels": {"app": "db"}},
        "topologyKey": "kubernetes.io/hostname",
    }
    near = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    api.put(NODE, node("n1"))
    api.put(NODE, node("n2"))
    api.put(POD, pod("web", affinity=near))
    start()
    await until(lambda: condition(api, "web"))
    await asyncio.sleep(60)
    api.put(POD, pod("db", labels={"app": "db"}))
    await until(lambda: on(api, "web") and on(api, "web") == on(api, "db"))


async def test_pods_of_further_names_are_placed_too(api: ClusterApi) -> None:
    api.put(NODE, node("n1"))
    api.put(POD, pod("batch", schedulerName="batch-scheduler"))
    async with running(api, partial(build, names=("batch-scheduler",))):
        await until(lambda: on(api, "batch") == "n1")
