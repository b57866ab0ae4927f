"""What the Node object says of resources, pressure, addresses and images: tables."""

from fractions import Fraction

import pytest

from agent.kubelet_args import parse_kubelet_args
from agent.node.addresses import Addresses, find_addresses
from agent.node.facts import Facts
from agent.node.resources import node_resources, pods_cgroup
from agent.node.status import NodeSpec, make_conditions, node_images, plan_status
from agent.runtime.runtime import Image
from edgek.aio.clock import FakeClock
from edgek.api.conditions import find_condition

GIB = 1 << 30
FACTS = Facts(
    hostname="pi", architecture="arm64", cpus=4, memory=GIB, storage=100 * GIB, info={},
    hugepages={"hugepages-2Mi": 64 << 20}, pids=1000,
)  # fmt: skip
ARGS = parse_kubelet_args({"system_reserved": "cpu=100m,memory=100Mi,ephemeral-storage=1Gi,pid=50"})
NOTHING = parse_kubelet_args({"eviction_hard": "", "enforce_node_allocatable": "none"})


def test_allocatable_is_capacity_less_what_is_reserved_and_kept_free() -> None:
    found = node_resources(FACTS, ARGS, max_pods=20, devices={"edgek.io/x": (3, 2)})
    assert found.capacity == {
        "cpu": "4", "memory": "1048576Ki", "ephemeral-storage": "104857600Ki", "pods": "20",
        "hugepages-2Mi": "64Mi", "edgek.io/x": "3",
    }  # fmt: skip
    assert found.allocatable == {
        "cpu": "3900m",
        "memory": f"{(1024 - 100 - 100 - 64) * 1024}Ki",
        "ephemeral-storage": str(90 * GIB - GIB),
        "pods": "20", "hugepages-2Mi": "64Mi", "edgek.io/x": "2",
    }  # fmt: skip
    assert node_resources(FACTS, NOTHING, max_pods=20).allocatable["memory"] == "983040Ki"


def test_the_pods_cgroup_is_what_is_not_reserved() -> None:
    limits = pods_cgroup(FACTS, ARGS)
    assert (limits.memory_limit_bytes, limits.pids_limit) == (GIB - (100 << 20), 950)
    assert limits.cpu_shares == int(Fraction(39, 10) * 1024)
    assert pods_cgroup(FACTS, NOTHING).memory_limit_bytes == GIB


def spec(**more: object) -> NodeSpec:
    made = {
        "name": "n",
        "addresses": Addresses(internal=("192.0.2.1",), hostname="pi"),
        "facts": FACTS,
        "resources": node_resources(FACTS, ARGS, max_pods=20),
        "first_labels": {},
    }
    return NodeSpec(**(made | more))  # type: ignore[arg-type]


def test_resources_of_ours_that_are_no_more_go_and_those_of_others_stay() -> None:
    old = {"status": {"capacity": {"edgek.io/gone": "1", "x.io/theirs": "2"}}}
    patch = plan_status(old, spec(), problem="", clock=FakeClock())
    assert patch["status"]["capacity"]["edgek.io/gone"] is None
    assert patch["status"]["capacity"]["x.io/theirs"] == "2"


def test_pressure_is_told_in_the_words_of_the_kubelet() -> None:
    found = make_conditions(
        [], problem="", clock=FakeClock(), pressure=frozenset({"MemoryPressure"})
    )
    told = {c["type"]: (c["status"], c["reason"], c["message"]) for c in found}
    assert told["MemoryPressure"] == (
        "True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available",
    )  # fmt: skip
    assert told["DiskPressure"] == (
        "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure",
    )  # fmt: skip
    assert find_condition(found, "PIDPressure") is not None


@pytest.mark.parametrize(
    ("given", "route", "internal"),
    [
        ((), "192.0.2.9", ("192.0.2.9",)),
        (("192.0.2.1", "2001:db8::1"), "192.0.2.9", ("192.0.2.1", "2001:db8::1")),
        ((), "", ()),
    ],
)
def test_addresses_are_those_given_or_that_of_the_route(
    given: tuple[str, ...], route: str, internal: tuple[str, ...]
) -> None:
    found = find_addresses(given, external=("198.51.100.1",), hostname="pi", route=lambda: route)
    assert found.internal == internal
    assert found.objects()[-2:] == [
        {"type": "ExternalIP", "address": "198.51.100.1"},
        {"type": "Hostname", "address": "pi"},
    ]


def test_the_largest_fifty_images_are_shown_digests_first() -> None:
    images = [Image(id=str(i), names=(f"a:{i}", f"a@sha256:{i}"), size_bytes=i) for i in range(60)]
    shown = node_images([*images, Image(id="x", names=(), size_bytes=999)])
    assert len(shown) == 50
    assert shown[0] == {"names": ["a@sha256:59", "a:59"], "sizeBytes": 59}
