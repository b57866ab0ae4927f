"""HorizontalPodAutoscaler of autoscaling/v1: one target for cpu, everything else in annotations.

It is stored as autoscaling/v2. Preparation and validation run in v2's shape, as upstream's do in
its internal one, so that an annotation cannot change what its field may not.
"""

from edgek.api.meta import Obj
from edgek.kinds.autoscaler_annotations import (
    read_behavior,
    read_conditions,
    read_metrics,
    write_behavior,
    write_conditions,
    write_metrics,
)
from edgek.kinds.autoscaler_columns import autoscaler_columns
from edgek.kinds.autoscaler_defaults import cpu_metric, default_autoscaler
from edgek.kinds.autoscaler_metrics import SPEC_TO_V1, SPEC_TO_V2, STATUS_TO_V1, STATUS_TO_V2
from edgek.kinds.autoscaler_validation import validate_autoscaler
from edgek.kinds.conversion import Between
from edgek.kinds.horizontal_pod_autoscaler import (
    HORIZONTAL_POD_AUTOSCALER,
    ROUND_TRIP,
    prepare,
    prepare_status,
    without_round_trip,
)
from edgek.kinds.kind import STATUS, Kind, Prepare
from edgek.kinds.strategy import ensure, set_default

METRICS, BEHAVIOR, CURRENT, CONDITIONS = ROUND_TRIP
CPU_TARGET, CPU_USED = "targetCPUUtilizationPercentage", "currentCPUUtilizationPercentage"


def _is_cpu(metric: Obj) -> bool:
    resource = metric.get("resource") or {}
    return metric.get("type") == "Resource" and resource.get("name") == "cpu"


def _utilization(metric: Obj, field: str) -> int | None:
    found = ((metric.get("resource") or {}).get(field) or {}).get("averageUtilization")
    return None if found is None else int(found)


def to_v1(obj: Obj) -> Obj:
    """A new object of v1's shape; ``obj`` may be shared."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    metrics, current = spec.get("metrics") or [], status.get("currentMetrics") or []
    target = {f: v for f, v in spec.items() if f not in ("metrics", "behavior")}
    percent = next((_utilization(m, "target") for m in metrics if _is_cpu(m)), None)
    if percent is not None:
        target[CPU_TARGET] = percent
    state = {f: v for f, v in status.items() if f not in ("currentMetrics", "conditions")}
    used = [_utilization(m, "current") for m in current if _is_cpu(m)]
    if known := [p for p in used if p is not None]:
        state[CPU_USED] = known[-1]
    others = [m for m in metrics if not _is_cpu(m) or _utilization(m, "target") is None]
    added = {
        METRICS: write_metrics(others, SPEC_TO_V1) if others else None,
        BEHAVIOR: write_behavior(spec["behavior"]) if spec.get("behavior") is not None else None,
        CURRENT: write_metrics(current, STATUS_TO_V1) if current else None,
        CONDITIONS: write_conditions(status["conditions"]) if status.get("conditions") else None,
    }
    return _made(obj, {k: v for k, v in added.items() if v is not None}, target, state)


def to_v2(obj: Obj) -> Obj:
    """A new object of v2's shape, its spec defaulted; ``obj`` may be shared."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    notes = obj["metadata"].get("annotations") or {}
    target = {f: v for f, v in spec.items() if f != CPU_TARGET}
    metrics = read_metrics(notes.get(METRICS), SPEC_TO_V2, "MetricSpec") or []
    percent = spec.get(CPU_TARGET)
    target["metrics"] = [*metrics, *([] if percent is None else [cpu_metric(percent)])]
    if (behavior := read_behavior(notes.get(BEHAVIOR))) is not None:
        target["behavior"] = behavior
    state = {f: v for f, v in status.items() if f != CPU_USED}
    used = status.get(CPU_USED)
    current = read_metrics(notes.get(CURRENT), STATUS_TO_V2, "MetricStatus")
    if current is None and used is not None:
        resource = {"name": "cpu", "current": {"averageUtilization": used}}
        current = [{"type": "Resource", "resource": resource}]
    if current:
        state["currentMetrics"] = current
    if conditions := read_conditions(notes.get(CONDITIONS)):
        state["conditions"] = conditions
    made = _made(obj, {}, target, state)
    default_autoscaler(made)
    return made


def _made(obj: Obj, notes: dict[str, str], spec: Obj, status: Obj) -> Obj:
    meta = dict(obj["metadata"])
    annotations = {**without_round_trip(meta.pop("annotations", None) or {}), **notes}
    if annotations:
        meta["annotations"] = annotations
    made = {**obj, "metadata": meta, "spec": spec}
    return {**made, "status": status} if "status" in obj else made


def _default(obj: Obj) -> None:
    set_default(ensure(obj, "spec"), "minReplicas", 1)


def _in_v2(prepare_v2: Prepare) -> Prepare:
    def run(obj: Obj, old: Obj | None) -> None:
        new = to_v2(obj)
        prepare_v2(new, None if old is None else to_v2(old))
        made = to_v1(new)
        obj.clear()
        obj.update(made)

    return run


HORIZONTAL_POD_AUTOSCALER_V1 = Kind(
    group="autoscaling",
    version="v1",
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    short_names=("hpa",),
    categories=("all",),
    columns=autoscaler_columns(to_v2),
    subresources=(STATUS,),
    default=_default,
    prepare=_in_v2(prepare),
    prepare_status=_in_v2(prepare_status),
    validate=lambda obj, errors: validate_autoscaler(to_v2(obj), errors),
    storage_prefix=HORIZONTAL_POD_AUTOSCALER.storage_prefix,
    conversion=Between(
        stored="autoscaling/v2", served="autoscaling/v1", serving=to_v1, storing=to_v2
    ),
    example={
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1,
            "maxReplicas": 5,
            "targetCPUUtilizationPercentage": 60,
        },
    },
)
