"""StatefulSet: pods with names and storage of their own, made one after the other.

As pkg/apis/apps/validation. The template may mount the claims that volumeClaimTemplates make:
for validation they count as volumes, as the controller will add them.
"""

from typing import Any

from edgek.api.meta import Obj, resource_version
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_label
from edgek.kinds.checks import check_enum, check_not_negative, check_rule
from edgek.kinds.columns import READY_COLUMN, TEMPLATE_COLUMNS
from edgek.kinds.kind import AGE, NAME, SCALE, STATUS, Kind, ScalePaths
from edgek.kinds.persistent_volume_claim_validation import validate_claim_spec
from edgek.kinds.pod_warnings import warn_of_template
from edgek.kinds.rollout import check_at_most_all, check_int_or_percent, is_zero
from edgek.kinds.strategy import ensure, keep_status, only_status, set_default
from edgek.kinds.workload import (
    SPEC,
    default_replicas,
    default_workload,
    validate_collision_count,
    validate_workload,
    validate_workload_status,
)

CHANGEABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip
_FIXED = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
    "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
    "'minReadySeconds' are forbidden"
)
RETENTION = SPEC.child("persistentVolumeClaimRetentionPolicy")


def _default(obj: Obj) -> None:
    spec = default_workload(obj)
    default_replicas(spec)
    set_default(spec, "podManagementPolicy", "OrderedReady")
    set_default(spec, "revisionHistoryLimit", 10)
    strategy = ensure(spec, "updateStrategy")
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        ensure(strategy, "rollingUpdate")
    rolling = strategy.get("rollingUpdate")
    if strategy["type"] == "RollingUpdate" and rolling is not None:
        set_default(rolling, "partition", 0)
        set_default(rolling, "maxUnavailable", 1)
    retention = ensure(spec, "persistentVolumeClaimRetentionPolicy")
    for field in ("whenDeleted", "whenScaled"):
        set_default(retention, field, "Retain")
    for claim in spec.get("volumeClaimTemplates") or ():
        _default_claim(claim)


def _default_claim(claim: Obj) -> None:
    """A claim says its kind, and is Pending as a new one is."""
    claim |= {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    set_default(ensure(claim, "spec"), "volumeMode", "Filesystem")
    set_default(ensure(claim, "status"), "phase", "Pending")


def _validate(obj: Obj, errors: FieldErrors) -> None:
    spec = obj.get("spec") or {}
    _validate_policies(spec, errors)
    path = SPEC.child("ordinals", "start")
    check_not_negative((spec.get("ordinals") or {}).get("start"), path, errors)
    check_rule(spec.get("serviceName"), is_dns1123_label, SPEC.child("serviceName"), errors)
    if not resource_version(obj):  # later the templates stay as they are, right or wrong
        path = SPEC.child("volumeClaimTemplates")
        for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
            validate_claim_spec(claim.get("spec") or {}, path.index(index).child("spec"), errors)
    validate_workload(_with_claims(obj), "statefulset", errors)
    validate_workload_status(obj, errors, ready="status.readyReplicas")


def _with_claims(obj: Obj) -> Obj:
    spec = obj.get("spec") or {}
    names = [(c.get("metadata") or {}).get("name") for c in spec.get("volumeClaimTemplates") or ()]
    if not names:
        return obj
    template = spec.get("template") or {}
    pod = template.get("spec") or {}
    kept = [v for v in pod.get("volumes") or () if v.get("name") not in names]
    made = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names]
    template = {**template, "spec": {**pod, "volumes": [*kept, *made]}}
    return {**obj, "spec": {**spec, "template": template}}


def _validate_policies(spec: Obj, errors: FieldErrors) -> None:
    policy, path = spec.get("podManagementPolicy"), SPEC.child("podManagementPolicy")
    if not policy:
        errors.required(path)
    elif policy not in ("OrderedReady", "Parallel"):
        errors.invalid(path, policy, "must be 'OrderedReady' or 'Parallel'")
    _validate_strategy(spec.get("updateStrategy") or {}, SPEC.child("updateStrategy"), errors)
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for field in ("whenDeleted", "whenScaled"):
        check_enum(retention.get(field), ("Delete", "Retain"), RETENTION.child(field), errors)


def _validate_strategy(strategy: Obj, path: FieldPath, errors: FieldErrors) -> None:
    rolling = strategy.get("rollingUpdate")
    match strategy.get("type"):
        case None | "":
            errors.required(path)
        case "OnDelete" if rolling is not None:
            text = "only allowed for updateStrategy 'RollingUpdate'"
            errors.invalid(path.child("rollingUpdate"), rolling, text)
        case "RollingUpdate" if rolling is not None:
            _validate_rolling(rolling, path.child("rollingUpdate"), errors)
        case kind if kind not in ("OnDelete", "RollingUpdate"):
            errors.invalid(path, strategy, "must be 'RollingUpdate' or 'OnDelete'")


def _validate_rolling(rolling: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_not_negative(rolling.get("partition"), path.child("partition"), errors)
    most, where = rolling.get("maxUnavailable"), path.child("maxUnavailable")
    if most is None:
        return
    check_int_or_percent(most, where, errors)
    if is_zero(most):
        errors.invalid(where, most, "cannot be 0")
    check_at_most_all(most, where, errors)


def _fixed(spec: Obj) -> dict[str, Any]:
    return {f: v for f, v in spec.items() if f not in CHANGEABLE and v not in (None, "", [], {})}


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    if _fixed(new.get("spec") or {}) != _fixed(old.get("spec") or {}):
        errors.forbidden(SPEC, _FIXED)
    validate_collision_count(new, old, errors)


STATEFUL_SET = Kind(
    group="apps",
    version="v1",
    kind="StatefulSet",
    plural="statefulsets",
    short_names=("sts",),
    categories=("all",),
    columns=(
        NAME,
        READY_COLUMN,
        AGE,
        *TEMPLATE_COLUMNS[:2],
    ),
    subresources=(STATUS, SCALE),
    scale=ScalePaths(),
    default=_default,
    prepare=keep_status,
    prepare_status=only_status,
    validate=_validate,
    validate_update=_validate_update,
    validate_name=is_dns1123_label,
    warn=warn_of_template("spec", "template"),
    generation=True,
    example={
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "database", "namespace": "default"},
        "spec": {
            "serviceName": "database",
            "replicas": 2,
            "selector": {"matchLabels": {"app": "database"}},
            "template": {
                "metadata": {"labels": {"app": "database"}},
                "spec": {
                    "containers": [
                        {
                            "name": "redis",
                            "image": "docker.io/library/redis:8",
                            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                        }
                    ]
                },
            },
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "data"},
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "1Gi"}},
                    },
                }
            ],
        },
    },
)
