"""Namespace: pods go first, all else follows, and what holds things up is shown."""

from datetime import UTC, datetime

import pytest

from edgek.api.conditions import find_condition
from edgek.api.errors import InternalError
from edgek.api.meta import Key
from edgek.kinds import ALL, CONFIG_MAP, EVENT, NAMESPACE, POD, SECRET
from server.controllers import namespace
from server.controllers.namespace import Remains, deletion_conditions, deletion_order
from tests.support.loops import running
from tests.support.memory_api import MemoryApi, fail


@pytest.fixture
def api():
    api = MemoryApi()
    api.put(NAMESPACE, {"metadata": {"name": "doomed"}, "spec": {"finalizers": ["kubernetes"]}})
    for kind in (POD, CONFIG_MAP, SECRET, EVENT):
        for where in ("doomed", "other"):
            api.put(kind, {"metadata": {"name": "x", "namespace": where}})
    return api


async def delete(api):
    await api.client.delete(NAMESPACE, Key("", "doomed"))


def condition(api, kind):
    found = api.one(NAMESPACE, "", "doomed")["status"]["conditions"]
    return {k: find_condition(found, kind)[k] for k in ("status", "reason", "message")}


@pytest.mark.looptime
async def test_all_content_goes_and_then_the_namespace(api):
    await delete(api)
    async with running(api, namespace.build):
        assert api.all(NAMESPACE) == []
        left = [o["metadata"]["namespace"] for k in (POD, CONFIG_MAP, EVENT) for o in api.all(k)]
        assert left == ["other"] * 3
        deleted = [c.path.rpartition("/")[2] for c in api.calls if c.method == "DELETE"]
        assert deleted[:2] == ["doomed", "pods"]


@pytest.mark.looptime
async def test_a_pod_that_lingers_keeps_all_else_and_is_shown(api):
    lingering = {"metadata": {"name": "slow", "namespace": "doomed", "finalizers": ["a/b"]}}
    api.put(POD, lingering)
    await delete(api)
    async with running(api, namespace.build) as loops:
        assert len(api.all(SECRET, "doomed")) == 1
        assert condition(api, "NamespaceContentRemaining") == {
            "status": "True",
            "reason": "SomeResourcesRemain",
            "message": "Some resources are remaining: pods. has 1 resource instances",
        }
        assert condition(api, "NamespaceFinalizersRemaining")["message"] == (
            "Some content in the namespace has finalizers remaining: a/b in 1 resource instances"
        )
        api.calls.clear()
        await loops.settle(3600)
        assert api.calls == []  # it waits without asking
        api.remove(POD, "doomed", "slow")
        await loops.settle()
        assert api.all(NAMESPACE) == []


@pytest.mark.looptime
async def test_a_failing_deletion_is_shown_and_tried_again(api):
    await delete(api)
    failing = fail("DELETE", "configmaps", InternalError("disk full"), times=12)
    api.before.append(failing)
    async with running(api, namespace.build) as loops:
        assert condition(api, "NamespaceDeletionContentFailure")["message"] == (
            "Failed to delete all resource types, 1 remaining: configmaps: disk full"
        )
        await loops.settle(60)
        assert api.all(NAMESPACE) == []


@pytest.mark.looptime
async def test_a_namespace_in_use_is_left_alone(api):
    async with running(api, namespace.build) as loops:
        await loops.settle()
        assert api.writes == []


def test_pods_come_first_and_cluster_scoped_kinds_not_at_all():
    order = deletion_order(ALL)
    assert order[0] == POD
    assert all(kind.namespaced for kind in order)


def test_a_condition_keeps_its_time_while_it_says_the_same():
    now, later = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    first = deletion_conditions([], Remains(failures=["x"]), now)
    assert deletion_conditions(first, Remains(failures=["x"]), later) == first
    changed = deletion_conditions(first, Remains(), later)
    times = [c["lastTransitionTime"] for c in changed]
    assert times.count("2026-01-02T00:00:00Z") == 1
