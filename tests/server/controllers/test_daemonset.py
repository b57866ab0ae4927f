"""DaemonSet: pods follow nodes and templates, and each template stays in history."""

import pytest

from edgek.kinds import CONTROLLER_REVISION, DAEMON_SET, NODE, POD
from server.controllers import daemonset
from server.controllers.daemonset_nodes import target_node
from tests.support.loops import ReadyPods, running
from tests.support.memory_api import MemoryApi


@pytest.fixture
def api():
    api = MemoryApi()
    for name in ("n1", "n2", "n3"):
        api.put(NODE, {"metadata": {"name": name, "labels": {"disk": "ssd"}}, "spec": {}})
    return api


def daemon_set(image="v1", **spec):
    labels = {"app": "d"}
    pod_spec = {"containers": [{"image": image}], "nodeSelector": {"disk": "ssd"}}
    template = {"metadata": {"labels": labels}, "spec": pod_spec}
    return {
        "metadata": {"name": "d", "namespace": "ns", "generation": 1},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def set_image(api, image):
    old = api.one(DAEMON_SET, "ns", "d")
    meta = {**old["metadata"], "generation": old["metadata"]["generation"] + 1}
    template = daemon_set(image)["spec"]["template"]
    api.put(DAEMON_SET, {**old, "metadata": meta, "spec": {**old["spec"], "template": template}})


def images(api):
    return {target_node(p): p["spec"]["containers"][0]["image"] for p in api.all(POD)}


def revisions(api):
    return sorted(r["revision"] for r in api.all(CONTROLLER_REVISION))


ALL = (daemonset.build, ReadyPods)


@pytest.mark.looptime
async def test_every_fitting_node_has_a_pod_and_keeps_it(api):
    api.put(DAEMON_SET, daemon_set())
    async with running(api, *ALL) as loops:
        assert images(api) == {"n1": "v1", "n2": "v1", "n3": "v1"}
        api.put(NODE, {"metadata": {"name": "n4", "labels": {"disk": "ssd"}}, "spec": {}})
        api.put(NODE, {"metadata": {"name": "n1", "labels": {"disk": "hdd"}}, "spec": {}})
        api.remove(POD, "ns", api.all(POD)[-1]["metadata"]["name"])
        await loops.settle()
        assert set(images(api)) == {"n2", "n3", "n4"}
        status = api.one(DAEMON_SET, "ns", "d")["status"]
        assert (status["desiredNumberScheduled"], status["numberAvailable"]) == (3, 3)


@pytest.mark.looptime
async def test_idle_nodes_and_their_heartbeats_cost_nothing(api):
    api.put(DAEMON_SET, daemon_set())
    async with running(api, *ALL) as loops:
        api.calls.clear()
        api.put(NODE, {**api.one(NODE, "", "n1"), "status": {"conditions": [{"type": "Ready"}]}})
        await loops.settle(3600)
        assert api.calls == []


@pytest.mark.looptime
async def test_a_new_template_goes_out_node_by_node_and_an_undo_reuses_its_revision(api):
    api.put(DAEMON_SET, daemon_set())
    async with running(api, *ALL) as loops:
        least = []
        api.before.append(lambda call: least.append(len(api.all(POD))))
        set_image(api, "v2")
        await loops.settle(30)
        assert set(images(api).values()) == {"v2"}
        assert min(least) == 2
        assert revisions(api) == [1, 2]
        set_image(api, "v1")
        await loops.settle(30)
        assert set(images(api).values()) == {"v1"}
        assert revisions(api) == [2, 3]


@pytest.mark.looptime
async def test_on_delete_replaces_only_what_users_delete(api):
    api.put(DAEMON_SET, daemon_set(updateStrategy={"type": "OnDelete"}))
    async with running(api, *ALL) as loops:
        set_image(api, "v2")
        await loops.settle()
        assert set(images(api).values()) == {"v1"}
        api.remove(POD, "ns", api.all(POD)[0]["metadata"]["name"])
        await loops.settle()
        assert sorted(images(api).values()) == ["v1", "v1", "v2"]
        assert api.one(DAEMON_SET, "ns", "d")["status"]["updatedNumberScheduled"] == 1


@pytest.mark.looptime
async def test_history_beyond_the_limit_is_removed(api):
    api.put(DAEMON_SET, daemon_set(revisionHistoryLimit=1))
    async with running(api, *ALL) as loops:
        for image in ("v2", "v3", "v4"):
            set_image(api, image)
            await loops.settle(30)
        assert revisions(api) == [3, 4]


@pytest.mark.looptime
async def test_failed_pods_are_replaced_with_growing_pauses(api):
    api.put(DAEMON_SET, daemon_set())
    async with running(api, *ALL) as loops:
        for _ in range(30):
            for pod in api.all(POD):
                if target_node(pod) == "n1" and pod["status"]["phase"] != "Failed":
                    api.put(POD, {**pod, "status": {**pod["status"], "phase": "Failed"}})
            await loops.settle(1)
        deleted = [c for c in api.calls if c.method == "DELETE"]
        assert 3 <= len(deleted) <= 6
        assert loops.events("FailedDaemonPod")
