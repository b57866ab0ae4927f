"""Who goes first, and what it is told; limits of local storage."""

from fractions import Fraction
from typing import Any

import pytest

from agent.kubelet_args import Amount, Threshold
from agent.pressure.limits import exceeded, has_limits, slack, walk_due
from agent.pressure.ranking import ContainerUsage, PodUsage, eviction_message, rank
from agent.pressure.signals import Observation
from edgek.api.meta import Obj

MIB = 1 << 20


def pod(name: str, *, priority: int = 0, volumes: Any = (), **requests: str) -> Obj:
    limits = {k.removeprefix("limit_"): v for k, v in requests.items() if k.startswith("limit_")}
    asked = {k: v for k, v in requests.items() if not k.startswith("limit_")}
    fix = {"storage": "ephemeral-storage"}
    resources = {
        "requests": {fix.get(k, k): v for k, v in asked.items()},
        "limits": {fix.get(k, k): v for k, v in limits.items()},
    }
    return {
        "metadata": {"name": name, "uid": name},
        "spec": {
            "priority": priority,
            "containers": [{"name": "c", "resources": resources}],
            "volumes": list(volumes),
        },
    }


def usage(memory: int) -> PodUsage:
    return PodUsage(memory=memory * MIB)


@pytest.mark.parametrize(
    ("pods", "used", "order"),
    [
        # above its request before within it, whatever the priority
        ([pod("in", memory="100Mi"), pod("above", priority=9, memory="10Mi")],
         {"in": usage(90), "above": usage(20)}, ["above", "in"]),
        # then the low priority
        ([pod("high", priority=9), pod("low")], {"high": usage(90), "low": usage(1)},
         ["low", "high"]),
        # then the one that is farthest above
        ([pod("near", memory="80Mi"), pod("far", memory="10Mi")],
         {"near": usage(100), "far": usage(50)}, ["far", "near"]),
        # one that nothing is known of before all
        ([pod("known"), pod("unknown", priority=9)], {"known": usage(90)}, ["unknown", "known"]),
    ],
)  # fmt: skip
def test_pods_are_ranked_for_memory(
    pods: list[Obj], used: dict[str, PodUsage], order: list[str]
) -> None:
    assert [p["metadata"]["name"] for p in rank(pods, used, resource="memory")] == order


def test_pods_are_ranked_for_disk_and_processes_by_what_they_use() -> None:
    pods = [pod("small"), pod("big", storage="1Mi"), pod("many")]
    used = {
        "small": PodUsage(disk=1 * MIB, inodes=3, pids=1),
        "big": PodUsage(disk=9 * MIB, inodes=2, pids=2),
        "many": PodUsage(disk=2 * MIB, inodes=900, pids=50),
    }

    def first(resource: str) -> str:
        return str(rank(pods, used, resource=resource)[0]["metadata"]["name"])

    assert [first(r) for r in ("ephemeral-storage", "inodes", "pids")] == ["big", "many", "many"]


def test_the_message_is_the_kubelets() -> None:
    threshold = Threshold(signal="memory.available", value=Amount(quantity=Fraction(100 * MIB)))
    seen = {"memory.available": Observation(available=40 * MIB, capacity=1000 * MIB)}
    used = PodUsage(memory=50 * MIB, containers={"c": ContainerUsage(memory=50 * MIB)})
    assert eviction_message(pod("p", memory="10Mi"), used, threshold, seen) == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 40Mi. "
        "Container c was using 50Mi, request is 10Mi, has larger consumption of memory. "
    )
    assert "Container" not in eviction_message(pod("p", memory="60Mi"), used, threshold, seen)


DIR = [{"name": "cache", "emptyDir": {"sizeLimit": "1024Ki"}}]
IN_MEMORY = [{"name": "m", "emptyDir": {"sizeLimit": "1Mi", "medium": "Memory"}}]


@pytest.mark.parametrize(
    ("owner", "used", "message"),
    [
        (pod("p", volumes=DIR), PodUsage(volumes={"cache": MIB}), ""),
        (pod("p", volumes=DIR), PodUsage(volumes={"cache": MIB + 1}),
         'Usage of EmptyDir volume "cache" exceeds the limit "1Mi". '),
        (pod("p", volumes=IN_MEMORY), PodUsage(volumes={"m": 2 * MIB}), ""),
        (pod("p", limit_storage="2Mi"), PodUsage(disk=3 * MIB),
         "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. "),
        (pod("p", limit_storage="2Mi"),
         PodUsage(containers={"c": ContainerUsage(logs=MIB, root=2 * MIB)}),
         'Container c exceeded its local ephemeral storage limit "2Mi". '),
        (pod("p"), PodUsage(disk=1 << 40), ""),
    ],
)  # fmt: skip
def test_a_pod_above_its_own_limits_is_told_which(owner: Obj, used: PodUsage, message: str) -> None:
    assert exceeded(owner, used, dedicated_image_fs=False) == message


def test_only_pods_with_limits_on_disk_are_measured() -> None:
    found = [pod("p", volumes=DIR), pod("p", limit_storage="1Mi"), pod("p", volumes=IN_MEMORY)]
    assert [has_limits(p) for p in found] == [True, True, False]
    assert slack(pod("p", volumes=DIR), PodUsage(volumes={"cache": 1000})) == MIB - 1000


@pytest.mark.parametrize(
    ("age", "took", "filled", "due"),
    [
        (29, 0.01, 1000, False),  # not so soon
        (31, 0.01, 499, False),  # nobody can have written enough
        (31, 0.01, 500, True),
        (31, 5.0, 1000, False),  # a walk that takes long comes seldom
        (300, 0.01, 0, True),  # something else may have been deleted
    ],
)
def test_directories_are_measured_when_a_limit_may_be_passed(
    age: float, took: float, filled: int, due: bool
) -> None:
    assert walk_due(age=age, took=took, filled=filled, slack=Fraction(1000)) is due
