"""Defaults and refusals of limit ranges, quotas, priority and runtime classes."""

from typing import Any

import pytest

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors
from edgek.kinds import LIMIT_RANGE, PRIORITY_CLASS, RESOURCE_QUOTA, RUNTIME_CLASS
from edgek.kinds.kind import Kind
from edgek.kinds.priority_class import SYSTEM_CLASSES


def problems(kind: Kind, obj: Obj) -> list[str]:
    made = {"metadata": {"name": "x"}, **obj}
    kind.default(made)
    errors = FieldErrors()
    kind.validate(made, errors)
    return [str(e) for e in errors]


def limits(kind: str, **fields: Any) -> Obj:
    return {"spec": {"limits": [{"type": kind, **fields}]}}


def test_limits_of_containers_follow_from_one_another() -> None:
    found = limits("Container", max={"cpu": "2"}, min={"memory": "1Mi"}, default={"memory": "1Gi"})
    LIMIT_RANGE.default(found)
    (item,) = found["spec"]["limits"]
    assert item["default"] == {"memory": "1Gi", "cpu": "2"}
    assert item["defaultRequest"] == {"memory": "1Gi", "cpu": "2"}


@pytest.mark.parametrize(
    ("obj", "found"),
    [
        (
            limits("Pod", min={"cpu": "2"}, max={"cpu": "1"}, default={"cpu": "1"}),
            [
                "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'",
                'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max '
                "value 1",
            ],
        ),
        (
            limits("Container", defaultRequest={"cpu": "2"}, default={"cpu": "1"}),
            [
                'spec.limits[0].defaultRequest[cpu]: Invalid value: "2": default request value 2 '
                "is greater than default limit value 1"
            ],
        ),
        (
            limits("Pod", min={"cpu": "1"}, max={"cpu": "2"}, maxLimitRequestRatio={"cpu": "3"}),
            [
                'spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "3": ratio 3 is greater '
                "than max/min = 2.000000"
            ],
        ),
        (
            limits("PersistentVolumeClaim", max={"cpu": "1"}),
            [
                "spec.limits[0].limits: Required value: either minimum or maximum storage value "
                "is required, but neither was provided"
            ],
        ),
        (
            limits("Box", max={"size": "1"}),
            [
                'spec.limits[0].type: Invalid value: "Box": must be a standard limit type or fully '
                "qualified",
                'spec.limits[0].max[size]: Invalid value: "size": must be a standard resource type '
                "or fully qualified",
            ],
        ),
    ],
)
def test_a_limit_range_contradicts_itself(obj: Obj, found: list[str]) -> None:
    assert problems(LIMIT_RANGE, obj) == found


def quota(hard: dict[str, str] | None = None, *scopes: str, **term: Any) -> Obj:
    spec: Obj = {"hard": hard or {}, "scopes": list(scopes)}
    if term:
        spec["scopeSelector"] = {"matchExpressions": [term]}
    return {"spec": spec}


@pytest.mark.parametrize(
    ("obj", "found"),
    [
        (quota({"count/toys.example.com": "1", "requests.example.com/gpu": "2"}), []),
        (quota({"hugepages-2Mi": "1Gi", "limits.ephemeral-storage": "1Gi"}), []),
        (quota({"pods": "10"}, "BestEffort"), []),
        (
            quota({"pods": "1500m", "storage": "1", "cpu": "-1"}),
            [
                'spec.hard[pods]: Invalid value: "1500m": must be an integer',
                'spec.hard[storage]: Invalid value: "storage": must be a standard resource for '
                "quota",
                'spec.hard[cpu]: Invalid value: "-1": must be greater than or equal to 0',
            ],
        ),
        (
            quota({"configmaps": "1"}, "BestEffort"),
            [
                'spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource'
            ],
        ),
        (
            quota({}, "Terminating", "NotTerminating"),
            [
                'spec.scopes: Invalid value: ["Terminating","NotTerminating"]: conflicting scopes'
            ],
        ),
        (
            quota(scopeName="PriorityClass", operator="In"),
            [
                "spec.scopeSelector.matchExpressions.values: Required value: must be at least one "
                "value when `operator` is 'In' or 'NotIn' for scope selector"
            ],
        ),
        (
            quota(scopeName="BestEffort", operator="DoesNotExist"),
            [
                'spec.scopeSelector.matchExpressions.operator: Invalid value: "DoesNotExist": '
                "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, "
                "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
                "ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
            ],
        ),
    ],
)  # fmt: skip
def test_what_a_quota_may_limit(obj: Obj, found: list[str]) -> None:
    assert problems(RESOURCE_QUOTA, obj) == found


def test_what_is_used_of_a_quota_is_shown() -> None:
    status = {
        "hard": {"pods": "10", "requests.cpu": "4", "limits.memory": "8Gi"},
        "used": {"pods": "1", "requests.cpu": "1500m"},
    }
    row = {c.name: c.read({"metadata": {}, "status": status}) for c in RESOURCE_QUOTA.columns}
    assert row["Request"] == "pods: 1/10, requests.cpu: 1500m/4"
    assert row["Limit"] == "limits.memory: 0/8Gi"


@pytest.mark.parametrize(
    ("obj", "found"),
    [
        ({"value": 1_000_000_000}, []),
        (
            {"value": 1_000_000_001},
            [
                "value: Forbidden: maximum allowed value of a user defined priority is 1000000000"
            ],
        ),
        (
            {"value": 1, "preemptionPolicy": "Always"},
            [
                'preemptionPolicy: Unsupported value: "Always": supported values: "Never", '
                '"PreemptLowerPriority"'
            ],
        ),
        (
            {"metadata": {"name": "system-mine"}, "value": 1},
            [
                "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved "
                "for system use only. error: system-mine is not a known system priority class"
            ],
        ),
        *((dict(system), []) for system in SYSTEM_CLASSES),
    ],
)  # fmt: skip
def test_priorities_of_users_stay_below_the_systems(obj: Obj, found: list[str]) -> None:
    assert problems(PRIORITY_CLASS, obj) == found


def test_a_runtime_class_is_checked_like_what_it_puts_into_pods() -> None:
    toleration = {"key": "vm", "operator": "Exists"}
    obj: Obj = {
        "handler": "Kata",
        "overhead": {"podFixed": {"cpu": "x"}},
        "scheduling": {"tolerations": [toleration, dict(toleration)]},
    }
    handler, overhead, doubled = problems(RUNTIME_CLASS, obj)
    assert handler.startswith('handler: Invalid value: "Kata": a lowercase RFC 1123 label')
    assert overhead.startswith('overhead.limits[cpu]: Invalid value: "x": quantities must match')
    assert doubled.startswith("scheduling.tolerations[1]: Duplicate value: ")
