"""HorizontalPodAutoscaler of autoscaling/v2beta1: metrics with their targets in flat fields.

As pkg/apis/autoscaling/v2beta1/conversion.go. What this version cannot say, the behavior, goes
through it in an annotation.
"""

from collections.abc import Mapping

from edgek.api.meta import Obj
from edgek.kinds.autoscaler_annotations import read_behavior, write_behavior
from edgek.kinds.autoscaler_metrics import (
    SPEC_TO_V1,
    SPEC_TO_V2,
    STATUS_TO_V1,
    STATUS_TO_V2,
    Convert,
    convert_metric,
)
from edgek.kinds.betas.beta_of import beta_of
from edgek.kinds.horizontal_pod_autoscaler import (
    HORIZONTAL_POD_AUTOSCALER,
    ROUND_TRIP,
    without_round_trip,
)

_, BEHAVIOR, _, _ = ROUND_TRIP


def _with_metrics(part: Obj, field: str, table: Mapping[str, Convert]) -> Obj:
    """The annotations of v1 and the metrics of v2beta1 have the same form."""
    found = part.get(field)
    return {**part, field: [convert_metric(m, table) for m in found]} if found else dict(part)


def _turned(obj: Obj, spec: Mapping[str, Convert], status: Mapping[str, Convert]) -> Obj:
    made = dict(obj)
    if "spec" in obj:
        made["spec"] = _with_metrics(obj["spec"] or {}, "metrics", spec)
    if "status" in obj:
        made["status"] = _with_metrics(obj["status"] or {}, "currentMetrics", status)
    return made


def _noted(obj: Obj, notes: dict[str, str]) -> None:
    """Replaces the annotations of ``obj``, whose metadata is shared."""
    meta = {f: v for f, v in obj["metadata"].items() if f != "annotations"}
    obj["metadata"] = {**meta, "annotations": notes} if notes else meta


def to_v2(obj: Obj) -> Obj:
    made = _turned(obj, SPEC_TO_V2, STATUS_TO_V2)
    notes = obj["metadata"].get("annotations") or {}
    behavior = read_behavior(notes.get(BEHAVIOR))
    if behavior is not None:
        made["spec"] = {**(made.get("spec") or {}), "behavior": behavior}
    _noted(made, without_round_trip(notes))
    return made


def to_v2beta1(obj: Obj) -> Obj:
    made = _turned(obj, SPEC_TO_V1, STATUS_TO_V1)
    notes = without_round_trip(obj["metadata"].get("annotations") or {})
    behavior = (made.get("spec") or {}).pop("behavior", None)
    if behavior is not None:
        notes = {**notes, BEHAVIOR: write_behavior(behavior)}
    _noted(made, notes)
    return made


AUTOSCALER_V2BETA1 = beta_of(
    HORIZONTAL_POD_AUTOSCALER,
    version="v2beta1",
    since="1.22",
    until="1.25",
    serving=to_v2beta1,
    storing=to_v2,
)
