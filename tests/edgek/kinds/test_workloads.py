"""Mistakes in StatefulSets, ReplicationControllers and disruption budgets, and in statuses."""

from collections.abc import Callable
from typing import Any

import pytest

from edgek.api.meta import Obj, deep_copy
from edgek.api.validation import FieldErrors
from edgek.kinds import (
    ALL,
    DEPLOYMENT,
    POD_DISRUPTION_BUDGET,
    REPLICATION_CONTROLLER,
    STATEFUL_SET,
)
from edgek.kinds.kind import Kind
from tests.support.mistakes import made, problems

Change = Callable[[Obj], Any]
ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}


def with_(**fields: Any) -> Change:
    return lambda spec: spec.update(fields)


@pytest.mark.parametrize(
    ("kind", "change", "sentence"),
    [
        (STATEFUL_SET, with_(podManagementPolicy="Some"),
         "Invalid value: \"Some\": must be 'OrderedReady' or 'Parallel'"),
        (STATEFUL_SET, with_(updateStrategy={}), "spec.updateStrategy: Required value"),
        (STATEFUL_SET, with_(updateStrategy={"type": "Recreate"}),
         "must be 'RollingUpdate' or 'OnDelete'"),
        (STATEFUL_SET, with_(updateStrategy={"type": "OnDelete", "rollingUpdate": {}}),
         "only allowed for updateStrategy 'RollingUpdate'"),
        (STATEFUL_SET, with_(updateStrategy=ROLLING),
         "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0"),
        (STATEFUL_SET, with_(ordinals={"start": -1}), "spec.ordinals.start: Invalid value: -1"),
        (STATEFUL_SET, with_(serviceName="A_B"), "spec.serviceName: Invalid value: \"A_B\": a low"),
        (STATEFUL_SET, with_(selector={}), "empty selector is invalid for statefulset"),
        (STATEFUL_SET, with_(persistentVolumeClaimRetentionPolicy={"whenDeleted": "Keep"}),
         'whenDeleted: Unsupported value: "Keep": supported values: "Delete", "Retain"'),
        (STATEFUL_SET, with_(volumeClaimTemplates=[]), 'volumeMounts[0].name: Not found: "data"'),
        (STATEFUL_SET, lambda s: s["volumeClaimTemplates"][0]["spec"].pop("accessModes"),
         "spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode"),
        (REPLICATION_CONTROLLER, with_(selector={}), "spec.selector: Required value"),
        (REPLICATION_CONTROLLER, with_(selector={"app": "x"}),
         'labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`'),
        (REPLICATION_CONTROLLER, with_(template=None), "spec.template: Required value"),
        (REPLICATION_CONTROLLER, with_(replicas=-1), "must be greater than or equal to 0"),
        (REPLICATION_CONTROLLER, lambda s: s["template"]["spec"].update(restartPolicy="Never"),
         'restartPolicy: Unsupported value: "Never": supported values: "Always"'),
        (POD_DISRUPTION_BUDGET, with_(maxUnavailable=1),
         "minAvailable and maxUnavailable cannot be both set"),
        (POD_DISRUPTION_BUDGET, with_(minAvailable="101%"), "must not be greater than 100%"),
        (POD_DISRUPTION_BUDGET, with_(minAvailable="half"), "a valid percent string must be"),
        (POD_DISRUPTION_BUDGET, with_(minAvailable=-1), "must be greater than or equal to 0"),
        (POD_DISRUPTION_BUDGET, with_(unhealthyPodEvictionPolicy="Never"),
         'supported values: "AlwaysAllow", "IfHealthyBudget"'),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_field(kind: Kind, change: Change, sentence: str) -> None:
    obj = made(kind)
    change(obj["spec"])
    told = problems(kind, obj)
    assert any(sentence in text for text in told), told


@pytest.mark.parametrize(
    ("change", "may"),
    [
        (with_(replicas=5, minReadySeconds=3, revisionHistoryLimit=1, ordinals={"start": 2}), True),
        (with_(persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete"}), True),
        (with_(updateStrategy={"type": "OnDelete"}), True),
        (with_(serviceName=""), False),
        (with_(podManagementPolicy="Parallel"), False),
        (with_(volumeClaimTemplates=[]), False),
        (with_(selector={"matchLabels": {"app": "other"}}), False),
    ],
)
def test_what_of_a_stateful_set_may_change(change: Change, may: bool) -> None:
    old = made(STATEFUL_SET)
    new = deep_copy(old)
    change(new["spec"])
    errors = FieldErrors()
    STATEFUL_SET.validate_update(new, old, errors)
    assert bool(errors) != may


def test_a_claim_template_says_what_it_is() -> None:
    (claim,) = made(STATEFUL_SET)["spec"]["volumeClaimTemplates"]
    assert (claim["apiVersion"], claim["kind"]) == ("v1", "PersistentVolumeClaim")
    assert claim["spec"]["volumeMode"] == "Filesystem"
    assert claim["status"] == {"phase": "Pending"}


def test_a_replication_controller_takes_its_selector_and_labels_from_the_template() -> None:
    obj = made(REPLICATION_CONTROLLER)
    assert obj["spec"]["selector"] == obj["metadata"]["labels"] == {"app": "web"}


COUNTED = [k for k in ALL if k.plural in ("deployments", "replicasets", "statefulsets",
                                          "replicationcontrollers")]  # fmt: skip


@pytest.mark.parametrize("kind", COUNTED, ids=lambda kind: kind.plural)
def test_no_more_pods_are_ready_than_there_are(kind: Kind) -> None:
    obj = made(kind)
    obj["status"] = {"replicas": 1, "readyReplicas": 2, "availableReplicas": 3}
    told = "; ".join(problems(kind, obj))
    assert "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas" in told
    assert "status.availableReplicas: Invalid value: 3: cannot be greater than " in told
    obj["status"] = {"readyReplicas": 1}
    assert problems(kind, obj), "no number is zero"


def test_a_collision_count_only_grows() -> None:
    old = made(DEPLOYMENT) | {"status": {"collisionCount": 2}}
    new = made(DEPLOYMENT) | {"status": {"collisionCount": 1}}
    assert any("cannot be decremented" in p for p in problems(DEPLOYMENT, new, old))
    assert problems(DEPLOYMENT, old, new) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"status": "Maybe"}, 'conditions[0].status: Unsupported value: "Maybe"'),
        ({"reason": "not good"}, "a condition reason must start with alphabetic character"),
        ({"reason": ""}, "status.conditions[0].reason: Required value: must be set"),
        ({"type": "a b"}, "status.conditions[0].type: Invalid value"),
        ({"lastTransitionTime": None}, "lastTransitionTime: Required value: must be set"),
    ],
    ids=str,
)
def test_conditions_are_complete(change: Obj, sentence: str) -> None:
    condition = {"type": "A", "status": "True", "reason": "B",
                 "lastTransitionTime": "2026-01-01T00:00:00Z"}  # fmt: skip
    obj = made(POD_DISRUPTION_BUDGET) | {"status": {"conditions": [condition]}}
    assert problems(POD_DISRUPTION_BUDGET, obj) == []
    obj["status"] = {"conditions": [condition | change, condition]}
    told = problems(POD_DISRUPTION_BUDGET, obj)
    assert any(sentence in text for text in told), told
