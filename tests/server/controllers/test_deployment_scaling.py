"""How a Deployment sizes its ReplicaSets, step by step."""

import pytest

from server.controllers.deployment_rollout import Rollout
from server.controllers.deployment_scaling import (
    first_replicas,
    is_scaling,
    plan_recreate,
    plan_rolling,
    plan_scale,
)


def deployment(replicas=10, surge="25%", away="25%", status=0, recreate=False):
    limits = {"maxSurge": surge, "maxUnavailable": away}
    strategy = {"type": "RollingUpdate", "rollingUpdate": limits}
    spec = {"replicas": replicas, "strategy": {"type": "Recreate"} if recreate else strategy}
    return {"metadata": {"name": "web"}, "spec": spec, "status": {"replicas": status}}


def replica_set(name, replicas, available=None, desired=None, most=None):
    told = {
        "deployment.kubernetes.io/desired-replicas": desired,
        "deployment.kubernetes.io/max-replicas": most,
    }
    return {
        "metadata": {
            "name": name,
            "uid": name,
            "creationTimestamp": f"2026-01-01T00:00:0{len(name)}Z",
            "annotations": {k: str(v) for k, v in told.items() if v is not None},
        },
        "spec": {"replicas": replicas},
        "status": {"availableReplicas": replicas if available is None else available},
    }


def sizes(scales):
    return {s.replica_set["metadata"]["name"]: s.replicas for s in scales}


@pytest.mark.parametrize(
    ("surge", "away", "new", "old", "expected"),
    [
        pytest.param("25%", "25%", (0, 0), (10, 10), {"new": 3}, id="surge-rounds-up"),
        pytest.param("25%", "25%", (3, 0), (10, 10), {"old": 8}, id="unavailable-rounds-down"),
        pytest.param("25%", "25%", (3, 0), (8, 8), {"new": 5}, id="room-is-filled"),
        pytest.param("25%", "25%", (5, 0), (8, 8), {}, id="waits-for-new-pods"),
        pytest.param("25%", "25%", (5, 4), (8, 8), {"old": 4}, id="available-new-free-old"),
        pytest.param(1, 0, (0, 0), (10, 10), {"new": 1}, id="surge-only"),
        pytest.param(1, 0, (1, 0), (10, 10), {}, id="surge-only-waits"),
        pytest.param(1, 0, (1, 1), (10, 10), {"old": 9}, id="surge-only-goes-on"),
        pytest.param(0, 1, (0, 0), (10, 10), {"old": 9}, id="unavailable-only"),
        pytest.param(0, 0, (0, 0), (10, 10), {"old": 9}, id="neither-means-one-unavailable"),
        pytest.param("25%", "25%", (3, 0), (10, 2), {"old": 8}, id="broken-old-pods-go-first"),
        pytest.param("100%", "100%", (10, 0), (10, 10), {"old": 0}, id="all-at-once"),
        pytest.param("25%", "25%", (12, 12), (0, 0), {"new": 10}, id="too-many-new"),
        pytest.param("25%", "25%", (10, 10), (0, 0), {}, id="done"),
    ],
)
def test_a_rolling_update_takes_the_next_safe_step(surge, away, new, old, expected):
    rollout = Rollout(
        deployment=deployment(surge=surge, away=away),
        new=replica_set("new", *new),
        old=[replica_set("old", *old)],
    )
    assert sizes(plan_rolling(rollout)) == expected


@pytest.mark.parametrize("available", [10, 6, 0])
@pytest.mark.parametrize(("surge", "away"), [("25%", "25%"), (1, 0), (0, 1), ("30%", "0%")])
def test_no_step_leaves_the_limits_and_the_last_one_is_reached(surge, away, available):
    wanted = deployment(surge=surge, away=away)
    new, old = replica_set("n", 0), replica_set("ol", 10, available)
    for _ in range(60):
        rollout = Rollout(deployment=wanted, new=new, old=[old])
        planned = sizes(plan_rolling(rollout))
        shrunk = planned.get("ol", old["spec"]["replicas"])
        # The deployment controller can not choose which pods go: the ReplicaSet takes bad ones.
        alive = min(shrunk, old["status"]["availableReplicas"])
        before = available + 0 if not new["spec"]["replicas"] else None
        new = replica_set("n", planned.get("n", new["spec"]["replicas"]), new["spec"]["replicas"])
        old = replica_set("ol", shrunk, alive)
        assert new["spec"]["replicas"] + shrunk <= 10 + 3
        if before == 10 and away in (0, "0%"):
            assert alive + new["status"]["availableReplicas"] >= 10
    assert (new["spec"]["replicas"], old["spec"]["replicas"]) == (10, 0)


@pytest.mark.parametrize(
    ("old", "recreate", "expected"), [(0, False, 10), (10, False, 3), (13, False, 0), (5, True, 10)]
)
def test_a_new_replica_set_starts_with_the_room_there_is(old, recreate, expected):
    rollout = Rollout(
        deployment=deployment(recreate=recreate), new=None, old=[replica_set("old", old)]
    )
    assert first_replicas(rollout) == expected


def test_recreate_empties_the_old():
    old = [replica_set("a", 3), replica_set("b", 0)]
    rollout = Rollout(deployment=deployment(recreate=True), new=None, old=old)
    assert sizes(plan_recreate(rollout)) == {"a": 0}


@pytest.mark.parametrize(
    ("to", "sets", "expected"),
    [
        # Named so that a longer name is a younger ReplicaSet; max was 5 + 2.
        pytest.param(20, {"a": 5}, {"a": 20}, id="only-one"),
        pytest.param(10, {"a": 5, "bb": 0}, {"a": 10}, id="only-one-active"),
        pytest.param(10, {"a": 4, "bb": 3}, {"a": 7, "bb": 6}, id="up-in-proportion"),
        pytest.param(3, {"a": 4, "bb": 3}, {"a": 2, "bb": 2}, id="down-in-proportion"),
        pytest.param(0, {"a": 4, "bb": 3}, {"a": 0, "bb": 0}, id="to-zero"),
        pytest.param(5, {"a": 4, "bb": 3}, {"a": 4, "bb": 3}, id="same-size"),
    ],
)
def test_a_changed_size_is_shared_out_in_proportion(to, sets, expected):
    *old, new = [replica_set(n, r, 0, desired=5, most=7) for n, r in sets.items()]
    rollout = Rollout(deployment=deployment(to), new=new, old=old)
    assert sizes(plan_scale(rollout)) == expected
    assert is_scaling(rollout) == (to != 5)


def test_when_the_new_one_is_all_there_scaling_only_removes_the_old():
    new = replica_set("new", 10, 10, desired=10)
    rollout = Rollout(deployment=deployment(10), new=new, old=[replica_set("old", 2)])
    assert sizes(plan_scale(rollout)) == {"old": 0}
