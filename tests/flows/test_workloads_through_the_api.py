"""The workload kinds through the real API: owners, versions, scales and selectors agree."""

from typing import Any

import pytest

from edgek.api.errors import Invalid, NotFound
from edgek.api.meta import Key, Obj, deep_copy, key_of
from edgek.client.client import Client
from edgek.kinds import (
    ALL,
    CRON_JOB,
    HORIZONTAL_POD_AUTOSCALER,
    HORIZONTAL_POD_AUTOSCALER_V1,
    JOB,
    POD_TEMPLATE,
    REPLICATION_CONTROLLER,
    STATEFUL_SET,
)
from edgek.kinds.kind import Kind
from server.endpoints.discovery import versions_of
from server.request.model import Request
from tests.support.api import ADMIN, admin, open_api
from tests.support.raw import TABLE, Watching, get

CURRENT = [{"type": "Resource", "resource": {"name": "cpu", "current": {
    "averageValue": "5m", "averageUtilization": 33}}}]  # fmt: skip


async def made(client: Client, kind: Kind, **spec: Any) -> Obj:
    obj = deep_copy(dict(kind.example))
    if spec:
        obj["spec"] |= spec
    return await client.create(kind, obj)


async def test_a_jobs_selector_is_its_own_uid(client: Client) -> None:
    job = await made(client, JOB)
    uid = job["metadata"]["uid"]
    wanted = {"batch.kubernetes.io/controller-uid": uid}
    assert job["spec"]["selector"] == {"matchLabels": wanted}
    assert job["spec"]["template"]["metadata"]["labels"].items() >= wanted.items()
    assert job["metadata"]["generation"] == 1


async def test_a_generated_name_is_in_the_labels(client: Client) -> None:
    obj = deep_copy(dict(JOB.example))
    obj["metadata"] = {"generateName": "pi-", "namespace": "default"}
    job = await client.create(JOB, obj)
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert labels["batch.kubernetes.io/job-name"] == job["metadata"]["name"] != "pi-"


async def test_a_job_suspends_and_goes_on(client: Client) -> None:
    job = deep_copy(await made(client, JOB))
    job["spec"]["suspend"] = True
    job = deep_copy(await client.update(JOB, job))
    assert job["metadata"]["generation"] == 2
    job["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "ssd"}
    job = deep_copy(await client.update(JOB, job))
    job["spec"]["template"]["spec"]["containers"][0]["image"] = "other"
    with pytest.raises(Invalid, match="field is immutable"):
        await client.update(JOB, job)


async def test_jobs_are_selected_by_what_succeeded(client: Client) -> None:
    job = deep_copy(await made(client, JOB))
    assert len((await client.list(JOB, field_selector="status.successful=0")).items) == 1
    job["status"] = {"succeeded": 1, "startTime": "2026-01-01T00:00:00Z"}
    await client.update_status(JOB, job)
    assert len((await client.list(JOB, field_selector="status.successful=1")).items) == 1


async def test_jobs_and_replication_controllers_leave_their_pods_alone(client: Client) -> None:
    """Unless told otherwise, as upstream's oldest kinds do; kubectl always tells."""
    for kind in (JOB, REPLICATION_CONTROLLER):
        key = key_of(await made(client, kind))
        await client.delete(kind, key)
        assert (await client.get(kind, key))["metadata"]["finalizers"] == ["orphan"]
    for kind in (STATEFUL_SET, CRON_JOB):
        key = key_of(await made(client, kind))
        await client.delete(kind, key)
        with pytest.raises(NotFound):
            await client.get(kind, key)


@pytest.mark.parametrize("kind", [STATEFUL_SET, REPLICATION_CONTROLLER], ids=lambda k: k.plural)
async def test_scales(client: Client, kind: Kind) -> None:
    key = key_of(await made(client, kind))
    scale = deep_copy(await client.get(kind, key, subresource="scale"))
    assert (scale["apiVersion"], scale["kind"]) == ("autoscaling/v1", "Scale")
    app = kind.example["spec"]["template"]["metadata"]["labels"]["app"]
    assert scale["status"] == {"replicas": 0, "selector": f"app={app}"}
    scale["spec"]["replicas"] = 7
    await client.update(kind, scale, subresource="scale")
    obj = await client.get(kind, key)
    assert (obj["spec"]["replicas"], obj["metadata"]["generation"]) == (7, 2)


async def test_a_pod_templates_generation_counts_the_template(client: Client) -> None:
    obj = deep_copy(await made(client, POD_TEMPLATE))
    assert obj["metadata"]["generation"] == 1
    obj["template"]["metadata"]["labels"]["more"] = "yes"
    assert (await client.update(POD_TEMPLATE, obj))["metadata"]["generation"] == 2


async def test_a_long_name_is_no_cron_jobs(client: Client) -> None:
    obj = deep_copy(dict(CRON_JOB.example))
    obj["metadata"]["name"] = "x" * 53
    with pytest.raises(Invalid, match="must be no more than 52 characters"):
        await client.create(CRON_JOB, obj)


async def test_one_autoscaler_in_two_versions(client: Client) -> None:
    made_v1 = await made(client, HORIZONTAL_POD_AUTOSCALER_V1)
    key = key_of(made_v1)
    assert made_v1["apiVersion"] == "autoscaling/v1"
    newer = deep_copy(await client.get(HORIZONTAL_POD_AUTOSCALER, key))
    target = newer["spec"]["metrics"][0]["resource"]["target"]
    assert target == {"type": "Utilization", "averageUtilization": 60}
    newer["spec"]["behavior"] = {"scaleDown": {"selectPolicy": "Disabled"}}
    newer = deep_copy(await client.update(HORIZONTAL_POD_AUTOSCALER, newer))
    newer["status"] = {"currentReplicas": 1, "desiredReplicas": 1, "currentMetrics": CURRENT}
    newer = await client.update_status(HORIZONTAL_POD_AUTOSCALER, newer)
    older = deep_copy(await client.get(HORIZONTAL_POD_AUTOSCALER_V1, key))
    assert older["metadata"]["uid"] == newer["metadata"]["uid"]
    assert older["status"]["currentCPUUtilizationPercentage"] == 33
    assert "autoscaling.alpha.kubernetes.io/behavior" in older["metadata"]["annotations"]
    older["spec"]["maxReplicas"] = 9
    await client.update(HORIZONTAL_POD_AUTOSCALER_V1, older)
    after = await client.get(HORIZONTAL_POD_AUTOSCALER, key)
    assert after["spec"] == {**newer["spec"], "maxReplicas": 9}
    assert after["status"] == newer["status"]
    assert "annotations" not in after["metadata"]


async def test_a_version_is_listed_watched_and_printed_as_itself() -> None:
    path = HORIZONTAL_POD_AUTOSCALER_V1.path("default")
    async with open_api(user=ADMIN) as api:
        watching = await Watching.of(api, path)
        await made(admin(api), HORIZONTAL_POD_AUTOSCALER)
        event = await watching.next()
        listed = await get(api, path)
        table = await get(api, path, accept=TABLE)
    assert event["object"]["apiVersion"] == "autoscaling/v1"
    assert event["object"]["spec"]["targetCPUUtilizationPercentage"] == 60
    assert listed["items"][0]["spec"] == event["object"]["spec"]
    assert table["rows"][0]["cells"][:3] == ["web", "Deployment/web", "cpu: <unknown>/60%"]


async def test_a_patch_of_an_older_version_keeps_what_it_cannot_say(client: Client) -> None:
    pods = {"type": "Pods", "pods": {"metric": {"name": "q"},
            "target": {"type": "AverageValue", "averageValue": "3"}}}  # fmt: skip
    key = key_of(await made(client, HORIZONTAL_POD_AUTOSCALER, metrics=[pods]))
    patch = {"spec": {"targetCPUUtilizationPercentage": 50}}
    await client.patch(HORIZONTAL_POD_AUTOSCALER_V1, key, patch)
    metrics = (await client.get(HORIZONTAL_POD_AUTOSCALER, key))["spec"]["metrics"]
    assert [m["type"] for m in metrics] == ["Pods", "Resource"]


def test_the_preferred_autoscaler_is_v2() -> None:
    assert versions_of(ALL, "autoscaling") == ["v2", "v1"]


async def test_nobody_evicts_through_another_kind(client: Client) -> None:
    await made(client, STATEFUL_SET)
    body = {"metadata": {"name": "database", "namespace": "default"}}
    with pytest.raises(NotFound):
        await client.create(STATEFUL_SET, body, name="database", subresource="eviction")
    assert await client.get(STATEFUL_SET, Key("default", "database"))


async def test_warnings_reach_the_writer_once() -> None:
    body = deep_copy(dict(STATEFUL_SET.example))
    body["spec"]["template"]["spec"]["nodeSelector"] = {"beta.kubernetes.io/os": "linux"}
    async with open_api(user=ADMIN) as api:
        request = Request(method="POST", path=STATEFUL_SET.path("default"), body=body)
        assert (await api.handle(request)).status == 201
    (text,) = request.warnings
    assert "spec.template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14" in text
