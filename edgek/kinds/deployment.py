"""Deployment: declarative updates for pods and ReplicaSets."""

from typing import Any

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors
from edgek.kinds.checks import check_enum
from edgek.kinds.columns import READY_COLUMN, TEMPLATE_COLUMNS, number
from edgek.kinds.kind import AGE, NAME, SCALE, STATUS, Column, Kind, ScalePaths
from edgek.kinds.pod_warnings import warn_of_template
from edgek.kinds.rollout import both_zero, check_rolling
from edgek.kinds.strategy import ensure, keep_status, only_status, set_default
from edgek.kinds.workload import (
    SPEC,
    default_replicas,
    default_workload,
    validate_workload,
    validate_workload_status,
    validate_workload_update,
)

DEFAULTS = (("revisionHistoryLimit", 10), ("progressDeadlineSeconds", 600))


def _default(obj: Obj) -> None:
    spec = default_workload(obj)
    default_replicas(spec)
    for field, value in DEFAULTS:
        set_default(spec, field, value)
    strategy = ensure(spec, "strategy")
    set_default(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = ensure(strategy, "rollingUpdate")
        set_default(rolling, "maxUnavailable", "25%")
        set_default(rolling, "maxSurge", "25%")


def _validate(obj: Obj, errors: FieldErrors) -> None:
    validate_workload(obj, "deployment", errors)
    spec = obj.get("spec") or {}
    _validate_strategy(spec.get("strategy") or {}, errors)
    deadline, path = spec.get("progressDeadlineSeconds"), SPEC.child("progressDeadlineSeconds")
    if deadline is not None and deadline < 0:
        errors.invalid(path, deadline, "must be greater than or equal to 0")
    if deadline is not None and deadline <= (spec.get("minReadySeconds") or 0):
        errors.invalid(path, deadline, "must be greater than minReadySeconds")
    validate_workload_status(obj, errors)


def _validate_strategy(strategy: Obj, errors: FieldErrors) -> None:
    path = SPEC.child("strategy")
    rolling = strategy.get("rollingUpdate")
    check_enum(strategy.get("type"), ("Recreate", "RollingUpdate"), path.child("type"), errors)
    if strategy.get("type") == "Recreate" and rolling is not None:
        text = "may not be specified when strategy `type` is 'Recreate'"
        errors.forbidden(path.child("rollingUpdate"), text)
    elif strategy.get("type") == "RollingUpdate":
        _validate_rolling(rolling, errors)


def _validate_rolling(rolling: Any, errors: FieldErrors) -> None:
    path = SPEC.child("strategy", "rollingUpdate")
    if rolling is None:
        errors.required(path, "this should be defaulted and never be nil")
        return
    check_rolling(rolling, path, errors)
    if both_zero(rolling):
        unavailable = path.child("maxUnavailable")
        errors.invalid(unavailable, rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0")


DEPLOYMENT = Kind(
    group="apps",
    version="v1",
    kind="Deployment",
    plural="deployments",
    short_names=("deploy",),
    categories=("all",),
    columns=(
        NAME,
        READY_COLUMN,
        Column(
            name="Up-to-date",
            read=number("status", "updatedReplicas"),
            description="Pods made from the newest template.",
        ),
        Column(
            name="Available",
            read=number("status", "availableReplicas"),
            description="Pods that have been ready for long enough.",
        ),
        AGE,
        *TEMPLATE_COLUMNS,
    ),
    subresources=(STATUS, SCALE),
    scale=ScalePaths(),
    default=_default,
    prepare=keep_status,
    prepare_status=only_status,
    validate=_validate,
    validate_update=validate_workload_update,
    warn=warn_of_template("spec", "template"),
    generation=True,
    example={
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "web", "image": "docker.io/library/nginx:1.29"}]},
            },
        },
    },
)
