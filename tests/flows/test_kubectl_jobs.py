"""Unmodified kubectl with Jobs and CronJobs; what a node says of pods is written by hand."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.tls_server import Kubectl, tls_server

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def kubectl(tmp_path: Path) -> AsyncIterator[Kubectl]:
    async with tls_server(tmp_path) as server:
        yield server.kubectl


async def pod_of(kubectl: Kubectl, job: str) -> str:
    selector = f"batch.kubernetes.io/job-name={job}"
    await kubectl("wait", "--for=create", "pod", "-l", selector, "--timeout=20s")
    found = await kubectl("get", "pod", "-l", selector, "-o", "name")
    return found.strip().removeprefix("pod/")


async def end(kubectl: Kubectl, pod: str, phase: str, **status: object) -> None:
    patch = json.dumps({"status": {"phase": phase, **status}})
    await kubectl("patch", "pod", pod, "--subresource=status", "-p", patch)


async def test_a_job_is_waited_for_and_described(kubectl: Kubectl) -> None:
    await kubectl("create", "job", "pi", "--image=perl", "--", "perl", "-e", "1")
    pod = await pod_of(kubectl, "pi")
    assert "Running" in await kubectl("get", "job", "pi")
    await end(kubectl, pod, "Succeeded")
    await kubectl("wait", "--for=condition=complete", "job/pi", "--timeout=20s")
    row = (await kubectl("get", "job", "pi", "--no-headers")).split()
    assert row[1:3] == ["Complete", "1/1"]
    told = await kubectl("describe", "job", "pi")
    assert "1 Succeeded / 0 Failed" in told
    assert "SuccessfulCreate" in told
    assert f"Created pod: {pod}" in told
    assert "Completed" in told
    await kubectl("delete", "job", "pi", "--timeout=20s")
    await kubectl("wait", "--for=delete", f"pod/{pod}", "--timeout=20s")


async def test_a_job_that_fails_says_why(kubectl: Kubectl) -> None:
    spec = {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [
        {"name": "c", "image": "x"}]}}}  # fmt: skip
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "bad"}, "spec": spec}
    await kubectl("apply", "-f", "-", stdin=json.dumps(job))
    await end(kubectl, await pod_of(kubectl, "bad"), "Failed")
    await kubectl("wait", "--for=condition=failed", "job/bad", "--timeout=20s")
    assert "BackoffLimitExceeded" in await kubectl("describe", "job", "bad")
    assert "Failed" in await kubectl("get", "job", "bad")


async def test_a_cron_job_is_tried_by_hand_and_suspended(kubectl: Kubectl) -> None:
    await kubectl("create", "cronjob", "c", "--image=x", "--schedule=0 0 1 1 *")
    await kubectl("create", "job", "now", "--from=cronjob/c")
    await end(kubectl, await pod_of(kubectl, "now"), "Succeeded")
    await kubectl("wait", "--for=condition=complete", "job/now", "--timeout=20s")
    await kubectl("patch", "cronjob", "c", "-p", '{"spec": {"suspend": true}}')
    assert (await kubectl("get", "cronjob", "c", "--no-headers")).split()[7:9] != []
    assert "True" in await kubectl("get", "cronjob", "c")
    await kubectl("delete", "cronjob", "c", "--timeout=20s")


async def test_a_cron_job_makes_jobs_by_itself(kubectl: Kubectl) -> None:
    await kubectl("create", "cronjob", "tick", "--image=x", "--schedule=@every 2s")
    wanted = "--for=jsonpath={.status.lastScheduleTime}"
    await kubectl("wait", wanted, "cronjob/tick", "--timeout=30s")
    told = await kubectl("describe", "cronjob", "tick")
    assert "SuccessfulCreate" in told
    assert "Created job tick-" in told
