"""EventRecorder: Events are counted, combined, limited, and never in the way."""

import asyncio

import pytest

from edgek.aio.clock import FakeClock
from edgek.aio.tasks import Tasks
from edgek.api.errors import Forbidden, ServiceUnavailable
from edgek.control.events import MAX_QUEUED, EventRecorder
from edgek.kinds import EVENT, POD
from tests.support.memory_api import MemoryApi, fail


@pytest.fixture
def api():
    return MemoryApi()


@pytest.fixture
async def recorder(api):
    recorder = EventRecorder(api.client, FakeClock())
    async with Tasks("test") as tasks:
        tasks.spawn(recorder.run(), name="events")
        yield recorder


def pod(name="p", **meta):
    metadata = {"name": name, "namespace": "ns", "uid": f"u-{name}", **meta}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}


@pytest.mark.looptime
async def test_an_event_says_who_what_and_of_which_object(api, recorder):
    source = recorder.source("kubelet", host="n1")
    source.warning(pod(), "Failed", "no such image", field_path="spec.containers{c}")
    await asyncio.sleep(1)
    [event] = api.all(EVENT)
    assert event["metadata"]["namespace"] == "ns"
    assert event["metadata"]["name"].startswith("p.")
    fields = ("type", "reason", "message", "count", "source", "reportingComponent")
    assert [event[f] for f in fields] == [
        "Warning",
        "Failed",
        "no such image",
        1,
        {"component": "kubelet", "host": "n1"},
        "kubelet",
    ]
    assert event["involvedObject"] == {
        "kind": "Pod",
        "namespace": "ns",
        "name": "p",
        "uid": "u-p",
        "apiVersion": "v1",
        "fieldPath": "spec.containers{c}",
    }


@pytest.mark.looptime
async def test_the_same_again_is_counted_whatever_the_objects_version(api, recorder):
    source = recorder.source("test")
    source.normal(pod(resourceVersion="1"), "Pulled", "image")
    await asyncio.sleep(90)
    source.normal(pod(resourceVersion="2"), "Pulled", "image")
    await asyncio.sleep(1)
    [event] = api.all(EVENT)
    assert event["count"] == 2
    assert (event["firstTimestamp"], event["lastTimestamp"]) == (
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:01:30Z",
    )


@pytest.mark.looptime
async def test_many_alike_are_combined(api, recorder):
    source = recorder.source("test")
    for number in range(13):
        source.normal(pod(), "Killing", f"container {number}")
    await asyncio.sleep(1)
    events = api.all(EVENT)
    assert len(events) == 11
    assert events[-1]["message"] == "(combined from similar events): container 12"
    assert events[-1]["count"] == 3


@pytest.mark.looptime
async def test_a_flood_about_one_object_is_cut_and_others_are_heard(api, recorder):
    source = recorder.source("test")
    for _ in range(40):
        source.normal(pod(), "Same", "again")
    source.normal(pod("quiet"), "Same", "again")
    await asyncio.sleep(1)
    assert sorted(e["count"] for e in api.all(EVENT)) == [1, 25]
    await asyncio.sleep(301)
    source.normal(pod(), "Same", "again")
    await asyncio.sleep(1)
    assert sorted(e["count"] for e in api.all(EVENT)) == [1, 26]


@pytest.mark.looptime
async def test_an_event_survives_a_server_away_but_not_a_refusal(api, recorder):
    source = recorder.source("test")
    api.before.append(fail("POST", "events", ServiceUnavailable("down"), times=2))
    source.normal(pod(), "Kept", "m")
    await asyncio.sleep(60)
    api.before.append(fail("POST", "events", Forbidden("namespace is being terminated")))
    source.normal(pod(), "Refused", "m")
    source.normal(pod(), "Next", "m")
    await asyncio.sleep(60)
    assert [e["reason"] for e in api.all(EVENT)] == ["Kept", "Next"]


@pytest.mark.looptime
async def test_an_expired_event_begins_anew(api, recorder):
    source = recorder.source("test")
    source.normal(pod(), "Same", "again")
    await asyncio.sleep(1)
    api.remove(EVENT, "ns", api.all(EVENT)[0]["metadata"]["name"])
    source.normal(pod(), "Same", "again")
    await asyncio.sleep(1)
    assert [e["count"] for e in api.all(EVENT)] == [1]


async def test_nobody_writing_costs_a_bounded_queue():
    recorder = EventRecorder(MemoryApi().client, FakeClock())
    for number in range(MAX_QUEUED + 10):
        recorder.source("test").normal(pod(), "Same", str(number))
    assert len(recorder._queue) == MAX_QUEUED


@pytest.mark.looptime
async def test_cluster_scoped_objects_have_their_events_in_default(api, recorder):
    recorder.source("test").normal({"kind": "Node", "metadata": {"name": "n"}}, "Up", "m")
    await asyncio.sleep(1)
    assert api.all(EVENT)[0]["metadata"]["namespace"] == "default"
    assert not api.all(POD)
