"""The kubelet's settings, in its notation."""

from fractions import Fraction
from typing import Any

import pytest

from agent.config import OPTIONS
from agent.kubelet_args import KubeletArgs, parse_kubelet_args, with_kubelet_args
from edgek.roles import UsageError

MIB = 1 << 20


def parse(**settings: Any) -> KubeletArgs:
    return parse_kubelet_args(settings)


def floors(args: KubeletArgs, capacity: int) -> dict[str, Fraction]:
    return {t.signal: t.value.of(capacity) for t in args.thresholds}


def test_the_defaults_are_the_kubelets_and_spare_a_small_board() -> None:
    args = parse()
    assert floors(args, 8192 * MIB)["memory.available"] == 100 * MIB
    assert floors(args, 512 * MIB)["memory.available"] == Fraction(512 * MIB, 10)
    assert floors(args, 1000) | {} == {
        "memory.available": 100, "allocatableMemory.available": 100, "nodefs.available": 100,
        "nodefs.inodesFree": 50, "imagefs.available": 150, "imagefs.inodesFree": 50,
    }  # fmt: skip
    assert all(t.hard for t in args.thresholds)


def test_a_list_that_is_given_replaces_the_default_one_whole() -> None:
    args = parse(eviction_hard="memory.available<1Gi,nodefs.available<0%")
    names = ("memory.available", "allocatableMemory.available")
    assert floors(args, 100) == dict.fromkeys(names, 1024 * MIB)
    assert parse(eviction_hard="").thresholds == ()


def test_a_soft_threshold_has_its_grace_and_its_minimum() -> None:
    args = parse(
        eviction_hard="",
        eviction_soft="imagefs.available<20%",
        eviction_soft_grace_period="imagefs.available=1m30s",
        eviction_minimum_reclaim="imagefs.available=2Gi",
    )
    (soft,) = args.thresholds
    assert (soft.grace, soft.hard, soft.reclaim.of(0)) == (90, False, 2048 * MIB)


def test_what_is_reserved_for_system_and_kube_adds_up() -> None:
    args = parse(system_reserved="cpu=200m,memory=100Mi", kube_reserved="memory=50Mi")
    assert args.reserved == {"cpu": Fraction(1, 5), "memory": 150 * MIB}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eviction_hard": "memory<1"}, "--eviction-hard: 'memory' is none of"),
        ({"eviction_hard": "memory.available=1"}, "is not NAME<VALUE"),
        ({"eviction_hard": "memory.available<much"}, "'much' is not a quantity"),
        ({"eviction_hard": "nodefs.available<120%"}, "not a percentage below 100"),
        ({"eviction_hard": "pid.available<1,pid.available<2"}, "is there twice"),
        ({"eviction_soft": "pid.available<1"}, "grace period must be specified"),
        ({"eviction_pressure_transition_period": "soon"}, "'soon' is not a duration"),
        ({"system_reserved": "gpu=1"}, "--system-reserved: 'gpu' is none of"),
        ({"system_reserved": "memory=-1"}, "is negative"),
        ({"image_gc_high_threshold": 10}, "--image-gc-low-threshold must be below"),
        ({"enforce_node_allocatable": "all"}, "must be pods or none"),
        ({"max_parallel_image_pulls": 0}, "--max-parallel-image-pulls must be from 1"),
    ],
)
def test_what_cannot_be_is_refused_by_name(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("<", ".")):
        parse(**settings)


def test_kubelet_arg_says_the_same_as_the_option() -> None:
    given = {"kubelet_arg": ("eviction-hard=pid.available<5", "image-gc-low-threshold=40")}
    found = with_kubelet_args(given, OPTIONS)
    assert (found["eviction_hard"], found["image_gc_low_threshold"]) == ("pid.available<5", 40)
    for wrong in ("no-such=1", "eviction-hard", "token=x", "max-pods=many"):
        with pytest.raises(UsageError, match="--kubelet-arg"):
            with_kubelet_args({"kubelet_arg": (wrong,)}, OPTIONS)


def test_crashing_containers_may_be_started_again_sooner_but_not_later() -> None:
    assert (parse().max_backoff, parse(max_container_restart_period="20s").max_backoff) == (300, 20)
    for wrong in ("0s", "6m"):
        with pytest.raises(UsageError, match="must be from 1s to 5m"):
            parse(max_container_restart_period=wrong)


def test_pulls_are_two_at_a_time_as_many_as_is_said_or_one() -> None:
    assert parse().parallel_pulls == 2
    assert parse(max_parallel_image_pulls=5).parallel_pulls == 5
    assert parse(max_parallel_image_pulls=5, serialize_image_pulls=True).parallel_pulls == 1
