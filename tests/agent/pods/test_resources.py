"""From what a pod asks for to what the kernel is told."""

from fractions import Fraction
from typing import Any

import pytest

from agent.pods.resize import desired, refusal, with_allocation
from agent.pods.resources import class_shares, container_resources, pod_resources
from edgek.api.meta import Obj
from tests.support.pods import make_pod

GI = 2**30


def asking(name: str = "main", *, limited: bool = False, **amounts: str) -> Obj:
    requests = {k: v for k, v in amounts.items() if v}
    limits = dict(requests) if limited else {}
    return {"name": name, "image": "x", "resources": {"requests": requests, "limits": limits}}


def oom(pod: Obj, container: Obj) -> int:
    return container_resources(pod, container, node_memory=Fraction(4 * GI)).oom_score_adj


@pytest.mark.parametrize(
    ("cpu", "shares", "quota"),
    [("", 2, 0), ("1m", 2, 1000), ("250m", 256, 25_000), ("2", 2048, 200_000)],
)
def test_cpu_becomes_a_weight_and_a_quota(cpu: str, shares: int, quota: int) -> None:
    container = asking(cpu=cpu, limited=True)
    got = container_resources(make_pod(), container, node_memory=Fraction(GI))
    assert (got.cpu_shares, got.cpu_quota_us) == (shares, quota)


def test_a_pod_has_a_limit_only_where_all_its_containers_have_one() -> None:
    limited, free = asking("a", memory="1Gi"), asking("b")
    limited["resources"]["limits"] = {"memory": "1Gi"}
    assert pod_resources(make_pod(containers=[limited])).memory_limit_bytes == GI
    assert pod_resources(make_pod(containers=[limited, free])).memory_limit_bytes == 0
    init = make_pod(containers=[limited], initContainers=[free])
    assert pod_resources(init).memory_limit_bytes == 0


def test_the_pods_own_limit_holds_for_it_and_for_containers_without_one() -> None:
    own: dict[str, Any] = {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi", "cpu": "1"}}
    less = asking("a")
    less["resources"]["limits"] = {"memory": "1Gi"}
    pod = make_pod(containers=[less, asking("b")], resources=own)
    assert pod_resources(pod).memory_limit_bytes == 2 * GI
    limits = [
        container_resources(pod, c, node_memory=Fraction(GI)).memory_limit_bytes
        for c in pod["spec"]["containers"]
    ]
    assert limits == [GI, 2 * GI]


def test_the_more_memory_is_asked_for_the_later_it_is_killed() -> None:
    small, large = asking("a", memory="1Gi"), asking("b", memory="2Gi")
    pod = make_pod(containers=[small, large])
    assert (oom(pod, small), oom(pod, large)) == (750, 500)
    assert oom(make_pod(), make_pod()["spec"]["containers"][0]) == 1000
    sure = asking("c", cpu="1", memory="1Gi", limited=True)
    assert oom(make_pod(containers=[sure]), sure) == -997
    side = asking("s") | {"restartPolicy": "Always"}
    served = make_pod(containers=[small, large], initContainers=[side])
    assert oom(served, side) == 500
    whole = make_pod(containers=[asking("a"), asking("b")],
                     resources={"requests": {"memory": "2Gi"}})  # fmt: skip
    assert oom(whole, whole["spec"]["containers"][0]) == 750


def test_best_effort_pods_get_what_the_others_leave() -> None:
    burstable = [make_pod(containers=[asking(cpu="500m")]) for _ in range(3)]
    sure = make_pod(containers=[asking(cpu="1", memory="1Gi", limited=True)])
    assert class_shares([*burstable, sure, make_pod()]) == {
        "BestEffort": 2, "Burstable": 1536, "Guaranteed": 1024,
    }  # fmt: skip


def test_a_resize_is_held_against_what_others_have_been_given() -> None:
    node = {"cpu": "4", "memory": "8Gi"}
    wanted = make_pod(containers=[asking(cpu="3")])
    other = make_pod("other", containers=[asking(cpu="2")])
    assert refusal(wanted, [], node) is None
    refused = refusal(wanted, [other], node)
    assert refused is not None
    assert refused.reason == "Deferred"
    given = with_allocation(other, desired(make_pod(containers=[asking(cpu="1")])))
    assert refusal(wanted, [given], node) is None


def test_huge_pages_are_given_by_their_size() -> None:
    container = asking(limited=True, **{"hugepages-2Mi": "4Mi", "hugepages-1Gi": "1Gi"})
    got = container_resources(make_pod(), container, node_memory=Fraction(GI))
    assert got.huge_pages == {2 << 20: 4 << 20, GI: GI}
