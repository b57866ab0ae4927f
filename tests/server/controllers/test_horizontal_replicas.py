"""Autoscaling arithmetic: what loads propose, and what is held back. As upstream's tables."""

from datetime import UTC, datetime, timedelta

import pytest

from server.controllers.horizontal_behavior import (
    DOWN_LIMIT,
    DOWN_STABILIZED,
    IN_RANGE,
    READY,
    TOO_FEW,
    TOO_MANY,
    UP_LIMIT,
    UP_STABILIZED,
    Past,
    Wish,
    limit_wish,
)
from server.controllers.horizontal_replicas import (
    MetricsError,
    Sample,
    Tolerance,
    by_average,
    by_utilization,
    by_value,
    by_value_per_pod,
    group_pods,
    pod_requests,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
OLD = NOW - timedelta(hours=1)
EVEN = Tolerance()


def stamp(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(name, state="ready", *, started=OLD, since=OLD, request="1"):
    """``state``: ready, unready, pending, failed or going."""
    meta = {"name": name, "namespace": "ns"}
    if state == "going":
        meta["deletionTimestamp"] = stamp(NOW)
    condition = {
        "type": "Ready", "status": str(state == "ready"), "lastTransitionTime": stamp(since),
    }  # fmt: skip
    phase = {"pending": "Pending", "failed": "Failed"}.get(state, "Running")
    status = {"phase": phase, "startTime": stamp(started), "conditions": [condition]}
    resources = {"requests": {"cpu": request}} if request else {}
    return {
        "metadata": meta,
        "spec": {"containers": [{"name": "c", "resources": resources}]},
        "status": status,
    }


def pods(*states, **more):
    return [pod(f"p{n}", state, **more) for n, state in enumerate(states)]


def samples(*values):
    """In thousandths; None where a pod has none."""
    return {
        f"p{n}": Sample(value=value, at=NOW - timedelta(seconds=30))
        for n, value in enumerate(values)
        if value is not None
    }


@pytest.mark.parametrize(
    ("states", "used", "target", "expected"),
    [
        ("ready ready ready", (300, 500, 700), 30, 5),
        ("ready ready ready", (300, 500, 700), 50, 3),
        ("ready ready ready ready ready", (100, 300, 500, 250, 250), 50, 3),
        ("ready ready ready", (540, 540, 540), 50, 3),
        ("ready ready ready", (560, 560, 560), 50, 4),
        ("ready ready unready", (300, 500, 700), 30, 3),
        ("ready ready pending", (300, 500, None), 30, 3),
        ("ready pending pending", (600, None, None), 30, 3),
        ("ready ready failed", (500, 700, None), 50, 3),
        ("ready ready going", (500, 700, 900), 50, 3),
        ("ready ready ready", (1000, 1000, None), 50, 4),
        ("ready ready ready", (100, 100, None), 50, 3),
        ("ready ready ready ready", (100, 100, 100, None), 50, 3),
    ],
    ids=[
        "up", "on target", "down", "within tolerance", "just beyond it",
        "never ready ones count as idle",
        "pending ones damp", "pending ones stop it", "failed are not there", "going are not there",
        "missing count as idle when growing", "missing count as full when shrinking",
        "missing count as full and it still shrinks",
    ],
)  # fmt: skip
def test_utilization_proposes(states, used, target, expected):
    found = pods(*states.split())
    scaled = by_utilization(
        len(found), found, samples(*used), target, resource="cpu", tolerance=EVEN, now=NOW
    )
    assert scaled.replicas == expected


def test_utilization_says_what_it_measured():
    scaled = by_utilization(
        2, pods("ready", "ready", request="500m"), samples(100, 201), 30,
        resource="cpu", tolerance=EVEN, now=NOW,
    )  # fmt: skip
    assert (scaled.utilization, scaled.average, scaled.replicas) == (30, 150, 2)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "ready"),
        ({"state": "unready"}, "ready"),
        ({"state": "unready", "since": OLD + timedelta(seconds=10)}, "unready"),
        ({"started": NOW - timedelta(minutes=1), "state": "unready"}, "unready"),
        ({"started": NOW - timedelta(minutes=1), "since": NOW - timedelta(minutes=1)}, "unready"),
        ({"started": NOW - timedelta(minutes=4), "since": NOW - timedelta(minutes=3)}, "ready"),
    ],
    ids=["ready", "was ready once", "never ready", "starting", "no full window yet", "settled"],
)
def test_the_cpu_of_starting_pods_is_not_looked_at(changed, expected):
    state = changed.pop("state", "ready")
    if "since" not in changed and state == "unready" and "started" not in changed:
        changed["since"] = OLD + timedelta(minutes=10)
    found = group_pods([pod("p0", state, **changed)], samples(1), "cpu", NOW)
    assert ("ready" if found.ready else "unready") == expected
    assert group_pods([pod("p0", state, **changed)], samples(1), "memory", NOW).ready == 1


@pytest.mark.parametrize(
    ("used", "target", "current", "expected"),
    [
        ((20000, 10000, 30000), 15000, 3, 4),
        ((20000, 10000, 30000), 20000, 3, 3),
        ((10000, 10000, 10000), 20000, 3, 2),
        ((20000, 20000, None), 20000, 3, 2),
        ((30000, 30000, None), 20000, 3, 3),
    ],
)
def test_an_average_proposes(used, target, current, expected):
    found = pods(*["ready"] * current)
    scaled = by_average(current, found, samples(*used), target, tolerance=EVEN, now=NOW)
    assert scaled.replicas == expected


@pytest.mark.parametrize(
    ("found", "metrics", "message"),
    [
        ([], samples(1), "no pods returned by selector while calculating replica count"),
        (pods("ready"), {}, "did not receive metrics for targeted pods (pods might be unready)"),
        (pods("ready", request=""), samples(1), "missing request for cpu in container c of Pod p0"),
        (pods("ready", request="0"), samples(1), "no metrics returned matched known pods"),
    ],
)
def test_what_can_not_be_reckoned_is_told(found, metrics, message):
    with pytest.raises(MetricsError) as caught:
        by_utilization(1, found, metrics, 50, resource="cpu", tolerance=EVEN, now=NOW)
    assert str(caught.value) == message


def test_requests_are_those_of_one_container_or_of_all_that_run_on():
    found = pod("p0")
    found["spec"]["containers"].append({"name": "d", "resources": {"requests": {"cpu": "250m"}}})
    found["spec"]["initContainers"] = [
        {"name": "init"},
        {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "50m"}}},
    ]
    assert pod_requests([found], "cpu") == {"p0": 1300}
    assert pod_requests([found], "cpu", "d") == {"p0": 250}


def test_one_value_is_shared_by_the_ready_pods_or_divided_by_all():
    found = pods("ready", "ready", "unready")
    assert by_value(3, found, 40000, 20000, tolerance=EVEN).replicas == 4
    assert by_value(3, found, 21000, 20000, tolerance=EVEN).replicas == 3
    scaled = by_value_per_pod(3, 80000, 20000, tolerance=EVEN)
    assert (scaled.replicas, scaled.average) == (4, 26667)


def test_each_direction_has_its_tolerance():
    wide = Tolerance(down=0.5, up=0.0)
    assert by_value(2, pods("ready", "ready"), 60, 100, tolerance=wide).replicas == 2
    assert by_value(2, pods("ready", "ready"), 101, 100, tolerance=wide).replicas == 3


# Limits


def verdict(current, desired, behavior=None, *, least=1, most=100, past=None):
    wish = Wish(
        current=current, desired=desired, least=least, most=most, past=past or Past(), now=1000.0
    )
    return limit_wish(wish, behavior)


@pytest.mark.parametrize(
    ("current", "desired", "expected", "limit"),
    [
        (3, 5, 5, IN_RANGE),
        (1, 9, 4, UP_LIMIT),
        (10, 50, 20, UP_LIMIT),
        (60, 110, 100, TOO_MANY),
        (5, 1, 2, TOO_FEW),
    ],
)
def test_without_behavior_growth_at_most_doubles(current, desired, expected, limit):
    found = verdict(current, desired, least=2)
    assert (found.replicas, found.limit, found.limited) == (expected, limit, limit != IN_RANGE)
    assert found.able == READY


def test_without_behavior_five_minutes_hold_back_shrinking():
    past = Past(recommended=((650.0, 9), (800.0, 7), (900.0, 5)))
    assert verdict(8, 3, past=past).replicas == 7
    assert verdict(8, 3, past=past).able == DOWN_STABILIZED
    assert verdict(8, 9, past=past).able == READY


def rules(select="Max", window=0, *policies):
    found = [
        {"type": kind, "value": value, "periodSeconds": period} for kind, value, period in policies
    ]
    return {"selectPolicy": select, "stabilizationWindowSeconds": window, "policies": found}


FAST = rules("Max", 0, ("Percent", 100, 15))


@pytest.mark.parametrize(
    ("up", "past", "expected"),
    [
        (rules("Max", 0, ("Pods", 4, 60), ("Percent", 10, 60)), Past(), 14),
        (rules("Min", 0, ("Pods", 4, 60), ("Percent", 10, 60)), Past(), 11),
        (rules("Disabled", 0, ("Pods", 4, 60)), Past(), 10),
        (rules("Max", 0, ("Pods", 4, 60)), Past(ups=((950.0, 3),)), 11),
        (rules("Max", 0, ("Pods", 4, 60)), Past(ups=((930.0, 3),)), 14),
        (rules("Max", 0, ("Pods", 4, 60)), Past(ups=((950.0, 9),)), 10),
        (rules("Max", 0, ("Pods", 4, 60)), Past(downs=((950.0, 2),)), 16),
    ],
    ids=["most", "least", "off", "part used", "used long ago", "all used", "shrunk before"],
)
def test_policies_limit_growth(up, past, expected):
    found = verdict(10, 40, {"scaleUp": up, "scaleDown": FAST}, past=past)
    assert (found.replicas, found.limit, found.limited) == (expected, UP_LIMIT, True)


@pytest.mark.parametrize(
    ("down", "past", "expected"),
    [
        (rules("Max", 0, ("Pods", 2, 60), ("Percent", 30, 60)), Past(), 7),
        (rules("Min", 0, ("Pods", 2, 60), ("Percent", 30, 60)), Past(), 8),
        (rules("Disabled", 0, ("Pods", 2, 60)), Past(), 10),
        (rules("Max", 0, ("Pods", 2, 60)), Past(downs=((950.0, 1),)), 9),
    ],
)
def test_policies_limit_shrinking(down, past, expected):
    found = verdict(10, 2, {"scaleUp": FAST, "scaleDown": down}, past=past)
    assert (found.replicas, found.limit, found.limited) == (expected, DOWN_LIMIT, True)


def test_windows_hold_back_both_ways():
    behavior = {"scaleUp": rules("Max", 120, ("Percent", 900, 15)), "scaleDown": FAST}
    past = Past(recommended=((900.0, 6), (870.0, 5)))
    found = verdict(4, 9, behavior, past=past)
    assert (found.replicas, found.able) == (6, UP_STABILIZED)
    slow = {"scaleUp": FAST, "scaleDown": rules("Max", 120, ("Percent", 100, 15))}
    found = verdict(8, 2, slow, past=past)
    assert (found.replicas, found.able) == (6, DOWN_STABILIZED)


def test_a_shrinking_window_that_is_not_given_is_five_minutes():
    down = {"selectPolicy": "Max", "policies": FAST["policies"]}
    past = Past(recommended=((750.0, 6),))
    assert verdict(8, 2, {"scaleUp": FAST, "scaleDown": down}, past=past).replicas == 6


def test_what_is_remembered_has_an_end():
    past = Past()
    for second in range(0, 20000, 15):
        past = past.with_recommendation(float(second), 1)
        past = past.with_change(float(second), 1, 1 + second % 3)
    assert len(past.recommended) == 240
    assert len(past.ups) <= 240
    assert past.downs == ()
