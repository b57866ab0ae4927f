"""Jobs and CronJobs against the real request path: defaults, validation, cascades."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from edgek.aio.clock import FakeClock
from edgek.api.errors import NotFound
from edgek.api.meta import Key
from edgek.api.time import format_time
from edgek.control.controller import DONE, Context, ForKind
from edgek.kinds import CRON_JOB, JOB, NAMESPACE, POD
from edgek.kinds.pods import is_terminal
from server.controllers import (
    cronjob,
    garbage_collector,
    job,
    job_orphan_pods,
    pod_gc,
    ttl_after_finished,
)
from tests.support.api import admin, open_api
from tests.support.loops import controlled, until

KEY = Key("ns", "pi")


class Runs:
    """A node on which every pod ends at once, as its image says: ``exit-1``. ``stay`` runs on."""

    name = "kubelet"
    kind = POD
    watches = (ForKind(POD),)

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pods = context.informers.get(POD)

    async def reconcile(self, key):
        pod = self._pods.get(key)
        if pod is None or is_terminal(pod):
            return DONE
        image = pod["spec"]["containers"][0]["image"]
        if image == "stay":
            return DONE
        code = int(image.removeprefix("exit-"))
        at = format_time(self._context.clock.now())
        state = {"terminated": {"exitCode": code, "finishedAt": at, "startedAt": at}}
        container = {"name": "c", "state": state, "image": image, "imageID": "", "ready": False,
                     "restartCount": 0}  # fmt: skip
        status = {"phase": "Failed" if code else "Succeeded", "containerStatuses": [container]}
        await self._context.client.update_status(POD, {**pod, "status": status})
        return DONE


ALL = (
    garbage_collector.build,
    job.build,
    job_orphan_pods.build,
    cronjob.build,
    ttl_after_finished.build,
    pod_gc.build,
    Runs,
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def client(clock) -> AsyncIterator:
    """Of an API on which the controllers run, with namespace ``ns``."""
    async with open_api(clock=clock) as api, controlled(admin(api), clock, *ALL) as context:
        client = context.client
        await client.create(NAMESPACE, {"metadata": {"name": "ns"}})
        yield client


def make_job(image="exit-0", **spec):
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": image}]}
    return {
        "metadata": {"name": "pi", "namespace": "ns"},
        "spec": {"template": {"spec": pod}, **spec},
    }


async def over(client):
    """The status of the Job when it is over."""

    async def ended():
        status = (await client.get(JOB, KEY)).get("status", {})
        ends = [c["type"] for c in status.get("conditions", ())]
        return status if "Complete" in ends or "Failed" in ends else None

    return await until(ended)


async def pods(client):
    return (await client.list(POD, namespace="ns")).items


async def test_a_job_completes(client):
    await client.create(JOB, make_job(completions=3, parallelism=2))
    status = await over(client)
    times = {status.pop(f) for f in ("startTime", "completionTime")}
    assert all(times)
    assert [c["type"] for c in status.pop("conditions")] == ["SuccessCriteriaMet", "Complete"]
    assert status == {
        "succeeded": 3, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {},
    }  # fmt: skip
    assert not any(p["metadata"].get("finalizers") for p in await pods(client))


async def test_a_job_that_is_over_is_written_no_more(client):
    await client.create(JOB, make_job())
    await over(client)
    before = (await client.get(JOB, KEY))["metadata"]["resourceVersion"]
    await asyncio.sleep(0.2)
    assert (await client.get(JOB, KEY))["metadata"]["resourceVersion"] == before


async def test_an_indexed_job_fails_by_its_indexes(client):
    rule = {"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [3]}}
    spec = {"completions": 3, "parallelism": 3, "completionMode": "Indexed",
            "backoffLimitPerIndex": 2, "podFailurePolicy": {"rules": [rule]}}  # fmt: skip
    await client.create(JOB, make_job("exit-3", **spec))
    status = await over(client)
    assert status["failedIndexes"] == "0-2"
    assert status["failed"] == 3
    assert [c["reason"] for c in status["conditions"]] == ["FailedIndexes"] * 2
    [first, *_] = sorted(await pods(client), key=lambda p: p["metadata"]["name"])
    [variable] = first["spec"]["containers"][0]["env"]
    path = variable["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == "metadata.labels['batch.kubernetes.io/job-completion-index']"
    assert first["spec"]["hostname"] == "pi-0"


async def test_a_failure_policy_fails_the_job_and_ends_its_pods(client):
    rule = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}
    await client.create(JOB, make_job("exit-42", podFailurePolicy={"rules": [rule]}))
    status = await over(client)
    assert status["conditions"][-1]["reason"] == "PodFailurePolicy"
    assert status["failed"] == 1


async def test_a_pod_that_is_deleted_before_it_has_a_node_is_counted_and_replaced(client, clock):
    await client.create(JOB, make_job("stay", podReplacementPolicy="Failed"))
    [pod] = await until(lambda: pods(client))
    await client.delete(POD, Key("ns", pod["metadata"]["name"]))

    async def counted():
        status = (await client.get(JOB, KEY))["status"]
        return status.get("failed") == 1 and await pods(client) == []

    await until(counted)
    clock.advance(20)
    await client.patch(JOB, KEY, {"metadata": {"labels": {"look": "again"}}})
    await until(lambda: pods(client))


async def test_a_job_is_suspended_and_resumed(client, clock):
    spec = {"parallelism": 2, "completions": 2, "activeDeadlineSeconds": 100}
    await client.create(JOB, make_job("stay", **spec))

    async def running(number):
        found = await pods(client)
        status = (await client.get(JOB, KEY)).get("status", {})
        return len(found) == number and status.get("active", 0) == number

    await until(lambda: running(2))
    await client.patch(JOB, KEY, {"spec": {"suspend": True}})
    await until(lambda: running(0))
    status = (await client.get(JOB, KEY))["status"]
    assert [c["type"] for c in status["conditions"]] == ["Suspended"]
    assert "failed" not in status
    clock.advance(500)
    await client.patch(JOB, KEY, {"spec": {"suspend": False}})
    await until(lambda: running(2))
    resumed = (await client.get(JOB, KEY))["status"]
    assert resumed["startTime"] > status["startTime"]
    assert [c["status"] for c in resumed["conditions"]] == ["False"]


async def test_a_deadline_ends_what_runs(client):
    await client.create(JOB, make_job("stay", activeDeadlineSeconds=1))
    status = await over(client)
    assert status["conditions"][-1]["reason"] == "DeadlineExceeded"
    assert (status["failed"], await pods(client)) == (1, [])


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
async def test_a_job_that_is_deleted_takes_its_pods(client, policy):
    await client.create(JOB, make_job("stay"))
    await until(lambda: pods(client))
    await client.delete(JOB, KEY, propagation_policy=policy)

    async def gone():
        return await pods(client) == [] and (await client.list(JOB)).items == []

    await until(gone)


async def test_a_job_is_deleted_when_its_time_is_over(client):
    await client.create(JOB, make_job(ttlSecondsAfterFinished=0))

    async def gone():
        try:
            await client.get(JOB, KEY)
        except NotFound:
            return await pods(client) == []

    await until(gone)


async def test_a_cron_job_runs_its_jobs_and_keeps_the_last_of_them(client):
    template = {"spec": make_job()["spec"]}
    spec = {"schedule": "@every 1s", "jobTemplate": template, "successfulJobsHistoryLimit": 1}
    cron_job = {"metadata": {"name": "c", "namespace": "ns"}, "spec": spec}
    await client.create(CRON_JOB, cron_job)

    async def successful():
        return (
            (await client.get(CRON_JOB, Key("ns", "c"))).get("status", {}).get("lastSuccessfulTime")
        )

    await until(successful)
    [made] = (await client.list(JOB, namespace="ns")).items[-1:]
    assert made["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    await client.delete(CRON_JOB, Key("ns", "c"), propagation_policy="Background")

    async def gone():
        return await pods(client) == [] and (await client.list(JOB)).items == []

    await until(gone)
