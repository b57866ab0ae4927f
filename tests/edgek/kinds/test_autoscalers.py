"""HorizontalPodAutoscalers: mistakes, defaults, and what becomes of v2 in v1 and back."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from edgek.api.meta import Obj, deep_copy
from edgek.api.validation import FieldErrors
from edgek.kinds import HORIZONTAL_POD_AUTOSCALER as V2
from edgek.kinds import HORIZONTAL_POD_AUTOSCALER_V1 as V1
from edgek.kinds.horizontal_pod_autoscaler import ANNOTATION, ROUND_TRIP
from edgek.kinds.horizontal_pod_autoscaler_v1 import to_v1, to_v2

Change = Callable[[Obj], Any]
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization",
       "averageUtilization": 60}}}  # fmt: skip
PODS = {"type": "Pods", "pods": {"metric": {"name": "a<b"}, "target": {"type": "AverageValue",
        "averageValue": "3"}}}  # fmt: skip
REF = {"kind": "Ingress", "name": "i", "apiVersion": "networking.k8s.io/v1"}
METRICS = [
    PODS,
    {"type": "Object", "object": {
        "describedObject": REF, "target": {"type": "Value", "value": "1k"},
        "metric": {"name": "m", "selector": {"matchLabels": {"a": "b"}}}}},
    {"type": "External", "external": {
        "metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "2"}}},
    {"type": "ContainerResource", "containerResource": {
        "name": "cpu", "container": "c", "target": {"type": "Utilization",
                                                    "averageUtilization": 9}}},
    {"type": "Resource", "resource": {
        "name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
    CPU,
]  # fmt: skip
CURRENT = [
    {"type": "Pods", "pods": {"metric": {"name": "a<b"}, "current": {"averageValue": "4"}}},
    {"type": "Object", "object": {"describedObject": REF, "metric": {"name": "m"},
                                  "current": {"value": "1", "averageValue": "2"}}},
    {"type": "External", "external": {"metric": {"name": "m"}, "current": {"value": "0"}}},
    {"type": "ContainerResource", "containerResource": {
        "name": "cpu", "container": "c", "current": {"averageValue": "5m"}}},
    {"type": "Resource", "resource": {
        "name": "cpu", "current": {"averageValue": "5m", "averageUtilization": 33}}},
]  # fmt: skip
CONDITION = {"type": "AbleToScale", "status": "True", "reason": "a", "message": "b",
             "lastTransitionTime": "2026-01-01T00:00:00Z"}  # fmt: skip


def full() -> Obj:
    obj = deep_copy(dict(V2.example))
    obj["metadata"]["annotations"] = {"mine": "yes"}
    obj["spec"] |= {
        "metrics": deep_copy({"m": METRICS})["m"],
        "behavior": {
            "scaleDown": {
                "tolerance": "100m",
                "policies": [{"type": "Pods", "value": 1, "periodSeconds": 9}],
            }
        },
    }
    V2.default(obj)
    obj["status"] = {
        "currentReplicas": 1, "desiredReplicas": 2, "currentMetrics": CURRENT,
        "conditions": [CONDITION],
    }  # fmt: skip
    return obj


def problems(obj: Obj, kind: Any = V2) -> list[str]:
    errors = FieldErrors()
    kind.validate(obj, errors)
    return [str(e) for e in errors]


def test_all_of_v2_survives_v1() -> None:
    assert problems(full()) == []
    assert to_v2(to_v1(full())) == full()


def test_v1_tells_cpu_in_fields_and_the_rest_in_annotations() -> None:
    shown = to_v1(full())
    assert shown["spec"] == {
        "scaleTargetRef": V2.example["spec"]["scaleTargetRef"],
        "minReplicas": 1,
        "maxReplicas": 5,
        "targetCPUUtilizationPercentage": 60,
    }
    assert shown["status"] == {
        "currentReplicas": 1, "desiredReplicas": 2, "currentCPUUtilizationPercentage": 33,
    }  # fmt: skip
    notes = shown["metadata"]["annotations"]
    assert set(notes) == {"mine", *ROUND_TRIP}
    assert notes[ANNOTATION + "metrics"].startswith(
        '[{"type":"Pods","pods":{"metricName":"a\\u003cb","targetAverageValue":"3"}},{"type":"Object"'
    )
    assert notes[ANNOTATION + "behavior"] == (
        '{"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":"Max","Policies":[{"Type":"Pods",'
        '"Value":4,"PeriodSeconds":15},{"Type":"Percent","Value":100,"PeriodSeconds":15}],'
        '"Tolerance":null},"ScaleDown":{"StabilizationWindowSeconds":null,"SelectPolicy":"Max",'
        '"Policies":[{"Type":"Pods","Value":1,"PeriodSeconds":9}],"Tolerance":"100m"}}'
    )


def test_a_bare_v1_scales_by_cpu() -> None:
    obj = {"metadata": {"name": "x"}, "spec": {"maxReplicas": 2}}
    (metric,) = to_v2(obj)["spec"]["metrics"]
    assert metric["resource"]["target"]["averageUtilization"] == 80


@pytest.mark.parametrize(
    "text",
    ["[", "{}", "[5]", '[{"type":"Pods","pods":5}]', "[" * 100_000, "null", '"x"',
     '[{"type":"Pods","pods":{"targetAverageValue":"much"}}]',
     '[{"type":"Pods","pods":{"targetAverageValue":{}}}]', '{"ScaleUp":[]}'],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_annotations_that_make_no_sense_are_not_there(text: str) -> None:
    obj = deep_copy(dict(V1.example))
    clean = to_v2(obj)
    obj["metadata"]["annotations"] = dict.fromkeys(ROUND_TRIP, text)
    made = to_v2(obj)
    made["spec"].pop("behavior", None)  # an empty behavior is one
    assert made == clean


def test_annotations_of_v1_change_no_status() -> None:
    old = to_v1(full())
    new = deep_copy(old)
    forged = json.dumps([CONDITION | {"type": "Forged"}])
    new["metadata"]["annotations"][ANNOTATION + "conditions"] = forged
    V1.prepare(new, old)
    assert to_v2(new)["status"] == full()["status"]


def test_the_status_of_v1_changes_no_metrics() -> None:
    old = to_v1(full())
    new = deep_copy(old)
    del new["metadata"]["annotations"][ANNOTATION + "metrics"]
    V1.prepare_status(new, old)
    assert to_v2(new)["spec"] == full()["spec"]


def test_v2_has_no_use_for_the_annotations() -> None:
    obj = full()
    obj["metadata"]["annotations"] |= dict.fromkeys(ROUND_TRIP, "[]")
    V2.prepare(obj, None)
    assert obj["metadata"]["annotations"] == {"mine": "yes"}


def test_a_behavior_is_completed() -> None:
    behavior = full()["spec"]["behavior"]
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert [p["type"] for p in behavior["scaleUp"]["policies"]] == ["Pods", "Percent"]
    assert behavior["scaleDown"]["selectPolicy"] == "Max"
    assert "stabilizationWindowSeconds" not in behavior["scaleDown"]


def metric(kind: str, field: str, **source: Any) -> Change:
    return lambda spec: spec.update(metrics=[{"type": kind, field: source}])


def rules(**fields: Any) -> Change:
    return lambda spec: spec["behavior"]["scaleDown"].update(fields)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: s.update(minReplicas=0), "minReplicas: Invalid value: 0: must be greater"),
        (lambda s: s.update(maxReplicas=0), "spec.maxReplicas: Invalid value: 0: must be great"),
        (lambda s: s.update(minReplicas=9), "must be greater than or equal to `minReplicas`"),
        (lambda s: s["scaleTargetRef"].pop("name"), "spec.scaleTargetRef.name: Required value"),
        (lambda s: s["scaleTargetRef"].update(kind="a/b"), "kind: Invalid value: \"a/b\": may not"),
        (lambda s: s.update(metrics=[{}]), "metrics[0].type: Required value: must specify a"),
        (metric("Other", "pods"), 'metrics[0].type: Unsupported value: "Other"'),
        (lambda s: s.update(metrics=[{"type": "Pods"}]), "must populate information for the given"),
        (lambda s: s.update(metrics=[{**PODS, "resource": CPU["resource"]}]),
         "spec.metrics[0].resource: Forbidden: must populate the given metric source only"),
        (metric("Pods", "pods"), "pods.metric.name: Required value: must specify a metric name"),
        (metric("Pods", "pods"), "pods.target.averageValue: Required value: must specify a posit"),
        (metric("Object", "object"), "object.describedObject.kind: Required value"),
        (metric("External", "external", target={"value": "1", "averageValue": "1"}),
         "may not set both a target value for metric and a per-pod target"),
        (metric("Resource", "resource"), "resource.name: Required value: must specify a resource"),
        (metric("Resource", "resource", target={"type": "Some", "averageUtilization": 0}),
         "must be either Utilization, Value, or AverageValue"),
        (metric("Resource", "resource", target={"averageUtilization": 0}), "must be greater than"),
        (metric("Resource", "resource", target={"averageValue": "0"}), "must be positive"),
        (metric("Resource", "resource", target={"averageUtilization": 1, "averageValue": "1"}),
         "may not set both a target raw value and a target utilization"),
        (metric("ContainerResource", "containerResource"), "must specify a container"),
        (rules(policies=[]), "scaleDown.policies: Required value: must specify at least"),
        (rules(selectPolicy="Some"), 'supported values: "Disabled", "Max", "Min"'),
        (rules(stabilizationWindowSeconds=3601), "must be less than or equal to 3600"),
        (rules(stabilizationWindowSeconds=-1), "must be greater than or equal to zero"),
        (rules(tolerance="-1"), "tolerance: Invalid value"),
        (rules(policies=[{"type": "Pods", "value": 0, "periodSeconds": 1801}]),
         "must be less than or equal to 1800"),
        (rules(policies=[{"type": "Some", "value": 1, "periodSeconds": 1}]), "supported values"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_field(change: Change, sentence: str) -> None:
    obj = full()
    change(obj["spec"])
    told = problems(obj)
    assert any(sentence in text for text in told), told


def test_v1_is_told_in_v2s_fields() -> None:
    obj = deep_copy(dict(V1.example))
    obj["spec"]["targetCPUUtilizationPercentage"] = 0
    (told,) = problems(obj, V1)
    assert told.startswith("spec.metrics[0].resource.target.averageUtilization: Invalid value: 0")


def test_targets_are_shown_two_at_a_time() -> None:
    columns = {c.name: c.read(full()) for c in V2.columns}
    assert columns["Targets"] == "4/3, 1/1k + 4 more..."
    assert columns["Reference"] == "Deployment/web"
    one = full()
    one["spec"]["metrics"] = [CPU]
    assert {c.name: c.read(one) for c in V2.columns}["Targets"] == "cpu: <unknown>/60%"
    one["status"]["currentMetrics"] = CURRENT[-1:]
    assert {c.name: c.read(one) for c in V2.columns}["Targets"] == "cpu: 33%/60%"
    assert {c.name: c.read(to_v1(one)) for c in V1.columns}["Targets"] == "cpu: 33%/60%"
