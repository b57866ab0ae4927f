"""Metrics of an autoscaler as v2 and as the annotations of v1 write them.

As pkg/apis/autoscaling/v1/conversion.go; order of fields and what is left out when empty follow
the Go types, because the annotations are text that users compare.
"""

from collections.abc import Callable, Mapping
from typing import Any

from edgek.api.meta import Obj, get_path

Convert = Callable[[Obj], Obj]


def _set(**fields: Any) -> Obj:
    """Without what is None."""
    return {name: value for name, value in fields.items() if value is not None}


def _metric(old: Obj, selector: str = "selector") -> Obj:
    return {"name": old.get("metricName") or "", **_set(selector=old.get(selector))}


# -- what is wanted ----------------------------------------------------------------------------


def _object_to_v1(new: Obj) -> Obj:
    target = new.get("target") or {}
    return {
        "target": new.get("describedObject") or {},
        "metricName": get_path(new, "metric", "name", default=""),
        "targetValue": target.get("value", "0"),
        **_set(
            selector=get_path(new, "metric", "selector"), averageValue=target.get("averageValue")
        ),
    }


def _object_to_v2(old: Obj) -> Obj:
    average = old.get("averageValue")
    kind = "Value" if average is None else "AverageValue"
    target = {"type": kind, "value": old.get("targetValue", "0"), **_set(averageValue=average)}
    return {"describedObject": old.get("target") or {}, "target": target, "metric": _metric(old)}


def _pods_to_v1(new: Obj) -> Obj:
    return {
        "metricName": get_path(new, "metric", "name", default=""),
        "targetAverageValue": get_path(new, "target", "averageValue", default="0"),
        **_set(selector=get_path(new, "metric", "selector")),
    }


def _pods_to_v2(old: Obj) -> Obj:
    target = {"type": "AverageValue", "averageValue": old.get("targetAverageValue", "0")}
    return {"metric": _metric(old), "target": target}


def _resource_to_v1(new: Obj) -> Obj:
    target = new.get("target") or {}
    return {
        "name": new.get("name") or "",
        **_set(
            targetAverageUtilization=target.get("averageUtilization"),
            targetAverageValue=target.get("averageValue"),
            container=new.get("container"),
        ),
    }


def _resource_to_v2(old: Obj) -> Obj:
    percent = old.get("targetAverageUtilization")
    kind = "AverageValue" if percent is None else "Utilization"
    average = old.get("targetAverageValue")
    target = {"type": kind, **_set(averageValue=average, averageUtilization=percent)}
    container = _set(container=old.get("container"))
    return {"name": old.get("name") or "", "target": target, **container}


def _external_to_v1(new: Obj) -> Obj:
    target = new.get("target") or {}
    return {
        "metricName": get_path(new, "metric", "name", default=""),
        **_set(
            metricSelector=get_path(new, "metric", "selector"),
            targetValue=target.get("value"),
            targetAverageValue=target.get("averageValue"),
        ),
    }


def _external_to_v2(old: Obj) -> Obj:
    value, average = old.get("targetValue"), old.get("targetAverageValue")
    kind = "AverageValue" if value is None else "Value"
    target = {"type": kind, **_set(value=value, averageValue=average)}
    return {"metric": _metric(old, "metricSelector"), "target": target}


# -- what was measured -------------------------------------------------------------------------


def _object_status_to_v1(new: Obj) -> Obj:
    current = new.get("current") or {}
    return {
        "target": new.get("describedObject") or {},
        "metricName": get_path(new, "metric", "name", default=""),
        "currentValue": current.get("value", "0"),
        **_set(
            selector=get_path(new, "metric", "selector"), averageValue=current.get("averageValue")
        ),
    }


def _object_status_to_v2(old: Obj) -> Obj:
    current = {"value": old.get("currentValue", "0"), **_set(averageValue=old.get("averageValue"))}
    return {"metric": _metric(old), "current": current, "describedObject": old.get("target") or {}}


def _pods_status_to_v1(new: Obj) -> Obj:
    return {
        "metricName": get_path(new, "metric", "name", default=""),
        "currentAverageValue": get_path(new, "current", "averageValue", default="0"),
        **_set(selector=get_path(new, "metric", "selector")),
    }


def _pods_status_to_v2(old: Obj) -> Obj:
    current = {"averageValue": old.get("currentAverageValue", "0")}
    return {"metric": _metric(old), "current": current}


def _resource_status_to_v1(new: Obj) -> Obj:
    current = new.get("current") or {}
    return {
        "name": new.get("name") or "",
        **_set(currentAverageUtilization=current.get("averageUtilization")),
        "currentAverageValue": current.get("averageValue", "0"),
        **_set(container=new.get("container")),
    }


def _resource_status_to_v2(old: Obj) -> Obj:
    average, percent = old.get("currentAverageValue", "0"), old.get("currentAverageUtilization")
    current = {"averageValue": average, **_set(averageUtilization=percent)}
    container = _set(container=old.get("container"))
    return {"name": old.get("name") or "", "current": current, **container}


def _external_status_to_v1(new: Obj) -> Obj:
    current = new.get("current") or {}
    return {
        "metricName": get_path(new, "metric", "name", default=""),
        **_set(metricSelector=get_path(new, "metric", "selector")),
        "currentValue": current.get("value", "0"),
        **_set(currentAverageValue=current.get("averageValue")),
    }


def _external_status_to_v2(old: Obj) -> Obj:
    value, average = old.get("currentValue", "0"), old.get("currentAverageValue")
    current = {"value": value, **_set(averageValue=average)}
    return {"metric": _metric(old, "metricSelector"), "current": current}


SPEC_TO_V1: Mapping[str, Convert] = {
    "object": _object_to_v1,
    "pods": _pods_to_v1,
    "resource": _resource_to_v1,
    "containerResource": _resource_to_v1,
    "external": _external_to_v1,
}
SPEC_TO_V2: Mapping[str, Convert] = {
    "object": _object_to_v2,
    "pods": _pods_to_v2,
    "resource": _resource_to_v2,
    "containerResource": _resource_to_v2,
    "external": _external_to_v2,
}
STATUS_TO_V1: Mapping[str, Convert] = {
    "object": _object_status_to_v1,
    "pods": _pods_status_to_v1,
    "resource": _resource_status_to_v1,
    "containerResource": _resource_status_to_v1,
    "external": _external_status_to_v1,
}
STATUS_TO_V2: Mapping[str, Convert] = {
    "object": _object_status_to_v2,
    "pods": _pods_status_to_v2,
    "resource": _resource_status_to_v2,
    "containerResource": _resource_status_to_v2,
    "external": _external_status_to_v2,
}


def convert_metric(metric: Obj, table: Mapping[str, Convert]) -> Obj:
    """One metric in the other shape; ``table`` is one of the four above."""
    out: Obj = {"type": metric.get("type") or ""}
    for field, convert in table.items():
        if metric.get(field) is not None:
            out[field] = convert(metric[field])
    return out
