"""Controller: keys from changes, one worker per key, backoff on failure, silence when idle."""

import asyncio
import itertools
from collections import Counter

import pytest

from edgek.aio.clock import FakeClock
from edgek.aio.tasks import Tasks
from edgek.api.errors import ServiceUnavailable
from edgek.api.meta import Key
from edgek.control.controller import (
    DONE,
    Context,
    Controller,
    ForKind,
    Mapped,
    OwnedBy,
    Result,
    run_controllers,
)
from edgek.control.events import EventRecorder
from edgek.control.informer import Informers
from edgek.kinds import CONFIG_MAP, NODE, POD, REPLICA_SET
from tests.support.memory_api import MemoryApi


class Recorder:
    name = "recorder"
    kind = CONFIG_MAP

    def __init__(self, *watches, work=None):
        self.watches = watches
        self.keys = []
        self.work = work

    async def reconcile(self, key):
        self.keys.append(str(key))
        return (await self.work(key)) if self.work else DONE


@pytest.fixture
def api():
    return MemoryApi()


@pytest.fixture
async def context(api):
    async with Tasks("test") as tasks:
        clock = FakeClock()
        yield Context(
            client=api.client,
            informers=Informers(api.client, tasks),
            events=EventRecorder(api.client, clock),
            clock=clock,
        )


async def run_for(context, reconciler, seconds):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run_controllers(context, [lambda _: reconciler]), seconds)


def obj(name, namespace="ns", **meta):
    return {"metadata": {"name": name, "namespace": namespace, **meta}}


@pytest.mark.looptime
async def test_an_object_queues_itself_its_owner_and_what_it_maps_to(api, context):
    ref = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "u"}
    other = ref | {"apiVersion": "example.com/v1", "name": "not-apps"}
    api.put(CONFIG_MAP, obj("itself"))
    api.put(POD, obj("p", ownerReferences=[ref | {"controller": True}]))
    api.put(POD, obj("q", ownerReferences=[other | {"controller": True}]))
    api.put(NODE, obj("n", namespace=""))
    reconciler = Recorder(
        ForKind(CONFIG_MAP),
        OwnedBy(POD, owner=REPLICA_SET),
        Mapped(NODE, lambda node: [Key("mapped", node["metadata"]["name"])]),
    )
    await run_for(context, reconciler, 5)
    assert sorted(reconciler.keys) == ["mapped/n", "ns/itself", "ns/web"]


@pytest.mark.looptime
async def test_a_change_that_does_not_matter_queues_nothing(api, context):
    api.put(CONFIG_MAP, obj("a"))
    reconciler = Recorder(ForKind(CONFIG_MAP, when=lambda old, new: old is not None))
    await run_for(context, reconciler, 5)
    assert reconciler.keys == []


@pytest.mark.looptime
async def test_failures_back_off_and_success_starts_over(api, context):
    times = []

    async def work(key):
        times.append(asyncio.get_running_loop().time())
        if len(times) < 4:
            raise ServiceUnavailable("not now") if len(times) % 2 else RuntimeError("a bug")
        return DONE

    api.put(CONFIG_MAP, obj("a"))
    await run_for(context, Recorder(ForKind(CONFIG_MAP), work=work), 60)
    assert [b - a for a, b in itertools.pairwise(times)] == pytest.approx([0.005, 0.01, 0.02])


@pytest.mark.looptime
async def test_requeue_after_runs_again_at_that_time(api, context):
    times = []

    async def work(key):
        times.append(asyncio.get_running_loop().time())
        return Result(requeue_after=30) if len(times) == 1 else DONE

    api.put(CONFIG_MAP, obj("a"))
    await run_for(context, Recorder(ForKind(CONFIG_MAP), work=work), 3600)
    assert times[1] - times[0] == pytest.approx(30)
    assert len(times) == 2


@pytest.mark.looptime
async def test_one_key_is_never_worked_on_twice_at_once_but_keys_run_side_by_side(api, context):
    now, most = Counter(), Counter()

    async def work(key):
        now[key] += 1
        now["all"] += 1
        most[key], most["all"] = max(most[key], now[key]), max(most["all"], now["all"])
        await asyncio.sleep(1)
        now[key] -= 1
        now["all"] -= 1
        return DONE

    for name in ("a", "b"):
        api.put(CONFIG_MAP, obj(name))
    reconciler = Recorder(ForKind(CONFIG_MAP), work=work)
    controller = Controller(reconciler, context.informers)
    task = asyncio.create_task(controller.run())
    for _ in range(4):
        await asyncio.sleep(0.4)
        api.put(CONFIG_MAP, obj("a"))
    await asyncio.sleep(5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert most == {Key("ns", "a"): 1, Key("ns", "b"): 1, "all": 2}
    assert controller.queue.idle
