"""Which nodes get a DaemonSet's pod, and which pods go first when its template changes."""

from datetime import UTC, datetime

import pytest

from server.controllers.daemonset_nodes import daemon_pod, daemon_tolerations, node_fit, target_node
from server.controllers.daemonset_plan import (
    Daemons,
    daemon_set_status,
    plan_manage,
    plan_rolling_update,
    pods_by_node,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
READY = {"type": "Ready", "status": "True", "lastTransitionTime": "2025-01-01T00:00:00Z"}


def node(name="n1", *taints, **labels):
    found = [dict(zip(("key", "effect"), t.split(":"), strict=True)) for t in taints]
    return {"metadata": {"name": name, "labels": labels}, "spec": {"taints": found}}


def daemon_set(away=1, surge=0, template_spec=None, strategy="RollingUpdate"):
    rolling = {"maxUnavailable": away, "maxSurge": surge}
    template = {"metadata": {"labels": {"app": "d"}}, "spec": template_spec or {}}
    spec = {"template": template, "updateStrategy": {"type": strategy, "rollingUpdate": rolling}}
    meta = {"name": "d", "namespace": "ns", "uid": "u", "generation": 2}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": meta, "spec": spec}


def pod(name, on="n1", hash_="new", *, ready=True, phase="Running", **meta):
    status = {"phase": phase, "conditions": [READY] if ready else []}
    labels = {"controller-revision-hash": hash_}
    return {
        "metadata": {"name": name, "namespace": "ns", "uid": name, "labels": labels, **meta},
        "spec": {"nodeName": on},
        "status": status,
    }


def daemons(pods=(), nodes=None, **more):
    own = more.pop("daemon_set", None) or daemon_set()
    nodes = nodes if nodes is not None else [node()]
    by_node = pods_by_node(pods)
    return Daemons(daemon_set=own, nodes=nodes, pods=by_node, revision_hash="new", now=NOW, **more)


def names(pods):
    return [p["metadata"]["name"] for p in pods]


AFFINITY = {
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
                ]
            }
        }
    }
}


@pytest.mark.parametrize(
    ("spec", "on", "run", "stay"),
    [
        pytest.param({}, node(), True, True, id="any"),
        pytest.param({"nodeName": "other"}, node(), False, False, id="other-name"),
        pytest.param({"nodeSelector": {"disk": "ssd"}}, node(), False, False, id="selector"),
        pytest.param(
            {"nodeSelector": {"disk": "ssd"}}, node(disk="ssd"), True, True, id="selected"
        ),
        pytest.param(AFFINITY, node(disk="hdd"), False, False, id="affinity"),
        pytest.param(AFFINITY, node(disk="ssd"), True, True, id="affine"),
        pytest.param({}, node("n1", "a:NoSchedule"), False, True, id="no-schedule-stays"),
        pytest.param({}, node("n1", "a:NoExecute"), False, False, id="no-execute-goes"),
        pytest.param({}, node("n1", "a:PreferNoSchedule"), True, True, id="soft"),
        pytest.param(
            {}, node("n1", "node.kubernetes.io/not-ready:NoExecute"), True, True, id="not-ready"
        ),
        pytest.param(
            {}, node("n1", "node.kubernetes.io/unschedulable:NoSchedule"), True, True, id="cordoned"
        ),
        pytest.param(
            {},
            node("n1", "node.kubernetes.io/network-unavailable:NoSchedule"),
            False,
            True,
            id="no-network",
        ),
        pytest.param(
            {"hostNetwork": True},
            node("n1", "node.kubernetes.io/network-unavailable:NoSchedule"),
            True,
            True,
            id="no-network-needed",
        ),
    ],
)
def test_a_node_fits(spec, on, run, stay):
    assert node_fit(daemon_set(template_spec=spec))(on) == (run, stay)


def test_a_pod_is_bound_by_affinity_and_tolerates_what_ails_its_node():
    made = daemon_pod(daemon_set(template_spec=AFFINITY), "n7", "abc")
    assert target_node(made) == "n7"
    terms = made["spec"]["affinity"]["nodeAffinity"]
    [term] = terms["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert "matchExpressions" not in term
    assert len(made["spec"]["tolerations"]) == 6
    assert made["metadata"]["labels"] == {"app": "d", "controller-revision-hash": "abc"}
    assert made["metadata"]["generateName"] == "d-"


def test_tolerations_are_not_doubled():
    own = {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}
    assert len(daemon_tolerations({"tolerations": [own]})) == 6


@pytest.mark.parametrize(
    ("pods", "create", "delete"),
    [
        pytest.param([], ["n1"], [], id="missing"),
        pytest.param([pod("a")], [], [], id="there"),
        pytest.param([pod("a", deletionTimestamp="x")], [], [], id="waits-until-gone"),
        pytest.param([pod("a", phase="Failed")], [], ["a"], id="failed"),
        pytest.param([pod("a", phase="Succeeded")], [], ["a"], id="succeeded"),
        pytest.param([pod("b"), pod("a")], [], ["b"], id="one-too-many"),
        pytest.param([pod("a"), pod("x", on="gone")], [], [], id="bound-to-a-lost-node-is-pod-gcs"),
    ],
)
def test_each_node_has_one_pod(pods, create, delete):
    plan = plan_manage(daemons(pods))
    assert (plan.create, names(plan.delete)) == (create, delete)


def test_a_pod_made_for_a_node_that_went_is_deleted():
    unbound = daemon_pod(daemon_set(), "gone", "new")
    unbound["metadata"]["name"] = "x"
    assert names(plan_manage(daemons([pod("a"), unbound])).delete) == ["x"]


def test_a_pod_that_fails_again_and_again_is_left_alone_for_a_while():
    plan = plan_manage(daemons([pod("a", phase="Failed")], back_off=lambda _: 7.0))
    assert (plan.delete, plan.look_again) == ([], [7.0])


def test_pods_leave_nodes_that_no_longer_fit():
    tainted = [node("n1", "a:NoExecute"), node("n2", "a:NoSchedule")]
    plan = plan_manage(daemons([pod("a"), pod("b", on="n2")], tainted))
    assert (plan.create, names(plan.delete)) == ([], ["a"])


NODES = [node("n1"), node("n2"), node("n3"), node("n4")]


def four(*hashes, **ready):
    return [
        pod(f"p{n}", f"n{n}", hash_, ready=ready.get(f"p{n}", True))
        for n, hash_ in enumerate(hashes, 1)
    ]


@pytest.mark.parametrize(
    ("away", "pods", "delete"),
    [
        pytest.param(1, four("old", "old", "old", "old"), ["p1"], id="one"),
        pytest.param("50%", four("old", "old", "old", "old"), ["p1", "p2"], id="percent"),
        pytest.param(1, four("new", "old", "old", "old", p1=False), [], id="waits-for-new"),
        pytest.param(1, four("old", "old", "old", "old", p3=False), ["p3"], id="broken-first"),
        pytest.param(2, four("new", "old", "old", "old", p1=False), ["p2"], id="budget-is-shared"),
        pytest.param(1, four("new", "new", "new", "new"), [], id="done"),
    ],
)
def test_old_pods_are_replaced_within_max_unavailable(away, pods, delete):
    plan = plan_rolling_update(daemons(pods, NODES, daemon_set=daemon_set(away)))
    assert (plan.create, names(plan.delete)) == ([], delete)


@pytest.mark.parametrize(
    ("extra", "create", "delete"),
    [
        pytest.param([], ["n1"], [], id="new-beside-old"),
        pytest.param([pod("x", "n1", ready=False)], [], [], id="waits-for-new"),
        pytest.param([pod("x", "n1")], ["n2"], ["p1"], id="old-goes-when-new-is-available"),
    ],
)
def test_surge_makes_the_new_pod_before_the_old_one_goes(extra, create, delete):
    own = daemon_set(away=0, surge=1)
    pods = four("old", "old", "old", "old") + extra
    plan = plan_rolling_update(daemons(pods, NODES, daemon_set=own))
    assert (plan.create, names(plan.delete)) == (create, delete)
    kept = plan_manage(daemons(pods, NODES, daemon_set=own))
    assert names(kept.delete) == delete  # and managing agrees


def test_status_counts_nodes():
    nodes = [*NODES, node("n5", "a:NoSchedule")]
    pods = [*four("new", "old", "new", p3=False), pod("stays", "n5")]
    assert daemon_set_status(daemons(pods, nodes), synced=True) == {
        "desiredNumberScheduled": 4,
        "currentNumberScheduled": 3,
        "numberMisscheduled": 1,
        "numberReady": 2,
        "updatedNumberScheduled": 2,
        "numberAvailable": 2,
        "numberUnavailable": 2,
        "observedGeneration": 2,
    }
