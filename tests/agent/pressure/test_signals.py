"""Signals, conditions over time, and when the next look is: tables."""

from fractions import Fraction

import pytest

from agent.kubelet_args import Amount, Threshold
from agent.pressure.period import LONGEST, SHORTEST, next_look
from agent.pressure.signals import Observation, thresholds_met
from agent.pressure.state import PressureState, observe

MIB = 1 << 20
MEMORY = Threshold(signal="memory.available", value=Amount(quantity=Fraction(100 * MIB)))
DISK = Threshold(
    signal="nodefs.available",
    value=Amount(percent=Fraction(1, 10)),
    reclaim=Amount(quantity=Fraction(50)),
)
SOFT = Threshold(signal="memory.available", value=Amount(quantity=Fraction(200 * MIB)), grace=90)


def seen(memory: int = 4096, disk: int = 900) -> dict[str, Observation]:
    """MiB of memory, and bytes of a disk of 1000."""
    return {
        "memory.available": Observation(available=memory * MIB, capacity=4096 * MIB),
        "nodefs.available": Observation(available=disk, capacity=1000),
    }


@pytest.mark.parametrize(
    ("memory", "disk", "met"),
    [
        (4096, 900, ()),
        (100, 100, ()),
        (99, 100, (MEMORY,)),
        (4096, 99, (DISK,)),
        (0, 0, (MEMORY, DISK)),
    ],
)
def test_less_than_the_threshold_is_pressure(
    memory: int, disk: int, met: tuple[Threshold, ...]
) -> None:
    assert thresholds_met((MEMORY, DISK), seen(memory, disk)) == met


def test_what_the_machine_does_not_count_is_no_pressure() -> None:
    pids = Threshold(signal="pid.available", value=Amount(quantity=Fraction(10)))
    assert thresholds_met((pids,), seen()) == ()


def story(
    *looks: tuple[float, int, int], thresholds: tuple[Threshold, ...] = (MEMORY, DISK)
) -> list[tuple[list[str], list[str]]]:
    """(conditions, signals acted on) after each look at (time, memory, disk)."""
    state, found = PressureState(), []
    for now, memory, disk in looks:
        state = observe(state, thresholds, seen(memory, disk), now=now, transition=300)
        found.append((sorted(state.conditions), [t.signal for t in state.acted_on]))
    return found


def test_a_condition_stays_for_the_transition_period_but_nothing_more_is_done() -> None:
    assert story((0, 50, 900), (2, 500, 900), (299, 500, 900), (300, 500, 900)) == [
        (["MemoryPressure"], ["memory.available"]),
        (["MemoryPressure"], []),
        (["MemoryPressure"], []),
        ([], []),
    ]


def test_a_threshold_is_acted_upon_until_its_minimum_reclaim_is_free() -> None:
    acted = [acted for _, acted in story((0, 4096, 90), (2, 4096, 140), (4, 4096, 150))]
    assert acted == [["nodefs.available"], ["nodefs.available"], []]


def test_memory_comes_before_disk() -> None:
    assert story((0, 1, 1))[0] == (
        ["DiskPressure", "MemoryPressure"], ["memory.available", "nodefs.available"],
    )  # fmt: skip


def test_a_soft_threshold_counts_when_its_grace_is_over_and_starts_anew_after_a_pause() -> None:
    looks = (0, 150, 900), (89, 150, 900), (90, 150, 900), (92, 300, 900), (94, 150, 900)
    acted = [acted for _, acted in story(*looks, thresholds=(SOFT,))]
    assert acted == [[], [], ["memory.available"], [], []]
    assert story(*looks, thresholds=(SOFT,))[0][0] == ["MemoryPressure"]


@pytest.mark.parametrize(
    ("memory", "disk", "wait"),
    [
        (4096, 900, SHORTEST),  # a disk of 1000 bytes is full at once
        (99, 900, SHORTEST),
    ],
)
def test_the_next_look_is_soon_when_a_threshold_is_near(
    memory: int, disk: int, wait: float
) -> None:
    state = observe(PressureState(), (MEMORY, DISK), seen(memory, disk), now=0, transition=300)
    assert next_look((MEMORY, DISK), seen(memory, disk), state, now=0, transition=300) == wait


@pytest.mark.parametrize(
    ("memory", "wait"), [(4096, LONGEST), (1700, 25.0), (420, 5.0), (110, SHORTEST)]
)
def test_the_more_is_left_the_later_the_next_look(memory: int, wait: float) -> None:
    looked = next_look((MEMORY,), seen(memory), PressureState(), now=0, transition=300)
    assert looked == wait


def test_a_look_comes_when_a_condition_is_to_end() -> None:
    calm = PressureState(seen={"MemoryPressure": 0.0})
    assert next_look((MEMORY,), seen(), calm, now=290, transition=300) == 10
