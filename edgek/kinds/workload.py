"""What Deployment, ReplicaSet, DaemonSet and StatefulSet share: selector, template, replicas.

As pkg/apis/apps/validation: the selector must pick the template's own pods and never changes.
"""

from edgek.api.meta import Obj, get_path
from edgek.api.selectors import from_label_selector
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import check_label_selector, check_not_negative
from edgek.kinds.metadata import immutable
from edgek.kinds.pod_defaults import default_template
from edgek.kinds.pod_validation import validate_template
from edgek.kinds.strategy import ensure

SPEC = FieldPath("spec")
TEMPLATE = SPEC.child("template")


def default_workload(obj: Obj) -> Obj:
    """Defaults the template; returns the spec."""
    spec = ensure(obj, "spec")
    default_template(ensure(spec, "template"))
    return spec


def default_replicas(spec: Obj) -> None:
    if spec.get("replicas") is None:
        spec["replicas"] = 1


def validate_workload(obj: Obj, what: str, errors: FieldErrors) -> None:
    """``what`` names the kind in sentences, such as "deployment"."""
    spec = obj.get("spec") or {}
    for field in ("replicas", "minReadySeconds", "revisionHistoryLimit"):
        check_not_negative(spec.get(field), SPEC.child(field), errors)
    _validate_selector(spec, what, errors)
    template = spec.get("template") or {}
    validate_template(template, TEMPLATE, errors)
    validate_always_restarts(template.get("spec") or {}, str(obj.get("kind")), errors)


def validate_always_restarts(pod_spec: Obj, kind: str, errors: FieldErrors) -> None:
    """Pods that are kept running neither end by themselves nor run out of time."""
    policy = pod_spec.get("restartPolicy")
    if policy != "Always":
        errors.not_supported(TEMPLATE.child("spec", "restartPolicy"), policy or "", ("Always",))
    if pod_spec.get("activeDeadlineSeconds") is not None:
        path = TEMPLATE.child("spec", "activeDeadlineSeconds")
        errors.forbidden(path, f"activeDeadlineSeconds in {kind} is not Supported")


def _validate_selector(spec: Obj, what: str, errors: FieldErrors) -> None:
    path = SPEC.child("selector")
    selector = spec.get("selector")
    if selector is None:
        errors.required(path)
        return
    before = len(errors.errors)
    check_label_selector(selector, path, errors)
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        errors.invalid(path, selector, f"empty selector is invalid for {what}")
        return
    labels = get_path(spec, "template", "metadata", "labels", default={})
    if len(errors.errors) == before and not from_label_selector(selector).matches(labels):
        text = "`selector` does not match template `labels`"
        errors.invalid(TEMPLATE.child("metadata", "labels"), labels, text)


def validate_workload_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    immutable(
        get_path(new, "spec", "selector"), get_path(old, "spec", "selector"),
        SPEC.child("selector"), errors,
    )  # fmt: skip
    validate_collision_count(new, old, errors)


STATUS_COUNTS = (
    "replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "updatedReplicas",
    "unavailableReplicas", "observedGeneration", "currentNumberScheduled", "numberMisscheduled",
    "desiredNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable",
    "numberUnavailable", "terminatingReplicas", "currentReplicas", "collisionCount",
)  # fmt: skip
PARTS = (
    "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "updatedReplicas",
    "currentReplicas",
)  # fmt: skip


def validate_workload_status(
    obj: Obj, errors: FieldErrors, *, ready: str = "readyReplicas"
) -> None:
    """Counts are not negative, and no more replicas are ready than there are. ``ready`` is how
    the kind's own sentence calls the ready ones."""
    status, path = obj.get("status") or {}, FieldPath("status")
    for field in STATUS_COUNTS:
        check_not_negative(status.get(field), path.child(field), errors)
    total, available = status.get("replicas") or 0, status.get("availableReplicas") or 0
    for field in PARTS:
        if (status.get(field) or 0) > total:
            text = "cannot be greater than status.replicas"
            errors.invalid(path.child(field), status.get(field) or 0, text)
    if available > (status.get("readyReplicas") or 0):
        text = f"cannot be greater than {ready}"
        errors.invalid(path.child("availableReplicas"), available, text)


def validate_collision_count(new: Obj, old: Obj, errors: FieldErrors) -> None:
    """Names made with a count are never made again with a smaller one."""
    had = get_path(old, "status", "collisionCount", default=0)
    has = get_path(new, "status", "collisionCount", default=0)
    if has < had:
        path = FieldPath("status").child("collisionCount")
        errors.invalid(path, has, "cannot be decremented")
