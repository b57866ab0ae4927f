"""InterPodAffinity: near others, far from them, and kept away by those that are there."""

from typing import Any

import pytest

from edgek.api.meta import Obj
from tests.support.cluster import node, pod
from tests.support.placing import Cluster

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def term(app: str, key: str = "zone", **more: Any) -> Obj:
    return {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key, **more}


def near(*terms: Obj) -> Obj:
    return {"affinity": {"podAffinity": {REQUIRED: list(terms)}}}


def far(*terms: Obj) -> Obj:
    return {"affinity": {"podAntiAffinity": {REQUIRED: list(terms)}}}


def preferring(kind: str, weight: int, wanted: Obj) -> Obj:
    return {"affinity": {kind: {PREFERRED: [{"weight": weight, "podAffinityTerm": wanted}]}}}


def app(name: str, label: str, **more: Any) -> Obj:
    return pod(name, labels={"app": label}, **more)


def in_namespace(obj: Obj, namespace: str) -> Obj:
    return {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}


@pytest.fixture
def cluster() -> Cluster:
    zones = {"a1": "a", "a2": "a", "b1": "b"}
    return Cluster(*[node(name, labels={"zone": zone}) for name, zone in zones.items()])


def test_a_pod_goes_where_those_are_that_it_wants_to_be_near(cluster: Cluster) -> None:
    cluster.put(app("db-0", "db"), "b1")
    assert [cluster.place(app(f"web-{i}", "web", **near(term("db")))) for i in range(3)] == [
        "b1",
        "b1",
        "b1",
    ]


def test_nobody_to_be_near_to_refuses_all_nodes_for_good(cluster: Cluster) -> None:
    assert cluster.why(app("web", "web", **near(term("db")))) == (
        "0/3 nodes are available: 3 node(s) didn't match pod affinity rules."
    )
    plan = cluster.preempt(app("web", "web", priority=5, **near(term("db"))))
    assert plan.message == (  # type: ignore[union-attr]
        "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    )


def test_the_first_of_a_group_that_wants_to_be_together_may_go_anywhere(cluster: Cluster) -> None:
    together = near(term("web"))
    first = cluster.place(app("web-0", "web", **together))
    zone = str(first)[0]
    rest = [cluster.place(app(f"web-{i}", "web", **together)) for i in range(1, 4)]
    assert {str(node_name)[0] for node_name in rest} == {zone}


def test_all_terms_must_be_met_by_the_same_pods(cluster: Cluster) -> None:
    """As podMatchesAllAffinityTerms: two pods that each match one of the terms do not do."""
    cluster.put(app("db", "db"), "a1")
    cluster.put(app("cache", "cache"), "a1")
    assert "3 node(s) didn't match pod affinity rules" in cluster.why(
        app("web", "web", **near(term("db"), term("cache")))
    )


def test_those_who_want_to_be_alone_get_a_node_each_and_the_last_none(cluster: Cluster) -> None:
    alone = far(term("web", "kubernetes.io/hostname"))
    placed = [cluster.place(app(f"web-{i}", "web", **alone)) for i in range(3)]
    assert sorted(map(str, placed)) == ["a1", "a2", "b1"]
    assert cluster.why(app("web-3", "web", **alone)) == (
        "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules."
    )


def test_placed_pods_keep_others_away_who_say_nothing_themselves(cluster: Cluster) -> None:
    cluster.put(app("loner", "loner", **far(term("web"))), "a1")
    assert {cluster.place(app(f"web-{i}", "web")) for i in range(4)} == {"b1"}
    assert cluster.place(app("db", "db")) in ("a1", "a2")
    cluster.snapshot.set_node(node("b1", labels={"zone": "b"}, unschedulable=True))
    assert cluster.why(app("web-9", "web")) == (
        "0/3 nodes are available: 1 node(s) were unschedulable, "
        "2 node(s) didn't satisfy existing pods anti-affinity rules."
    )
    cluster.snapshot.remove_pod("uid-loner")
    assert cluster.place(app("web-10", "web")) in ("a1", "a2")


def test_what_keeps_away_moves_with_the_labels_of_its_node(cluster: Cluster) -> None:
    cluster.put(app("loner", "loner", **far(term("web"))), "a1")
    cluster.snapshot.set_node(node("a1", labels={"zone": "b"}))
    assert cluster.place(app("web-0", "web")) == "a2"


def test_a_pod_known_before_its_node_counts_once_the_node_is_there() -> None:
    cluster = Cluster(node("b1", labels={"zone": "b"}))
    cluster.put(app("loner", "loner", **far(term("web"))), "a1")
    cluster.snapshot.set_node(node("a1", labels={"zone": "a"}))
    assert {cluster.place(app(f"web-{i}", "web")) for i in range(3)} == {"b1"}


@pytest.mark.parametrize(
    ("more", "kept_away"),
    [
        pytest.param({}, False, id="one's own namespace"),
        pytest.param({"namespaces": ["shop"]}, True, id="named"),
        pytest.param({"namespaceSelector": {}}, True, id="all"),
        pytest.param({"namespaceSelector": {"matchLabels": {"team": "a"}}}, True, id="by labels"),
        pytest.param({"namespaceSelector": {"matchLabels": {"team": "b"}}}, False, id="others'"),
        pytest.param({"labelSelector": None, "namespaces": ["shop"]}, False, id="no selector"),
    ],
)
def test_namespaces_of_a_term(more: dict[str, Any], kept_away: bool) -> None:
    cluster = Cluster(node("a", labels={"zone": "a"}))
    cluster.snapshot.set_namespace("shop", {"team": "a"})
    cluster.put(app("loner", "loner", **far(term("web", **more))), "a")
    placed = cluster.place(in_namespace(app("web", "web"), "shop"))
    assert (placed != "a") == kept_away


@pytest.mark.parametrize("more", [{"namespaceSelector": {"matchLabels": {"team": "a"}}}])
def test_labels_of_a_namespace_that_change_are_seen(more: dict[str, Any]) -> None:
    cluster = Cluster(node("a", labels={"zone": "a"}))
    loner = app("loner", "loner", **far(term("web", **more)))
    cluster.put(in_namespace(app("web", "web"), "shop"), "a")
    assert cluster.place(loner) == "a"
    cluster.snapshot.remove_pod("uid-loner")
    assert cluster.snapshot.set_namespace("shop", {"team": "a"})
    cluster.rankings.clear()
    assert "1 node(s) didn't match pod anti-affinity rules" in cluster.why(loner)


def test_preferences_draw_and_repel_those_that_come_later_too(cluster: Cluster) -> None:
    cluster.put(app("db", "db"), "b1")
    assert cluster.place(app("w", "w", **preferring("podAffinity", 50, term("db")))) == "b1"
    repelled = app("x", "x", **preferring("podAntiAffinity", 50, term("db")))
    assert cluster.place(repelled) in ("a1", "a2")
    cluster.put(app("magnet", "m", **preferring("podAffinity", 100, term("web"))), "b1")
    assert cluster.place(app("web-0", "web")) == "b1"


def test_required_affinity_of_placed_pods_draws_what_they_want_near(cluster: Cluster) -> None:
    """As hardPodAffinityWeight."""
    cluster.put(app("web-0", "web"), "b1")
    cluster.put(app("db", "db", **near(term("web"))), "b1")
    assert cluster.place(app("web-1", "web", owner="rs")) == "b1"


def test_thousands_of_alike_terms_are_one_entry() -> None:
    cluster = Cluster(*[node(f"n{i}", labels={"zone": f"z{i}"}) for i in range(50)])
    for number in range(1000):
        apart = far(term("batch", "kubernetes.io/hostname"))
        cluster.put(app(f"web-{number}", "web", **apart), f"n{number % 50}")
    assert len(cluster.snapshot.affinity.forbidden) == 1
    for number in range(1000):
        cluster.snapshot.remove_pod(f"uid-web-{number}")
    assert not cluster.snapshot.affinity


def test_a_node_that_only_reports_its_state_moves_no_term(cluster: Cluster) -> None:
    cluster.put(app("loner", "loner", **far(term("web"))), "a1")
    before = cluster.snapshot.affinity.version
    cluster.snapshot.set_node(node("a1", cpu="3", labels={"zone": "a"}))
    assert cluster.snapshot.affinity.version == before
    assert cluster.place(app("web-0", "web")) == "b1"
