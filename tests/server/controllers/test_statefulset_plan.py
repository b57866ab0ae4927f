"""StatefulSet planning: order, partitions, what may go at once, and whose the claims are."""

from datetime import UTC, datetime

import pytest

from edgek.kinds import STATEFUL_SET
from server.controllers.controller_revision import new_revision
from server.controllers.statefulset_claims import is_stale, is_up_to_date, plan_claims_of
from server.controllers.statefulset_identity import new_claims, new_pod, parent_and_ordinal
from server.controllers.statefulset_plan import Stateful, plan_stateful, stateful_status

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def stateful_set(replicas=3, *, parallel=False, partition=None, away=None, status=None, **spec):
    labels = {"app": "db"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"image": "v2"}]}}
    rolling = {"partition": partition or 0, "maxUnavailable": away or 1}
    return {
        "apiVersion": STATEFUL_SET.api_version,
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "ns", "uid": "set", "generation": 1},
        "spec": {
            "replicas": replicas,
            "serviceName": "db",
            "selector": {"matchLabels": labels},
            "podManagementPolicy": "Parallel" if parallel else "OrderedReady",
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
            "template": template,
            **spec,
        },
        "status": status or {},
    }


OLD, NEW = "db-old", "db-new"


def revision(owner, name):
    made = new_revision(owner, 1)
    made["metadata"]["name"] = name
    return made


def pod(ordinal, state="ready", revision_name=NEW):
    """``state``: ready, broken, going (being deleted) or over."""
    owner = stateful_set()
    made = new_pod(owner, revision(owner, revision_name), ordinal)
    made["metadata"]["uid"] = f"pod-{ordinal}"
    since = "2025-12-31T23:59:50Z"
    ready = {
        "type": "Ready",
        "status": str(state in ("ready", "going")),
        "lastTransitionTime": since,
    }
    phase = "Failed" if state == "over" else "Running"
    made["status"] = {"phase": phase, "conditions": [ready]}
    if state == "going":
        made["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return made


def state_of(owner, *pods, claims=()):
    by_name = {claim["metadata"]["name"]: claim for claim in claims}
    return Stateful(
        stateful_set=owner, pods=pods, claims=by_name.get, now=NOW,
        current=revision(owner, OLD), update=revision(owner, NEW),
    )  # fmt: skip


def names(pods):
    return [p["metadata"]["name"] for p in pods]


def made(plan):
    return [step.pod["metadata"]["name"] for step in plan.steps if step.create]


def plan_of(owner, *pods, **more):
    return plan_stateful(state_of(owner, *pods, **more))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("db-0", ("db", 0)), ("a-b-12", ("a-b", 12)), ("db", ("", -1)), ("db-x", ("", -1)),
     ("db-99999999999", ("", -1)), ("-1", ("", 1))],
)  # fmt: skip
def test_a_pods_name_says_its_set_and_ordinal(name, expected):
    assert parent_and_ordinal(name) == expected


def test_a_pod_is_told_who_it_is():
    found = new_pod(stateful_set(), revision(stateful_set(), NEW), 4)
    assert found["metadata"]["labels"] == {
        "app": "db",
        "statefulset.kubernetes.io/pod-name": "db-4",
        "apps.kubernetes.io/pod-index": "4",
        "controller-revision-hash": NEW,
    }
    assert (found["spec"]["hostname"], found["spec"]["subdomain"]) == ("db-4", "db")


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ([], ["db-0"]),
        ([pod(0)], ["db-1"]),
        ([pod(0, "broken")], []),
        ([pod(0, "going")], []),
        ([pod(1)], ["db-0"]),
        ([pod(0), pod(1), pod(2)], []),
    ],
    ids=["first", "next", "waits for ready", "waits for its end", "fills gaps", "all"],
)
def test_in_order_one_pod_is_made_and_waited_for(pods, expected):
    assert made(plan_of(stateful_set(), *pods)) == expected


def test_in_parallel_all_missing_pods_are_made():
    assert made(plan_of(stateful_set(parallel=True), pod(1, "broken"))) == ["db-0", "db-2"]


def test_ordinals_may_start_anywhere():
    owner = stateful_set(2, parallel=True, ordinals={"start": 5})
    plan = plan_of(owner, pod(0))
    assert (made(plan), names(plan.condemned)) == (["db-5", "db-6"], ["db-0"])


def test_the_next_pod_waits_until_the_last_is_available():
    assert made(plan_of(stateful_set(minReadySeconds=11), pod(0))) == []
    assert made(plan_of(stateful_set(minReadySeconds=10), pod(0))) == ["db-1"]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("ready ready ready", ["db-2"]),
        ("ready ready going", []),
        ("ready broken ready", ["db-2"]),
        ("ready broken broken", []),
        ("ready ready broken", ["db-2"]),
        ("broken ready ready", []),
    ],
)
def test_in_order_the_highest_pod_goes_first_and_alone(states, expected):
    pods = [pod(n, state) for n, state in enumerate(states.split())]
    assert names(plan_of(stateful_set(1), *pods).condemned) == expected


def test_in_parallel_all_that_is_too_much_goes_at_once():
    plan = plan_of(stateful_set(1, parallel=True), pod(0, "broken"), pod(1), pod(2, "broken"))
    assert names(plan.condemned) == ["db-2", "db-1"]


def test_what_is_over_is_replaced():
    plan = plan_of(stateful_set(), pod(0, "over"))
    assert (names(plan.ended), made(plan)) == (["db-0"], [])


OLD_PODS = [pod(n, revision_name=OLD) for n in range(4)]


@pytest.mark.parametrize(
    ("options", "pods", "expected"),
    [
        ({}, OLD_PODS, ["db-3"]),
        ({"partition": 2}, [*OLD_PODS[:3], pod(3)], ["db-2"]),
        ({"partition": 4}, OLD_PODS, []),
        ({"away": 2}, OLD_PODS, ["db-3", "db-2"]),
        ({"away": "60%"}, OLD_PODS, ["db-3", "db-2"]),
        ({"away": "10%"}, OLD_PODS, ["db-3"]),
        ({"parallel": True}, [*OLD_PODS[:3], pod(3, "broken")], []),
        ({}, [*OLD_PODS[:3], pod(3, "broken")], []),
        ({}, [*OLD_PODS[:3], pod(3, "broken", OLD)], []),
        ({"parallel": True}, [*OLD_PODS[:3], pod(3, "broken", OLD)], ["db-3"]),
        ({"parallel": True}, [pod(0, "broken", OLD), *OLD_PODS[1:]], ["db-0"]),
    ],
    ids=[
        "highest", "next above partition", "all below partition", "two at once", "percentage",
        "never none", "waits for new", "waits for new in order", "broken old one blocks order",
        "broken old one goes", "broken old one goes before whole ones",
    ],
)  # fmt: skip
def test_old_pods_are_replaced_within_limits(options, pods, expected):
    assert names(plan_of(stateful_set(4, **options), *pods).outdated) == expected


def test_on_delete_replaces_nothing():
    owner = stateful_set(4, updateStrategy={"type": "OnDelete"})
    assert plan_of(owner, *OLD_PODS).outdated == []


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}, [OLD, OLD, NEW]),
        ({"type": "RollingUpdate"}, [OLD, NEW, NEW]),
        ({"type": "OnDelete"}, [NEW, NEW, NEW]),
    ],
    ids=["partition", "as many as were current", "always the newest"],
)
def test_pods_are_made_from_the_revision_their_ordinal_is_at(strategy, expected):
    owner = stateful_set(parallel=True, updateStrategy=strategy, status={"currentReplicas": 1})
    labels = [s.pod["metadata"]["labels"] for s in plan_of(owner).steps]
    assert [found["controller-revision-hash"] for found in labels] == expected


def test_a_set_that_is_deleted_plans_nothing():
    owner = stateful_set()
    owner["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    plan = plan_of(owner, pod(0, "over"), pod(7))
    assert plan == plan_of(owner)


def test_a_pod_that_lost_its_identity_is_mended():
    lost = pod(0)
    del lost["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"]
    [step, _] = plan_of(stateful_set(), lost).steps
    assert step.mended["metadata"]["labels"] == pod(0)["metadata"]["labels"]


def test_the_status_counts_and_completes():
    owner = stateful_set(2)
    s = state_of(owner, pod(0, revision_name=OLD), pod(1))
    assert stateful_status(s, plan_stateful(s)) == {
        "observedGeneration": 1, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 1,
        "availableReplicas": 2, "currentRevision": OLD, "updateRevision": NEW, "collisionCount": 0,
    }  # fmt: skip
    s = state_of(owner, pod(0), pod(1))
    status = stateful_status(s, plan_stateful(s))
    assert (status["currentRevision"], status["currentReplicas"]) == (NEW, 2)


# Claims

CLAIMS = [{"metadata": {"name": "data", "labels": {"a": "b"}}, "spec": {"x": 1}}]


def with_claims(*, deleted="Retain", scaled="Retain", replicas=1):
    policy = {"whenDeleted": deleted, "whenScaled": scaled}
    return stateful_set(
        replicas, volumeClaimTemplates=CLAIMS, persistentVolumeClaimRetentionPolicy=policy
    )


def claim_of(owner, *refs, ordinal=0):
    [found] = new_claims(owner, ordinal)
    return {**found, "metadata": {**found["metadata"], "ownerReferences": list(refs)}}


def ref(kind, name, uid, *, controller=True):
    version = "v1" if kind == "Pod" else "apps/v1"
    made = {"apiVersion": version, "kind": kind, "name": name, "uid": uid}
    return made | ({"controller": True, "blockOwnerDeletion": True} if controller else {})


SET = ref("StatefulSet", "db", "set")


def test_a_claim_is_made_before_its_pod_and_mounted():
    [step] = plan_of(with_claims()).steps
    [claim] = step.claims.make
    assert claim["metadata"] == {
        "name": "data-db-0", "namespace": "ns", "labels": {"a": "b", "app": "db"},
    }  # fmt: skip
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}}
    assert step.pod["spec"]["volumes"] == [volume]


def test_a_claim_that_is_there_is_kept_as_it_is():
    [step] = plan_of(with_claims(), claims=[claim_of(with_claims())]).steps
    assert (step.claims.make, step.claims.own) == ((), ())


@pytest.mark.parametrize(
    ("deleted", "scaled", "ordinal", "expected"),
    [
        ("Retain", "Retain", 0, []),
        ("Delete", "Retain", 0, [SET]),
        ("Delete", "Retain", 1, [SET]),
        ("Retain", "Delete", 0, []),
        ("Retain", "Delete", 1, [ref("Pod", "db-1", "pod-1")]),
        ("Delete", "Delete", 0, [SET]),
        ("Delete", "Delete", 1, [ref("Pod", "db-1", "pod-1")]),
    ],
)
def test_claims_belong_to_what_they_shall_go_with(deleted, scaled, ordinal, expected):
    owner, theirs = with_claims(deleted=deleted, scaled=scaled), ref("ConfigMap", "c", "u")
    claims = [claim_of(owner, theirs | {"controller": False}, ordinal=ordinal)]
    work = plan_claims_of(owner, pod(ordinal), {"data-db-0": claims[0], "data-db-1": claims[0]}.get)
    refs = work.own[0]["metadata"]["ownerReferences"][1:] if work.own else []
    assert refs == expected
    if work.own:
        assert is_up_to_date(owner, pod(ordinal), work.own[0])


@pytest.mark.parametrize(
    ("claim_refs", "up_to_date"),
    [
        ([SET], True),
        ([], False),
        ([ref("StatefulSet", "db", "set", controller=False)], False),
        ([ref("StatefulSet", "db", "before")], True),
        ([ref("Other", "o", "u")], True),
        ([ref("Other", "o", "u"), SET], False),
    ],
    ids=["ours", "nobody's", "no controller", "of an earlier set", "another's", "of both"],
)
def test_claims_of_others_are_left_to_them(claim_refs, up_to_date):
    owner = with_claims(deleted="Delete")
    assert is_up_to_date(owner, pod(0), claim_of(owner, *claim_refs)) == up_to_date


def test_a_pod_waits_until_the_claim_of_its_predecessor_is_gone():
    owner = with_claims(scaled="Delete")
    claim = claim_of(owner, ref("Pod", "db-0", "before"))
    assert plan_of(owner, claims=[claim]).steps == []
    assert not is_stale(with_claims(), pod(0), {"data-db-0": claim}.get)


def test_the_same_state_gives_the_same_plan():
    owner = with_claims(deleted="Delete", replicas=4)
    assert plan_of(owner, *OLD_PODS) == plan_of(owner, *OLD_PODS)
