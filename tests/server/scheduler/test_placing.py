"""The plugins together: which node a pod gets, and in which words it is told there is none."""

import random
from typing import Any

import pytest

from server.scheduler.plugins import CLUSTER, FILTERS, SCORES
from server.scheduler.pod_info import pod_info
from server.scheduler.ranking import Profile, Unschedulable
from server.scheduler.rankings import Rankings
from tests.support.cluster import node, pod
from tests.support.placing import Cluster

TAINT = {"key": "dedicated", "effect": "NoSchedule"}


def test_every_reason_is_counted_in_upstreams_words() -> None:
    cluster = Cluster(
        node("a", taints=[TAINT]),
        node("b", cpu="1"),
        node("c", cpu="1", memory="1Gi"),
        node("d", unschedulable=True),
        node("e", pods="0"),
    )
    assert cluster.why(pod("big", cpu="2", memory="2Gi")) == (
        "0/5 nodes are available: 1 Insufficient memory, 1 Too many pods, "
        "1 node(s) had untolerated taint(s), 1 node(s) were unschedulable, 2 Insufficient cpu."
    )


def test_no_nodes_at_all_is_said_so() -> None:
    assert Cluster().why(pod("web")) == "no nodes available to schedule pods"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param(
            {"nodeSelector": {"disk": "ssd"}},
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
            id="nodeSelector",
        ),
        pytest.param(
            {"overhead": {"example.com/gpu": "1"}},
            "0/1 nodes are available: 1 Insufficient example.com/gpu.",
            id="extended resource",
        ),
        pytest.param(
            {"resources": {"requests": {"cpu": "5"}}},
            "0/1 nodes are available: 1 Insufficient cpu.",
            id="pod-level request",
        ),
    ],
)
def test_a_single_refusal(spec: dict[str, Any], message: str) -> None:
    assert Cluster(node("a")).why(pod("web", **spec)) == message


def test_a_toleration_opens_a_tainted_node() -> None:
    cluster = Cluster(node("a", taints=[TAINT]))
    tolerations = [{"key": "dedicated", "operator": "Exists"}]
    assert cluster.place(pod("web", tolerations=tolerations)) == "a"


def test_a_soft_taint_makes_a_node_the_last_choice_even_when_others_fill_up() -> None:
    soft = {"key": "slow", "effect": "PreferNoSchedule"}
    cluster = Cluster(node("a", taints=[soft]), node("b"))
    placed = [cluster.place(pod(f"web-{i}", cpu="1")) for i in range(5)]
    assert placed == ["b"] * 4 + ["a"]


def test_pods_of_one_controller_are_spread_evenly() -> None:
    cluster = Cluster(*[node(f"n{i}") for i in range(5)])
    placed = [cluster.place(pod(f"web-{i}", owner="rs")) for i in range(20)]
    assert {placed.count(f"n{i}") for i in range(5)} == {4}


def test_unlike_pods_without_requests_are_spread_too() -> None:
    cluster = Cluster(*[node(f"n{i}") for i in range(3)])
    placed = [cluster.place(pod(f"pod-{i}")) for i in range(9)]
    assert {placed.count(f"n{i}") for i in range(3)} == {3}


def test_room_is_used_up_to_the_last_thousandth_and_not_beyond() -> None:
    cluster = Cluster(node("a", cpu="1"), node("b", cpu="500m"))
    placed = [cluster.place(pod(f"web-{i}", cpu="250m")) for i in range(7)]
    assert sorted(p for p in placed[:6] if isinstance(p, str)) == ["a"] * 4 + ["b"] * 2
    assert isinstance(placed[6], Unschedulable)


def test_room_freed_by_a_pod_is_given_to_the_next() -> None:
    cluster = Cluster(node("a", cpu="1"))
    assert cluster.place(pod("one", cpu="1")) == "a"
    assert isinstance(cluster.place(pod("two", cpu="1")), Unschedulable)
    assert cluster.snapshot.remove_pod("uid-one")
    assert cluster.place(pod("two", cpu="1")) == "a"


def test_init_containers_count_with_their_peak_and_sidecars_throughout() -> None:
    def asks(cpu: str, **more: str) -> dict[str, Any]:
        return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}

    spec: dict[str, Any] = {
        "initContainers": [asks("1", restartPolicy="Always"), asks("3"), asks("2")]
    }
    assert pod_info(pod("web", cpu="1", **spec)).requests == {"cpu": 4000}
    assert pod_info(pod("web", cpu="4", **spec)).requests == {"cpu": 5000}


def test_host_ports_clash_on_one_node_but_not_across_protocols_and_addresses() -> None:
    def ports(*ports: dict[str, Any]) -> dict[str, Any]:
        return {"initContainers": [{"name": "p", "restartPolicy": "Always", "ports": list(ports)}]}

    cluster = Cluster(node("a"))
    assert cluster.place(pod("one", **ports({"hostPort": 80, "hostIP": "10.0.0.1"}))) == "a"
    assert cluster.place(pod("udp", **ports({"hostPort": 80, "protocol": "UDP"}))) == "a"
    assert cluster.place(pod("two", **ports({"hostPort": 80, "hostIP": "10.0.0.2"}))) == "a"
    assert cluster.why(pod("any", **ports({"hostPort": 80}))) == (
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."
    )


def test_a_daemon_pod_goes_to_the_node_it_names_or_nowhere() -> None:
    def named(name: str) -> dict[str, Any]:
        field = {"key": "metadata.name", "operator": "In", "values": [name]}
        terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
        return {
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
        }

    cluster = Cluster(node("a"), node("b"), node("c", pods="0"))
    assert cluster.place(pod("ds-b", **named("b"))) == "b"
    assert cluster.why(pod("ds-c", **named("c"))) == (
        "0/3 nodes are available: 1 Too many pods, "
        "2 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    )


def test_preferred_affinity_draws_pods() -> None:
    term = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
    preferred = [{"weight": 50, "preference": term}]
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
    cluster = Cluster(node("a"), node("b", labels={"disk": "ssd"}), node("c"))
    assert cluster.place(pod("web", affinity=affinity)) == "b"


def test_an_image_at_hand_tips_the_balance() -> None:
    other = node("b")
    image = {"names": ["web:latest"], "sizeBytes": 500 * 1024 * 1024}
    other["status"]["images"] = [image]
    wanted = pod("web")
    wanted["spec"]["containers"][0]["image"] = "web"
    assert Cluster(node("a"), other, node("c")).place(wanted) == "b"


def spread(**more: Any) -> dict[str, Any]:
    constraint = {
        "topologyKey": "zone",
        "maxSkew": 1,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    } | more
    return {"labels": {"app": "web"}, "topologySpreadConstraints": [constraint]}


def test_zones_never_differ_by_more_than_max_skew() -> None:
    zones = {"a1": "a", "a2": "a", "b1": "b"}
    cluster = Cluster(*[node(n, labels={"zone": z}) for n, z in zones.items()])
    placed = [cluster.place(pod(f"web-{i}", **spread())) for i in range(6)]
    assert sorted(zones[str(p)] for p in placed) == ["a"] * 3 + ["b"] * 3


def test_a_constraint_that_cannot_hold_refuses_with_its_own_words() -> None:
    cluster = Cluster(node("a", labels={"zone": "a"}), node("b", labels={"zone": "b"}, pods="0"))
    cluster.snapshot.set_node(node("c"))
    assert cluster.place(pod("web-0", **spread())) == "a"
    assert cluster.why(pod("web-1", **spread())) == (
        "0/3 nodes are available: 1 Too many pods, "
        "1 node(s) didn't match pod topology spread constraints, "
        "1 node(s) didn't match pod topology spread constraints (missing required label)."
    )


def test_min_domains_counts_zones_that_are_not_there_as_empty() -> None:
    cluster = Cluster(node("a", labels={"zone": "a"}))
    assert cluster.place(pod("web-0", **spread(minDomains=2))) == "a"
    assert isinstance(cluster.place(pod("web-1", **spread(minDomains=2))), Unschedulable)


def test_schedule_anyway_prefers_the_emptier_zone_but_takes_any() -> None:
    cluster = Cluster(
        node("a", labels={"zone": "a"}), node("b", labels={"zone": "b"}, pods="1", cpu="64")
    )
    soft = spread(whenUnsatisfiable="ScheduleAnyway")
    placed = [cluster.place(pod(f"web-{i}", **soft)) for i in range(4)]
    assert placed.count("b") == 1
    assert placed.count("a") == 3


def test_verdicts_follow_a_node_that_changes_goes_and_comes_back() -> None:
    cluster = Cluster(node("a"))
    assert cluster.place(pod("web-0")) == "a"
    cluster.snapshot.set_node(node("a", unschedulable=True))
    assert isinstance(cluster.place(pod("web-1")), Unschedulable)
    cluster.snapshot.set_node(node("a"))
    assert cluster.place(pod("web-1")) == "a"
    cluster.snapshot.remove_node("a")
    cluster.rankings.clear()
    assert cluster.why(pod("web-2")) == "no nodes available to schedule pods"


def test_pods_outlive_their_node_and_change_while_it_is_gone() -> None:
    cluster = Cluster(node("a", cpu="1"))
    cluster.put(pod("web-0", cpu="600m"), "a")
    cluster.snapshot.remove_node("a")
    cluster.put(pod("web-0", cpu="700m"), "a")
    cluster.snapshot.set_node(node("a", cpu="1"))
    assert "Insufficient cpu" in cluster.why(pod("web-1", cpu="400m"))


def test_what_is_remembered_gives_the_same_answer_as_looking_afresh() -> None:
    """Kept verdicts must be indistinguishable from none: a random walk with both."""
    rng = random.Random(11)
    cluster = Cluster(*[node(f"n{i}", cpu=str(rng.randint(1, 4))) for i in range(8)])
    for step in range(300):
        obj = pod(f"p{step}", cpu=f"{rng.choice([100, 300])}m", owner="rs")
        profile = Profile(filters=FILTERS, scores=SCORES, cluster=CLUSTER)
        fresh = Rankings(cluster.snapshot, profile).place(pod_info(obj))
        kept = cluster.place(obj)
        assert isinstance(kept, str) == isinstance(fresh, str)
        if isinstance(kept, Unschedulable) or rng.random() < 0.3:
            assert not isinstance(kept, Unschedulable) or kept == fresh
            cluster.snapshot.remove_pod(f"uid-p{rng.randint(0, step)}")


def test_pods_of_one_controller_are_spread_over_zones_of_unequal_size() -> None:
    zones = {"a1": "a", "a2": "a", "a3": "a", "a4": "a", "b1": "b", "b2": "b"}
    label = "topology.kubernetes.io/zone"
    cluster = Cluster(*[node(n, labels={label: z}, cpu="64") for n, z in zones.items()])
    placed = [cluster.place(pod(f"web-{i}", owner="rs")) for i in range(4)]
    assert sorted(zones[str(p)] for p in placed) == ["a", "a", "b", "b"]
    more = [cluster.place(pod(f"more-{i}", owner="rs")) for i in range(8)]
    counts = [(placed + more).count(n) for n in zones]
    assert max(counts) - min(counts) <= 2  # a zone weighs a little, a node more


def test_a_node_that_moves_to_another_zone_is_counted_there() -> None:
    label = "topology.kubernetes.io/zone"
    cluster = Cluster(*[node(n, labels={label: z}) for n, z in (("a", "x"), ("b", "y"))])
    cluster.put(pod("web-0", owner="rs"), "a")
    assert cluster.place(pod("web-1", owner="rs")) == "b"
    cluster.snapshot.set_node(node("b", labels={label: "x"}))
    cluster.snapshot.set_node(node("c", labels={label: "y"}))
    assert cluster.place(pod("web-2", owner="rs")) == "c"


def test_terms_that_name_no_node_together_refuse_all() -> None:
    fields = [{"key": "metadata.name", "operator": "In", "values": [name]} for name in ("a", "b")]
    terms = {"nodeSelectorTerms": [{"matchFields": fields}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    assert Cluster(node("a"), node("b")).why(pod("web", affinity=affinity)) == (
        "0/2 nodes are available: pod affinity terms conflict."
    )


@pytest.mark.parametrize(
    ("more", "placed"),
    [
        pytest.param({}, "open", id="tainted nodes count by default"),
        pytest.param({"nodeTaintsPolicy": "Honor"}, "open", id="tainted nodes are no domains"),
    ],
)
def test_tainted_nodes_and_spreading(more: dict[str, Any], placed: str) -> None:
    cluster = Cluster(
        node("open", labels={"zone": "a"}), node("shut", labels={"zone": "b"}, taints=[TAINT])
    )
    assert cluster.place(pod("web-0", **spread(**more))) == placed
    second = cluster.place(pod("web-1", **spread(**more)))
    assert isinstance(second, Unschedulable) == (not more)


@pytest.mark.parametrize("policy", ["Honor", "Ignore"])
def test_nodes_that_a_pod_cannot_be_on_and_spreading(policy: str) -> None:
    cluster = Cluster(
        node("ssd", labels={"zone": "a", "disk": "ssd"}), node("hdd", labels={"zone": "b"})
    )
    more = {"nodeSelector": {"disk": "ssd"}, **spread(nodeAffinityPolicy=policy)}
    assert cluster.place(pod("web-0", **more)) == "ssd"
    assert isinstance(cluster.place(pod("web-1", **more)), Unschedulable) == (policy == "Ignore")


def test_match_label_keys_spread_each_revision_by_itself() -> None:
    cluster = Cluster(*[node(z, labels={"zone": z}) for z in "ab"])
    cluster.put(pod("old", labels={"app": "web", "revision": "1"}), "a")
    more = spread(matchLabelKeys=["revision"])
    more["labels"] = {"app": "web", "revision": "2"}
    placed = [cluster.place(pod(f"web-{i}", **more)) for i in range(4)]
    assert placed.count("a") == placed.count("b") == 2


def test_two_decisions_on_the_same_input_are_equal() -> None:
    def decide() -> list[str | Unschedulable]:
        cluster = Cluster(*[node(f"n{i}", labels={"zone": f"z{i % 3}"}) for i in range(9)])
        return [cluster.place(pod(f"web-{i}", cpu="1", **spread())) for i in range(40)]

    assert decide() == decide()
