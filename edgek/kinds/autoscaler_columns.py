"""The table of HorizontalPodAutoscalers (upstream: formatHPAMetrics), in v2's shape."""

from collections.abc import Callable
from typing import Any

from edgek.api.meta import Obj, get_path
from edgek.kinds.autoscaler_validation import SOURCES
from edgek.kinds.columns import NONE, UNKNOWN, number
from edgek.kinds.kind import AGE, NAME, Column

SHOWN = 2


def _targets(obj: Obj) -> str:
    """``cpu: 12%/80%, 3/10 + 1 more...``"""
    metrics = get_path(obj, "spec", "metrics", default=())
    if not metrics:
        return NONE
    current = get_path(obj, "status", "currentMetrics", default=())
    cells = [_target(m, current[i] if i < len(current) else {}) for i, m in enumerate(metrics)]
    shown = ", ".join(cells[:SHOWN])
    return f"{shown} + {len(cells) - SHOWN} more..." if len(cells) > SHOWN else shown


def _target(metric: Obj, status: Obj) -> str:
    field = SOURCES.get(metric.get("type") or "")
    if field is None:
        return "<unknown type>"
    source, now = metric.get(field) or {}, get_path(status, field, "current", default={})
    average = get_path(source, "target", "averageValue")
    if field in ("resource", "containerResource"):
        return f"{source.get('name')}: {_resource(source, now, average)}"
    if average is not None:
        suffix = "" if field == "pods" else " (avg)"
        return f"{_known(now, 'averageValue')}/{average}{suffix}"
    return f"{_known(now, 'value')}/{get_path(source, 'target', 'value', default='<nil>')}"


def _resource(source: Obj, now: Obj, average: Any) -> str:
    if average is not None:
        return f"{_known(now, 'averageValue')}/{average}"
    wanted = get_path(source, "target", "averageUtilization")
    used = now.get("averageUtilization")
    percent = "<auto>" if wanted is None else f"{wanted}%"
    return f"{UNKNOWN if used is None else f'{used}%'}/{percent}"


def _known(now: Obj, field: str) -> str:
    return str(now.get(field, UNKNOWN))


def _reference(obj: Obj) -> str:
    ref = get_path(obj, "spec", "scaleTargetRef", default={})
    return f"{ref.get('kind') or ''}/{ref.get('name') or ''}"


def autoscaler_columns(as_v2: Callable[[Obj], Obj]) -> tuple[Column, ...]:
    """``as_v2`` shows the object of a kind's own version in v2's shape."""
    return (
        NAME,
        Column(name="Reference", read=_reference, description="What is scaled."),
        Column(
            name="Targets",
            read=lambda obj: _targets(as_v2(obj)),
            description="What is measured, and what it should be.",
        ),
        Column(
            name="MinPods",
            read=lambda obj: str(get_path(obj, "spec", "minReplicas", default="<unset>")),
            description="The least number of pods.",
        ),
        Column(
            name="MaxPods",
            read=number("spec", "maxReplicas"),
            description="The greatest number of pods.",
        ),
        Column(
            name="Replicas",
            read=number("status", "currentReplicas"),
            description="How many pods there are.",
        ),
        AGE,
    )
