"""Evictions: what a disruption budget allows, and that it is never spent twice."""

import asyncio
from typing import Any

import orjson
import pytest

from edgek.api.errors import (
    BadRequest,
    Conflict,
    InternalError,
    NotFound,
    TooManyRequests,
)
from edgek.api.meta import Key, Obj, deep_copy
from edgek.client.client import Client
from edgek.kinds import POD, POD_DISRUPTION_BUDGET
from server.admission.chain import Attributes
from server.endpoints.subresources.eviction_plan import plan_eviction
from server.request.model import Request
from tests.support.api import ADMIN, admin, open_api

READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
UNREADY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}
BUDGET = Key("default", "web")
VIOLATED = "Cannot evict pod as it would violate the pod's disruption budget."


async def pod(client: Client, name: str = "web", status: Obj | None = None) -> Obj:
    made = deep_copy(dict(POD.example))
    made["metadata"]["name"] = name
    made["spec"]["nodeName"] = "n1"
    created = deep_copy(await client.create(POD, made))
    created["status"] |= READY if status is None else status
    return await client.update_status(POD, created)


async def budget(client: Client, name: str = "web", *, status: Obj, **spec: Any) -> Obj:
    made = deep_copy(dict(POD_DISRUPTION_BUDGET.example))
    made["metadata"]["name"] = name
    made["spec"] |= spec
    created = deep_copy(await client.create(POD_DISRUPTION_BUDGET, made))
    created["status"] = {
        "observedGeneration": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2,
        "disruptionsAllowed": 1, **status,
    }  # fmt: skip
    return await client.update_status(POD_DISRUPTION_BUDGET, created)


async def evict(client: Client, name: str = "web", *, dry_run: bool = False, **options: Any) -> Obj:
    eviction: Obj = {"metadata": {"name": name, "namespace": "default"}}
    if options:
        eviction["deleteOptions"] = options
    return await client.create(POD, eviction, name=name, subresource="eviction", dry_run=dry_run)


async def state(client: Client, name: str = "web") -> Obj:
    return await client.get(POD, Key("default", name))


async def left(client: Client) -> Obj:
    status: Obj = (await client.get(POD_DISRUPTION_BUDGET, BUDGET))["status"]
    return status


async def test_a_pod_that_no_budget_guards_goes_and_says_why(client: Client) -> None:
    await pod(client)
    answer = await evict(client)
    assert (answer["status"], answer["code"]) == ("Success", 201)
    gone = await state(client)
    assert gone["metadata"]["deletionTimestamp"]
    reason = next(c for c in gone["status"]["conditions"] if c["type"] == "DisruptionTarget")
    assert (reason["reason"], reason["message"]) == (
        "EvictionByEvictionAPI", "Eviction API: evicting",
    )  # fmt: skip


async def test_a_budget_pays_for_an_eviction(client: Client) -> None:
    await pod(client)
    await budget(client, status={"disruptionsAllowed": 1})
    await evict(client)
    status = await left(client)
    assert status["disruptionsAllowed"] == 0
    assert set(status["disruptedPods"]) == {"web"}
    allowed = next(c for c in status["conditions"] if c["type"] == "DisruptionAllowed")
    assert (allowed["status"], allowed["reason"]) == ("False", "InsufficientPods")


async def test_an_exhausted_budget_refuses_in_upstreams_words(client: Client) -> None:
    await pod(client)
    await budget(client, status={"disruptionsAllowed": 0, "currentHealthy": 1})
    with pytest.raises(TooManyRequests) as caught:
        await evict(client)
    assert caught.value.message == VIOLATED
    assert caught.value.details == {
        "causes": [
            {
                "reason": "DisruptionBudget",
                "message": "The disruption budget web needs 1 healthy pods and has 1 currently",
            }
        ]
    }
    assert "deletionTimestamp" not in (await state(client))["metadata"]


async def test_a_budget_whose_status_is_old_is_asked_again_later(client: Client) -> None:
    await pod(client)
    await budget(client, status={"observedGeneration": 0})
    with pytest.raises(TooManyRequests) as caught:
        await evict(client)
    assert caught.value.retry_after == 10
    cause = "The disruption budget web is still being processed by the server."
    assert caught.value.details["causes"][0]["message"] == cause


async def test_two_evictions_never_spend_one_disruption(client: Client) -> None:
    await pod(client, "a")
    await pod(client, "b")
    await budget(client, status={"disruptionsAllowed": 1})
    results = await asyncio.gather(evict(client, "a"), evict(client, "b"), return_exceptions=True)
    assert sorted(isinstance(r, TooManyRequests) for r in results) == [False, True]
    assert len((await left(client))["disruptedPods"]) == 1


async def test_two_budgets_of_one_pod_are_no_budget(client: Client) -> None:
    await pod(client)
    await budget(client, status={})
    await budget(client, "other", status={})
    with pytest.raises(InternalError, match="more than one PodDisruptionBudget"):
        await evict(client)


@pytest.mark.parametrize(
    "status", [{"phase": "Pending"}, {"phase": "Succeeded"}, {"phase": "Failed"}], ids=str
)
async def test_what_serves_nobody_goes_whatever_the_budget(client: Client, status: Obj) -> None:
    await pod(client, status=status)
    await budget(client, status={"disruptionsAllowed": 0})
    await evict(client)
    assert (await left(client)).get("disruptedPods") is None


@pytest.mark.parametrize(
    ("policy", "healthy", "goes"),
    [
        ("AlwaysAllow", 0, True),
        ("IfHealthyBudget", 1, True),
        ("IfHealthyBudget", 0, False),
        (None, 1, True),
        (None, 0, False),
    ],
)
async def test_unhealthy_pods_go_as_their_budget_says(
    client: Client, policy: str | None, healthy: int, goes: bool
) -> None:
    await pod(client, status=UNREADY)
    status = {"disruptionsAllowed": 0, "currentHealthy": healthy}
    await budget(client, status=status, unhealthyPodEvictionPolicy=policy)
    if goes:
        await evict(client)
        assert (await left(client))["disruptionsAllowed"] == 0
    else:
        with pytest.raises(TooManyRequests):
            await evict(client)


async def test_a_dry_run_changes_nothing(client: Client) -> None:
    before = await pod(client)
    await budget(client, status={})
    await evict(client, dry_run=True)
    await evict(client, dryRun=["All"])
    assert await state(client) == before
    assert (await left(client))["disruptionsAllowed"] == 1


@pytest.mark.parametrize("phase", ["Running", "Pending"])
async def test_preconditions_hold(client: Client, phase: str) -> None:
    made = await pod(client, status={**READY, "phase": phase})
    version = made["metadata"]["resourceVersion"]
    for wrong in ({"uid": "other"}, {"resourceVersion": "1"}):
        with pytest.raises(Conflict, match="in the precondition"):
            await evict(client, preconditions=wrong)
    await evict(client, preconditions={"resourceVersion": version})
    assert (await state(client))["metadata"]["deletionTimestamp"]


async def test_grace_of_the_eviction_is_the_deletions(client: Client) -> None:
    await pod(client)
    await evict(client, gracePeriodSeconds=7)
    assert (await state(client))["metadata"]["deletionGracePeriodSeconds"] == 7


@pytest.mark.parametrize(
    ("version", "code"),
    [("policy/v1beta1", 201), ("policy/v1", 201), ("v1", 400), (["policy/v1"], 400)],
    ids=str,
)
async def test_old_clients_evict_too(version: object, code: int) -> None:
    body = {"apiVersion": version, "kind": "Eviction", "metadata": {"name": "web"}}
    async with open_api(user=ADMIN) as api:
        await pod(admin(api))
        path = POD.path("default", "web", "eviction")
        request = Request(method="POST", path=path, raw_body=orjson.dumps(body))
        assert (await api.handle(request)).status == code


class Recorder:
    """Admission that lets everything pass and knows what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []

    async def admit(self, attributes: Attributes) -> None:
        asked = (attributes.operation, attributes.kind.plural, attributes.subresource)
        self.asked.append(asked)

    async def validate(self, attributes: Attributes) -> None:
        pass


async def test_admission_is_asked_about_the_eviction_alone() -> None:
    recorder = Recorder()
    async with open_api(plugins=[recorder]) as api:
        await pod(admin(api))
        await budget(admin(api), status={})
        recorder.asked.clear()
        await evict(admin(api))
    assert recorder.asked == [("CREATE", "pods", "eviction")]


async def test_an_eviction_names_its_pod(client: Client) -> None:
    await pod(client)
    body = {"metadata": {"name": "other", "namespace": "default"}}
    with pytest.raises(BadRequest, match="name in URL does not match name in Eviction object"):
        await client.create(POD, body, name="web", subresource="eviction")
    with pytest.raises(NotFound):
        await evict(client, "nobody")


def test_an_empty_selector_guards_every_pod_and_none_guards_none() -> None:
    running = {"metadata": {"name": "web", "labels": {"app": "web"}}, "status": READY}
    guard: Obj = {"metadata": {"name": "web", "namespace": "default"}, "spec": {"selector": {}}}
    assert plan_eviction(running, [guard]).budget == BUDGET
    assert plan_eviction(running, [guard | {"spec": {}}]).budget is None
