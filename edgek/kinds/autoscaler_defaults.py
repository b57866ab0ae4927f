"""Defaults of autoscaling/v2 HorizontalPodAutoscalers (pkg/apis/autoscaling/v2/defaults.go)."""

from typing import Any

from edgek.api.meta import Obj
from edgek.kinds.strategy import ensure, set_default

CPU_PERCENT = 80
PERIOD_SECONDS = 15
SCALE_UP: dict[str, Any] = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": (
        {"type": "Pods", "value": 4, "periodSeconds": PERIOD_SECONDS},
        {"type": "Percent", "value": 100, "periodSeconds": PERIOD_SECONDS},
    ),
}
SCALE_DOWN: dict[str, Any] = {
    "selectPolicy": "Max",
    "policies": ({"type": "Percent", "value": 100, "periodSeconds": PERIOD_SECONDS},),
}


def cpu_metric(percent: int) -> Obj:
    """Average use of cpu by the pods, in percent of what they request."""
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def default_autoscaler(obj: Obj) -> None:
    spec = ensure(obj, "spec")
    set_default(spec, "minReplicas", 1)
    if not spec.get("metrics"):
        spec["metrics"] = [cpu_metric(CPU_PERCENT)]
    if spec.get("behavior") is not None:
        for field, defaults in (("scaleUp", SCALE_UP), ("scaleDown", SCALE_DOWN)):
            _default_rules(ensure(spec["behavior"], field), defaults)


def _default_rules(rules: Obj, defaults: dict[str, Any]) -> None:
    for field, value in defaults.items():
        if rules.get(field) is None:
            rules[field] = [dict(p) for p in value] if field == "policies" else value
