"""PodDisruptionBudget: how many pods may go, and what becomes of those that did not."""

from datetime import UTC, datetime

import pytest

from edgek.api.errors import ServiceUnavailable
from edgek.kinds import (
    DEPLOYMENT,
    POD,
    POD_DISRUPTION_BUDGET,
    REPLICA_SET,
    REPLICATION_CONTROLLER,
    STATEFUL_SET,
)
from server.controllers import disruption, stale_disruption
from server.controllers.disruption import unmanaged_text
from server.controllers.disruption_plan import (
    Disrupted,
    Expected,
    budget_status,
    disrupted_pods,
    expected_pods,
)
from tests.support.loops import running
from tests.support.memory_api import MemoryApi, fail

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def budget(**spec):
    selector = {"matchLabels": {"app": "web"}}
    return {
        "metadata": {"name": "web", "namespace": "ns", "generation": 1},
        "spec": {"selector": selector, **spec},
    }


def pod(name, *, ready=True, owner=None, deleting=False):
    meta = {"name": name, "namespace": "ns", "labels": {"app": "web"}}
    if owner:
        meta["ownerReferences"] = [{**owner, "controller": True}]
    if deleting:
        meta |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"]}
    condition = {"type": "Ready", "status": str(ready)}
    return {"metadata": meta, "spec": {}, "status": {"phase": "Running", "conditions": [condition]}}


def ref(kind, name, uid):
    return {"apiVersion": kind.api_version, "kind": kind.kind, "name": name, "uid": uid}


def allowed(spec, pods, scales):
    wanted = expected_pods(budget(**spec), pods, scales)
    status = budget_status(budget(**spec), pods, wanted, Disrupted(), NOW)
    fields = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
    return tuple(status[f] for f in fields)


READY3 = [pod(f"p{n}") for n in range(3)]


@pytest.mark.parametrize(
    ("spec", "pods", "scale", "expected"),
    [
        ({"minAvailable": 2}, READY3, None, (1, 3, 2, 3)),
        ({"minAvailable": 2}, [*READY3[:2], pod("p", ready=False)], None, (0, 2, 2, 3)),
        ({"minAvailable": 2}, [*READY3[:2], pod("p", deleting=True)], None, (0, 2, 2, 3)),
        ({"minAvailable": 5}, READY3, None, (0, 3, 5, 3)),
        ({"minAvailable": 0}, [], None, (0, 0, 0, 0)),
        ({"minAvailable": "50%"}, READY3, 3, (1, 3, 2, 3)),
        ({"minAvailable": "50%"}, READY3, 5, (0, 3, 3, 5)),
        ({"maxUnavailable": 1}, READY3, 3, (1, 3, 2, 3)),
        ({"maxUnavailable": 7}, READY3, 3, (3, 3, 0, 3)),
        ({"maxUnavailable": "30%"}, READY3, 3, (1, 3, 2, 3)),
        ({"maxUnavailable": 0}, READY3, 3, (0, 3, 3, 3)),
        ({}, READY3, None, (0, 3, 0, 0)),
    ],
)
def test_what_may_go_is_what_is_healthy_beyond_what_is_wanted(spec, pods, scale, expected):
    scales = {"u": scale} if scale else {}
    assert allowed(spec, pods, scales) == expected
    assert allowed(spec, pods, scales) == expected


def test_the_condition_says_whether_any_may_go():
    for healthy, status, reason in (
        (0, "True", "SufficientPods"),
        (3, "False", "InsufficientPods"),
    ):
        found = budget_status(budget(), READY3, Expected(pods=3, healthy=healthy), Disrupted(), NOW)
        assert found["conditions"] == [
            {
                "type": "DisruptionAllowed", "status": status, "reason": reason, "message": "",
                "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
        ]  # fmt: skip


def test_evictions_are_remembered_until_they_happened_or_took_too_long():
    noted = {
        "p0": "2025-12-31T23:59:00Z",
        "p1": "2025-12-31T23:57:00Z",
        "gone": "2025-12-31T23:59:00Z",
    }
    known = budget() | {"status": {"disruptedPods": noted}}
    found = disrupted_pods(known, READY3, NOW)
    assert found.pods == {"p0": noted["p0"]}
    assert [p["metadata"]["name"] for p in found.kept] == ["p1"]
    assert found.again is not None
    assert found.again.total_seconds() == 60


def test_the_selector_is_printed_as_upstream_does():
    expression = {"key": "a", "operator": "In", "values": ["b", "c"]}
    selector = {"matchLabels": {"app": "web"}, "matchExpressions": [expression]}
    assert (
        "(selector: &LabelSelector{MatchLabels:map[string]string{app: web,},MatchExpressions:"
        "[]LabelSelectorRequirement{LabelSelectorRequirement{Key:a,Operator:In,Values:[b c],},},})"
    ) in unmanaged_text(budget(selector=selector))


@pytest.fixture
def api():
    return MemoryApi()


def status(api):
    return api.one(POD_DISRUPTION_BUDGET, "ns", "web")["status"]


@pytest.mark.looptime
async def test_the_status_follows_pods_and_is_written_only_when_it_changes(api):
    api.put(POD_DISRUPTION_BUDGET, budget(minAvailable=1))
    async with running(api, disruption.build) as loops:
        assert status(api)["disruptionsAllowed"] == 0
        assert loops.events("NoPods") == ["NoPods: No matching pods found"]
        api.put(POD, pod("p0"))
        api.put(POD, pod("p1"))
        await loops.settle()
        assert status(api)["disruptionsAllowed"] == 1
        api.calls.clear()
        await loops.settle(3600)
        assert api.calls == []
        api.put(POD, pod("p1", ready=False))
        await loops.settle()
        assert status(api)["disruptionsAllowed"] == 0


@pytest.mark.looptime
@pytest.mark.parametrize("kind", [REPLICATION_CONTROLLER, REPLICA_SET, STATEFUL_SET])
async def test_the_controllers_scale_counts_not_the_pods_there_are(api, kind):
    meta = {"name": "c", "namespace": "ns", "uid": "u"}
    api.put(kind, {"metadata": meta, "spec": {"replicas": 4}})
    api.put(POD, pod("p0", owner=ref(kind, "c", "u")))
    api.put(POD_DISRUPTION_BUDGET, budget(maxUnavailable=1))
    async with running(api, disruption.build):
        assert (status(api)["expectedPods"], status(api)["desiredHealthy"]) == (4, 3)


@pytest.mark.looptime
async def test_pods_of_all_replica_sets_of_a_deployment_count_once(api):
    meta = {"name": "d", "namespace": "ns", "uid": "d"}
    api.put(DEPLOYMENT, {"metadata": meta, "spec": {"replicas": 3}})
    for name in ("old", "new"):
        refs = [{**ref(DEPLOYMENT, "d", "d"), "controller": True}]
        meta = {"name": name, "namespace": "ns", "uid": name, "ownerReferences": refs}
        api.put(REPLICA_SET, {"metadata": meta, "spec": {"replicas": 2}})
        api.put(POD, pod(name, owner=ref(REPLICA_SET, name, name)))
    api.put(POD_DISRUPTION_BUDGET, budget(minAvailable="100%"))
    async with running(api, disruption.build):
        assert status(api)["expectedPods"] == 3


@pytest.mark.looptime
async def test_pods_without_a_controller_are_told_of_and_left_out(api):
    api.put(POD, pod("p0"))
    api.put(POD_DISRUPTION_BUDGET, budget(maxUnavailable=1))
    async with running(api, disruption.build) as loops:
        assert status(api)["expectedPods"] == 0
        assert len(loops.events("UnmanagedPods")) == 1


@pytest.mark.looptime
async def test_what_can_not_be_reckoned_lets_nothing_go(api):
    api.put(POD, pod("p0", owner=ref(REPLICA_SET, "gone", "u")))
    failing = budget(maxUnavailable=1) | {"status": {"disruptionsAllowed": 5}}
    api.put(POD_DISRUPTION_BUDGET, failing)
    async with running(api, disruption.build) as loops:
        [condition] = status(api)["conditions"]
        assert status(api)["disruptionsAllowed"] == 0
        assert (condition["reason"], condition["message"]) == (
            "SyncFailed",
            'found no controllers for pod "p0"',
        )
        assert loops.events("CalculateExpectedPodCountFailed") == [
            "CalculateExpectedPodCountFailed: Failed to calculate the number of expected pods: "
            'found no controllers for pod "p0"'
        ]
        api.calls.clear()
        await loops.settle(3600)
        assert api.writes == []


@pytest.mark.looptime
async def test_a_pod_of_two_budgets_is_told_of(api):
    api.put(POD, pod("p0"))
    other = budget(minAvailable=0)
    other["metadata"] = {"name": "also", "namespace": "ns"}
    api.put(POD_DISRUPTION_BUDGET, other)
    api.put(POD_DISRUPTION_BUDGET, budget(minAvailable=0))
    async with running(api, disruption.build) as loops:
        assert loops.events("MultiplePodDisruptionBudgets") == [
            'MultiplePodDisruptionBudgets: Pod "ns"/"p0" matches multiple PodDisruptionBudgets.  '
            'Chose "also" arbitrarily.'
        ]


@pytest.mark.looptime
async def test_an_eviction_that_did_not_happen_is_given_back_after_two_minutes(api):
    noted = budget(minAvailable=1)
    async with running(api, disruption.build) as loops:
        now = loops.context.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        api.put(POD, pod("p0"))
        api.put(POD, pod("p1"))
        api.put(POD_DISRUPTION_BUDGET, noted | {"status": {"disruptedPods": {"p0": now}}})
        await loops.settle()
        assert (status(api)["currentHealthy"], status(api)["disruptionsAllowed"]) == (1, 0)
        await loops.settle(120)
        assert (status(api)["currentHealthy"], status(api)["disruptionsAllowed"]) == (2, 1)
        assert "disruptedPods" not in status(api)
        assert loops.events("NotDeleted") == [
            "NotDeleted: Pod was expected by PDB ns/web to be deleted but it wasn't"
        ]


@pytest.mark.looptime
async def test_a_failing_write_is_tried_again(api):
    api.before.append(fail("PUT", "poddisruptionbudgets", ServiceUnavailable("no"), times=3))
    api.put(POD, pod("p0"))
    api.put(POD_DISRUPTION_BUDGET, budget(minAvailable=0))
    async with running(api, disruption.build):
        assert status(api)["disruptionsAllowed"] == 1


def targeted(name, since, **more):
    found = pod(name)
    condition = {"type": "DisruptionTarget", "status": "True", "lastTransitionTime": since, **more}
    found["status"]["conditions"].append(condition)
    return found


@pytest.mark.looptime
async def test_a_pod_that_was_to_be_disrupted_and_is_not_is_told(api):
    async with running(api, stale_disruption.build) as loops:
        now = loops.context.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        api.put(POD, targeted("evicted", now, reason="EvictionByEvictionAPI"))
        api.put(POD, targeted("by-its-node", now, reason="TerminationByKubelet"))
        await loops.settle(100)
        assert api.writes == []
        await loops.settle(30)
        by_name = {p["metadata"]["name"]: p["status"]["conditions"][1] for p in api.all(POD)}
        assert by_name["by-its-node"]["status"] == "True"
        told = by_name["evicted"]
        assert (told["status"], "reason" in told) == ("False", False)
