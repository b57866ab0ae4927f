"""What a pod counts for, also while it is being resized."""

from typing import Any

import pytest

from edgek.api.meta import Obj
from server.scheduler.demands import demands
from server.scheduler.pod_info import pod_info
from tests.support.cluster import node, pod
from tests.support.placing import Cluster


def with_status(obj: Obj, *, allocated: str, has: str, **status: Any) -> Obj:
    one = {
        "name": "main",
        "allocatedResources": {"cpu": allocated},
        "resources": {"requests": {"cpu": has}},
    }
    return {**obj, "status": {**obj["status"], "containerStatuses": [one], **status}}


@pytest.mark.parametrize(
    ("spec", "allocated", "has", "counts"),
    [("1", "1", "1", 1000), ("3", "1", "1", 3000), ("1", "3", "2", 3000), ("1", "1", "2", 2000)],
)
def test_a_resize_counts_for_the_most_of_wish_and_reality(
    spec: str, allocated: str, has: str, counts: int
) -> None:
    obj = with_status(pod("web", cpu=spec), allocated=allocated, has=has)
    assert demands(obj)[0] == {"cpu": counts}


def test_a_resize_that_can_never_be_does_not_count() -> None:
    condition = {"type": "PodResizePending", "status": "True", "reason": "Infeasible"}
    obj = with_status(pod("web", cpu="9"), allocated="1", has="1", conditions=[condition])
    assert demands(obj)[0] == {"cpu": 1000}


def test_room_is_given_back_when_the_container_has_shrunk_and_not_before() -> None:
    cluster = Cluster(node("a", cpu="4"))
    big = with_status(pod("web", cpu="4", nodeName="a"), allocated="4", has="4")
    cluster.snapshot.set_pod(big)
    wish = with_status(pod("web", cpu="1", nodeName="a"), allocated="4", has="4")
    assert not cluster.snapshot.set_pod(wish)
    assert "1 Insufficient cpu" in cluster.why(pod("next", cpu="3"))
    done = with_status(pod("web", cpu="1", nodeName="a"), allocated="1", has="1")
    assert cluster.snapshot.set_pod(done)
    assert cluster.place(pod("next", cpu="3")) == "a"


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        pytest.param({"overhead": {"memory": "1Mi"}}, {"cpu": 100, "memory": 2**20}, id="overhead"),
        pytest.param(
            {"resources": {"requests": {"cpu": "2"}}}, {"cpu": 2000}, id="of the pod as a whole"
        ),
        pytest.param(
            {"overhead": {"hugepages-2Mi": "4Mi", "ephemeral-storage": "1Ki"}},
            {"cpu": 100, "hugepages-2Mi": 4 * 2**20, "ephemeral-storage": 1024},
            id="huge pages and disk",
        ),
    ],
)
def test_all_resources_count(spec: dict[str, Any], wanted: dict[str, int]) -> None:
    assert pod_info(pod("web", cpu="100m", **spec)).requests == wanted


@pytest.mark.parametrize("field", ["initContainers", "resources"])
def test_sidecars_and_whole_pods_are_resized_too(field: str) -> None:
    def spec(cpu: str) -> dict[str, Any]:
        asks = {"requests": {"cpu": cpu}}
        sidecar = {"name": "side", "restartPolicy": "Always", "resources": asks}
        return {"nodeName": "a", field: asks if field == "resources" else [sidecar]}

    cluster = Cluster(node("a", cpu="4"))
    cluster.snapshot.set_pod(pod("web", **spec("3")))
    assert "1 Insufficient cpu" in cluster.why(pod("next", cpu="2"))
    assert cluster.snapshot.set_pod(pod("web", **spec("1")))
    assert cluster.place(pod("next", cpu="2")) == "a"
