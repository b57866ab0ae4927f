"""HorizontalPodAutoscaler: as many pods as their load asks for (autoscaling/v2)."""

from edgek.api.meta import Obj
from edgek.kinds.autoscaler_columns import autoscaler_columns
from edgek.kinds.autoscaler_defaults import default_autoscaler
from edgek.kinds.autoscaler_validation import validate_autoscaler
from edgek.kinds.kind import STATUS, Kind
from edgek.kinds.strategy import keep_status, only_status, steps

ANNOTATION = "autoscaling.alpha.kubernetes.io/"
ROUND_TRIP = tuple(
    ANNOTATION + what for what in ("metrics", "behavior", "current-metrics", "conditions")
)


def without_round_trip(annotations: dict[str, str]) -> dict[str, str]:
    """Without what carries newer fields through the older version
    (DropRoundTripHorizontalPodAutoscalerAnnotations)."""
    return {key: value for key, value in annotations.items() if key not in ROUND_TRIP}


def _drop_round_trip(obj: Obj, old: Obj | None) -> None:
    if annotations := obj["metadata"].get("annotations"):
        obj["metadata"]["annotations"] = without_round_trip(annotations)


prepare = steps(_drop_round_trip, keep_status)
prepare_status = steps(_drop_round_trip, only_status)

HORIZONTAL_POD_AUTOSCALER = Kind(
    group="autoscaling",
    version="v2",
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    short_names=("hpa",),
    categories=("all",),
    columns=autoscaler_columns(lambda obj: obj),
    subresources=(STATUS,),
    default=default_autoscaler,
    prepare=prepare,
    prepare_status=prepare_status,
    validate=validate_autoscaler,
    example={
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1,
            "maxReplicas": 5,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 60},
                    },
                }
            ],
        },
    },
)
