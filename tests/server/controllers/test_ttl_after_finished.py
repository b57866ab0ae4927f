"""Jobs are deleted some time after they are over, and not a moment sooner."""

import pytest

from edgek.kinds import JOB
from server.controllers import ttl_after_finished
from tests.support.loops import running
from tests.support.memory_api import MemoryApi

pytestmark = pytest.mark.looptime


def finished(ttl, at="2026-01-01T00:00:00Z", end="Complete"):
    condition = {"type": end, "status": "True", "lastTransitionTime": at}
    spec = {} if ttl is None else {"ttlSecondsAfterFinished": ttl}
    meta = {"name": "j", "namespace": "ns"}
    return {"metadata": meta, "spec": spec, "status": {"conditions": [condition]}}


def change_ttl(api, ttl):
    old = api.one(JOB, "ns", "j")
    api.put(JOB, {**old, "spec": {"ttlSecondsAfterFinished": ttl}})


@pytest.mark.parametrize("end", ["Complete", "Failed"])
async def test_a_job_goes_with_its_pods_when_its_time_is_over(end):
    api = MemoryApi()
    api.put(JOB, finished(100, end=end))
    async with running(api, ttl_after_finished.build) as loops:
        await loops.settle(94)
        assert api.one(JOB, "ns", "j")["metadata"].get("deletionTimestamp") is None
        await loops.settle(2)
        gone = api.one(JOB, "ns", "j")["metadata"]
        assert gone["deletionTimestamp"]
        assert gone["finalizers"] == ["foregroundDeletion"]
        await loops.settle(7200)
        assert [c.method for c in api.writes] == ["DELETE"]


@pytest.mark.parametrize("made", [finished(None), finished(5, end="Suspended")])
async def test_other_jobs_stay(made):
    api = MemoryApi()
    api.put(JOB, made)
    async with running(api, ttl_after_finished.build) as loops:
        api.calls.clear()
        await loops.settle(7200)
        assert api.calls == []


async def test_a_longer_time_counts_though_the_cache_does_not_show_it():
    api = MemoryApi()
    api.put(JOB, finished(100))

    def longer(call):
        if call.method == "GET" and call.path.endswith("/j"):
            change_ttl(api, 500)

    async with running(api, ttl_after_finished.build) as loops:
        api.before.append(longer)
        await loops.settle(200)
        assert api.writes == []
        await loops.settle(300)
        assert [c.method for c in api.writes] == ["DELETE"]


async def test_a_job_that_finished_long_ago_goes_at_once():
    api = MemoryApi()
    api.put(JOB, finished(0, at="2025-01-01T00:00:00Z"))
    async with running(api, ttl_after_finished.build):
        assert [c.method for c in api.writes] == ["DELETE"]


async def test_a_shorter_time_counts_at_once():
    api = MemoryApi()
    api.put(JOB, finished(10_000))
    async with running(api, ttl_after_finished.build) as loops:
        await loops.settle(100)
        change_ttl(api, 50)
        await loops.settle(1)
        assert [c.method for c in api.writes] == ["DELETE"]
