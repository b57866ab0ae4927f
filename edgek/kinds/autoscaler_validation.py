"""Validation of HorizontalPodAutoscalers (pkg/apis/autoscaling/validation), in v2's shape."""

from typing import Any

from edgek.api.meta import Obj, get_path
from edgek.api.quantity import canonical, parse_quantity
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_label, is_path_segment
from edgek.kinds.checks import check_enum, check_numbers, check_quantity, check_rule

SPEC = FieldPath("spec")
STATUS = FieldPath("status")
MAX_PERIOD = 1800
MAX_WINDOW = 3600
SELECT_POLICIES = ("Disabled", "Max", "Min")
SCALING_POLICIES = ("Percent", "Pods")
SOURCES = {
    "Object": "object",
    "External": "external",
    "Pods": "pods",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}
TARGETS = ("Utilization", "Value", "AverageValue")
_BOTH = "may not set both a target raw value and a target utilization"


def validate_autoscaler(obj: Obj, errors: FieldErrors) -> None:
    spec = obj.get("spec") or {}
    least, most = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    if least is not None and least < 1:
        errors.invalid(SPEC.child("minReplicas"), least, "must be greater than or equal to 1")
    if most < 1:
        errors.invalid(SPEC.child("maxReplicas"), most, "must be greater than 0")
    if least is not None and most < least:
        text = "must be greater than or equal to `minReplicas`"
        errors.invalid(SPEC.child("maxReplicas"), most, text)
    _validate_reference(spec.get("scaleTargetRef") or {}, SPEC.child("scaleTargetRef"), errors)
    for index, metric in enumerate(spec.get("metrics") or ()):
        _validate_metric(metric, SPEC.child("metrics").index(index), errors)
    for field in ("scaleUp", "scaleDown"):
        rules = get_path(spec, "behavior", field)
        if rules is not None:
            _validate_rules(rules, SPEC.child("behavior", field), errors)
    check_numbers(obj.get("status") or {}, ("currentReplicas", "desiredReplicas"), STATUS, errors)


def _validate_reference(ref: Obj, path: FieldPath, errors: FieldErrors) -> None:
    for field in ("kind", "name"):
        if not ref.get(field):
            errors.required(path.child(field))
        check_rule(ref.get(field), is_path_segment, path.child(field), errors)


def _validate_rules(rules: Obj, path: FieldPath, errors: FieldErrors) -> None:
    window, where = (
        rules.get("stabilizationWindowSeconds"),
        path.child("stabilizationWindowSeconds"),
    )
    if window is not None and window < 0:
        errors.invalid(where, window, "must be greater than or equal to zero")
    if window is not None and window > MAX_WINDOW:
        errors.invalid(where, window, f"must be less than or equal to {MAX_WINDOW}")
    select = rules.get("selectPolicy")
    check_enum(select, SELECT_POLICIES, path.child("selectPolicy"), errors, required=False)
    policies = path.child("policies")
    if not rules.get("policies"):
        errors.required(policies, "must specify at least one Policy")
    for index, policy in enumerate(rules.get("policies") or ()):
        _validate_policy(policy, policies.index(index), errors)
    if rules.get("tolerance") is not None:
        check_quantity(rules["tolerance"], path.child("tolerance"), errors)


def _validate_policy(policy: Obj, path: FieldPath, errors: FieldErrors) -> None:
    if policy.get("type") not in SCALING_POLICIES:
        errors.not_supported(path.child("type"), policy.get("type") or "", SCALING_POLICIES)
    for field in ("value", "periodSeconds"):
        if (policy.get(field) or 0) <= 0:
            errors.invalid(path.child(field), policy.get(field) or 0, "must be greater than zero")
    period = policy.get("periodSeconds") or 0
    if period > MAX_PERIOD:
        text = f"must be less than or equal to {MAX_PERIOD}"
        errors.invalid(path.child("periodSeconds"), period, text)


def _validate_metric(metric: Obj, path: FieldPath, errors: FieldErrors) -> None:
    """One source, the one that its type says."""
    kind = metric.get("type") or ""
    if not kind:
        errors.required(path.child("type"), "must specify a metric source type")
    if kind not in SOURCES:
        errors.not_supported(path.child("type"), kind, SOURCES)
    present = [field for field in SOURCES.values() if metric.get(field) is not None]
    for field in present[:1]:
        _validate_source(metric[field], field, path.child(field), errors)
    expected = SOURCES.get(kind)
    if expected is not None and expected not in present:
        text = "must populate information for the given metric source"
        errors.required(path.child(expected), text)
    if len(present) != 1:
        for field in present:
            if field != expected:
                text = "must populate the given metric source only"
                errors.forbidden(path.child(field), text)


def _validate_source(source: Obj, field: str, path: FieldPath, errors: FieldErrors) -> None:
    target = source.get("target") or {}
    if field == "object":
        where = path.child("describedObject")
        _validate_reference(source.get("describedObject") or {}, where, errors)
    if field in ("object", "external", "pods"):
        _validate_identifier(source.get("metric") or {}, path.child("metric"), errors)
    elif not source.get("name"):
        errors.required(path.child("name"), "must specify a resource name")
    if field == "containerResource":
        name, where = source.get("container"), path.child("container")
        if not name:
            errors.required(where, "must specify a container")
        check_rule(name, is_dns1123_label, where, errors)
    _validate_target(target, path.child("target"), errors)
    _validate_amounts(target, field, path.child("target"), errors)


def _validate_identifier(metric: Obj, path: FieldPath, errors: FieldErrors) -> None:
    if not metric.get("name"):
        errors.required(path.child("name"), "must specify a metric name")
    check_rule(metric.get("name"), is_path_segment, path.child("name"), errors)


def _validate_target(target: Obj, path: FieldPath, errors: FieldErrors) -> None:
    kind = target.get("type") or ""
    if not kind:
        errors.required(path.child("type"), "must specify a metric target type")
    if kind not in TARGETS:
        text = "must be either Utilization, Value, or AverageValue"
        errors.invalid(path.child("type"), kind, text)
    for field in ("value", "averageValue"):
        if target.get(field) is not None and not _is_positive(target[field]):
            errors.invalid(path.child(field), canonical(target[field]), "must be positive")
    percent = target.get("averageUtilization")
    if percent is not None and percent < 1:
        errors.invalid(path.child("averageUtilization"), percent, "must be greater than 0")


def _is_positive(quantity: Any) -> bool:
    return parse_quantity(quantity) > 0


def _validate_amounts(target: Obj, field: str, path: FieldPath, errors: FieldErrors) -> None:
    """Which of value, averageValue and averageUtilization each source needs."""
    value, average = target.get("value"), target.get("averageValue")
    percent = target.get("averageUtilization")
    match field:
        case "object" if value is None and average is None:
            text = "must set either a target value or averageValue"
            errors.required(path.child("averageValue"), text)
        case "external" if value is None and average is None:
            text = "must set either a target value for metric or a per-pod target"
            errors.required(path.child("averageValue"), text)
        case "external" if value is not None and average is not None:
            text = "may not set both a target value for metric and a per-pod target"
            errors.forbidden(path.child("value"), text)
        case "pods" if average is None:
            text = "must specify a positive target averageValue"
            errors.required(path.child("averageValue"), text)
        case "resource" | "containerResource" if percent is None and average is None:
            text = "must set either a target raw value or a target utilization"
            errors.required(path.child("averageUtilization"), text)
        case "resource" | "containerResource" if percent is not None and average is not None:
            errors.forbidden(path.child("averageValue"), _BOTH)
