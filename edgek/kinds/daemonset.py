"""DaemonSet: one pod on every fitting node."""

from typing import Any

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors
from edgek.kinds.checks import check_enum
from edgek.kinds.columns import TEMPLATE_COLUMNS, format_labels, number_column
from edgek.kinds.kind import AGE, NAME, STATUS, Column, Kind
from edgek.kinds.pod_warnings import warn_of_template
from edgek.kinds.rollout import both_positive, both_zero, check_rolling
from edgek.kinds.strategy import ensure, keep_status, only_status, set_default
from edgek.kinds.workload import (
    SPEC,
    default_workload,
    validate_workload,
    validate_workload_status,
    validate_workload_update,
)


def _default(obj: Obj) -> None:
    spec = default_workload(obj)
    set_default(spec, "revisionHistoryLimit", 10)
    strategy = ensure(spec, "updateStrategy")
    set_default(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = ensure(strategy, "rollingUpdate")
        set_default(rolling, "maxUnavailable", 1)
        set_default(rolling, "maxSurge", 0)


def _validate(obj: Obj, errors: FieldErrors) -> None:
    validate_workload(obj, "daemonset", errors)
    strategy, path = (
        get_path(obj, "spec", "updateStrategy", default={}),
        SPEC.child("updateStrategy"),
    )
    check_enum(strategy.get("type"), ("OnDelete", "RollingUpdate"), path.child("type"), errors)
    if strategy.get("type") == "RollingUpdate":
        _validate_rolling(strategy.get("rollingUpdate"), errors)
    validate_workload_status(obj, errors)


def _validate_rolling(rolling: Any, errors: FieldErrors) -> None:
    path = SPEC.child("updateStrategy", "rollingUpdate")
    if rolling is None:
        errors.required(path)
        return
    check_rolling(rolling, path, errors)
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    if both_positive(rolling):
        text = "may not be set when maxUnavailable is non-zero"
        errors.invalid(path.child("maxSurge"), surge, text)
    if both_zero(rolling):
        text = "cannot be 0 when maxSurge is 0"
        errors.invalid(path.child("maxUnavailable"), unavailable, text)


def _node_selector(obj: Obj) -> str:
    return format_labels(get_path(obj, "spec", "template", "spec", "nodeSelector"))


def _count(name: str, field: str, description: str) -> Column:
    return number_column(name, "status", field, description=description)


DAEMON_SET = Kind(
    group="apps",
    version="v1",
    kind="DaemonSet",
    plural="daemonsets",
    short_names=("ds",),
    categories=("all",),
    columns=(
        NAME,
        _count("Desired", "desiredNumberScheduled", "How many nodes should run a pod."),
        _count("Current", "currentNumberScheduled", "How many nodes run a pod."),
        _count("Ready", "numberReady", "How many nodes have a ready pod."),
        _count("Up-to-date", "updatedNumberScheduled", "How many run the newest template."),
        _count("Available", "numberAvailable", "How many have a pod ready for long enough."),
        Column(name="Node Selector", read=_node_selector, description="Which nodes run a pod."),
        AGE,
        *TEMPLATE_COLUMNS,
    ),
    subresources=(STATUS,),
    default=_default,
    prepare=keep_status,
    prepare_status=only_status,
    validate=_validate,
    validate_update=validate_workload_update,
    warn=warn_of_template("spec", "template", named=False),
    generation=True,
    example={
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "exporter", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "exporter"}},
            "template": {
                "metadata": {"labels": {"app": "exporter"}},
                "spec": {
                    "hostNetwork": True,
                    "containers": [
                        {"name": "exporter", "image": "quay.io/prometheus/node-exporter:v1.9.1"}
                    ],
                },
            },
        },
    },
)
