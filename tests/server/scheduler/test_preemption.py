"""Which pods have to go for one that fits nowhere: the fewest, the least important, and those
that no budget protects."""

from typing import Any

import pytest

from edgek.api.meta import Obj
from server.scheduler.preemption import NoPreemption, Preemption
from server.scheduler.ranking import Unschedulable
from tests.support.cluster import node, pod
from tests.support.placing import Cluster


def victims(plan: Preemption | NoPreemption) -> tuple[str, list[str]]:
    assert isinstance(plan, Preemption), plan
    return plan.node, [victim.key.name for victim in plan.victims]


def message(plan: Preemption | NoPreemption) -> str:
    assert isinstance(plan, NoPreemption), plan
    return plan.message


def started(obj: Obj, at: str) -> Obj:
    return {**obj, "status": {**obj["status"], "startTime": f"2026-01-01T0{at}:00:00Z"}}


def budget(allowed: int, **labels: str) -> Obj:
    return {
        "metadata": {"name": "budget", "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}},
        "status": {"disruptionsAllowed": allowed},
    }


BIG = pod("big", cpu="2", priority=100)


def test_no_more_victims_than_needed_and_the_least_important_ones() -> None:
    cluster = Cluster(node("a", cpu="4"))
    for number in range(4):
        cluster.put(pod(f"p{number}", cpu="1", priority=number), "a")
    assert victims(cluster.preempt(BIG)) == ("a", ["p1", "p0"])
    assert len(cluster.snapshot.node("a").pods) == 4  # type: ignore[union-attr]


def test_of_equals_those_that_run_longer_stay() -> None:
    cluster = Cluster(node("a", cpu="3"))
    for name, at in (("new", "3"), ("old", "1"), ("middle", "2")):
        cluster.put(started(pod(name, cpu="1"), at), "a")
    assert victims(cluster.preempt(BIG)) == ("a", ["middle", "new"])


@pytest.mark.parametrize(
    ("first", "second", "chosen"),
    [
        pytest.param([9], [1, 1], "b", id="the least important of the most important"),
        pytest.param([5, 5], [5, 1], "b", id="the smaller sum"),
        pytest.param([5], [5, 5], "a", id="fewer"),
        pytest.param([-5], [-5, -5], "a", id="fewer, of negative priority"),
    ],
)
def test_the_node_that_is_hurt_least(first: list[int], second: list[int], chosen: str) -> None:
    cluster = Cluster(node("a", cpu="2"), node("b", cpu="2"))
    for node_name, priorities in (("a", first), ("b", second)):
        for number, priority in enumerate(priorities):
            cpu = f"{2000 // len(priorities)}m"
            cluster.put(pod(f"{node_name}{number}", cpu=cpu, priority=priority), node_name)
    assert victims(cluster.preempt(BIG))[0] == chosen


def test_the_node_whose_victim_started_last() -> None:
    cluster = Cluster(node("a", cpu="2"), node("b", cpu="2"))
    cluster.put(started(pod("one", cpu="2"), "1"), "a")
    cluster.put(started(pod("two", cpu="2"), "2"), "b")
    assert victims(cluster.preempt(BIG)) == ("b", ["two"])


def test_budgets_are_respected_where_that_is_possible() -> None:
    cluster = Cluster(node("a", cpu="2"), node("b", cpu="2"))
    cluster.put(pod("guarded", cpu="2", labels={"app": "db"}), "a")
    cluster.put(pod("free", cpu="2", priority=50), "b")
    assert victims(cluster.preempt(BIG, budget(0, app="db"))) == ("b", ["free"])
    assert victims(cluster.preempt(BIG, budget(1, app="db"))) == ("a", ["guarded"])


def test_and_not_where_it_is_not() -> None:
    cluster = Cluster(node("a", cpu="2"))
    cluster.put(pod("guarded", cpu="2", labels={"app": "db"}), "a")
    plan = cluster.preempt(BIG, budget(0, app="db"))
    assert victims(plan) == ("a", ["guarded"])
    assert isinstance(plan, Preemption)
    assert plan.violations == 1


def test_within_a_node_the_guarded_are_put_back_first() -> None:
    cluster = Cluster(node("a", cpu="4"))
    cluster.put(pod("guarded", cpu="2", labels={"app": "db"}), "a")
    cluster.put(pod("free", cpu="2", priority=50), "a")
    assert victims(cluster.preempt(BIG, budget(0, app="db"))) == ("a", ["free"])


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param(
            {"cpu": "3", "priority": 5},
            "1 Preemption is not helpful for scheduling, "
            "2 No preemption victims found for incoming pod.",
            id="nobody less important",
        ),
        pytest.param(
            {"cpu": "9", "priority": 100},
            "3 Preemption is not helpful for scheduling.",
            id="no node is so big",
        ),
        pytest.param(
            {"cpu": "4", "priority": 7},
            "1 Insufficient cpu, 1 No preemption victims found for incoming pod, "
            "1 Preemption is not helpful for scheduling.",
            id="not enough even without them",
        ),
    ],
)
def test_why_nobody_goes(spec: dict[str, Any], words: str) -> None:
    cluster = Cluster(node("a"), node("b"), node("c", unschedulable=True))
    cluster.put(pod("one", cpu="2", priority=5), "a")
    cluster.put(pod("two", cpu="2", priority=9), "a")
    cluster.put(pod("three", cpu="2", priority=9), "b")
    found = message(cluster.preempt(pod("big", **spec)))
    assert found == f"preemption: 0/3 nodes are available: {words}"


def test_a_pod_that_never_preempts_is_told_so() -> None:
    cluster = Cluster(node("a", cpu="2"))
    cluster.put(pod("one", cpu="2"), "a")
    polite = pod("big", cpu="2", priority=100, preemptionPolicy="Never")
    assert message(cluster.preempt(polite)) == (
        "preemption: not eligible due to preemptionPolicy=Never."
    )


def test_nobody_else_goes_while_victims_are_still_ending() -> None:
    cluster = Cluster(node("a", cpu="2"), node("b", cpu="2"))
    ending = pod("one", cpu="2")
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    ending["status"]["conditions"] = [condition]
    cluster.put(ending, "a")
    cluster.put(pod("two", cpu="2"), "b")
    cluster.nominate(BIG, "a")
    assert message(cluster.preempt(BIG)) == (
        "preemption: not eligible due to a terminating pod on the nominated node."
    )


def test_pods_that_keep_others_away_go_for_a_more_important_one() -> None:
    apart: dict[str, Any] = {
        "affinity": {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "labelSelector": {"matchLabels": {"app": "web"}},
                        "topologyKey": "kubernetes.io/hostname",
                    }
                ]
            }
        }
    }
    cluster = Cluster(node("a"))
    cluster.put(pod("loner", **apart), "a")
    cluster.put(pod("other"), "a")
    web = pod("web", labels={"app": "web"}, priority=1)
    assert victims(cluster.preempt(web)) == ("a", ["loner"])


def test_a_nominated_node_is_kept_from_the_less_important_and_open_to_its_pod() -> None:
    cluster = Cluster(node("a", cpu="2"))
    cluster.nominate(BIG, "a")
    assert isinstance(cluster.place(pod("lesser", cpu="1", priority=1)), Unschedulable)
    assert cluster.place(pod("greater", cpu="1", priority=101)) == "a"
    cluster.snapshot.remove_pod("uid-greater")
    assert cluster.place(BIG) == "a"
    assert not cluster.snapshot.nominated


def test_a_nominated_node_comes_before_those_that_score_better() -> None:
    cluster = Cluster(node("a", cpu="2"), node("b", cpu="64"))
    cluster.nominate(BIG, "a")
    assert cluster.place(BIG) == "a"


def test_being_near_a_pod_that_is_not_there_yet_does_not_count() -> None:
    affinity = {
        "podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": "zone"}
            ]
        }
    }
    cluster = Cluster(node("a", labels={"zone": "a"}), node("b", labels={"zone": "b"}))
    cluster.nominate(pod("db", labels={"app": "db"}, priority=9), "a")
    assert cluster.why(pod("web", affinity=affinity)) == (
        "0/2 nodes are available: 2 node(s) didn't match pod affinity rules."
    )


def test_two_plans_on_the_same_input_are_equal_and_leave_no_trace() -> None:
    cluster = Cluster(*[node(f"n{i}", cpu="2") for i in range(6)])
    for number in range(12):
        cluster.put(pod(f"p{number}", cpu="1", priority=number % 4), f"n{number % 6}")

    def state() -> dict[str, Any]:
        return {n.name: (dict(n.requested), set(n.pods)) for n in cluster.snapshot.nodes()}

    before = state()
    assert cluster.preempt(BIG) == cluster.preempt(BIG)
    assert state() == before
