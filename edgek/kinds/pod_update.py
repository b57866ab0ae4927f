"""What of a pod may change (upstream: ValidatePodUpdate). Its status is in pod_status.

Everything that may not change is compared at once: the fields that may are first set to what
they were.
"""

from typing import Any

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.pod_gates import validate_gates, without_placement
from edgek.kinds.pod_parts import with_same_empties
from edgek.kinds.pod_status import validate_status_update

SPEC = FieldPath("spec")
_FIELDS = (
    "pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set "
    "to 1 if it was previously negative)"
)


def validate_pod_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    if spec != before:
        _validate_spec_update(spec, before, errors)
    validate_status_update(new, old, errors)


def _validate_spec_update(spec: Obj, before: Obj, errors: FieldErrors) -> None:
    for field in ("containers", "initContainers"):
        if len(spec.get(field) or ()) != len(before.get(field) or ()):
            text = "pod updates may not add or remove containers"
            errors.forbidden(SPEC.child(field), text)
            return
    _validate_deadline(spec, before, errors)
    _validate_tolerations(spec, before, errors)
    validate_gates(spec, before, errors)
    if with_same_empties(_without_changeable(spec, before)) != with_same_empties(before):
        errors.forbidden(SPEC, _FIELDS)


def _without_changeable(spec: Obj, before: Obj) -> Obj:
    out = dict(spec)
    for field in ("containers", "initContainers"):
        if spec.get(field):
            pairs = zip(spec[field], before[field], strict=True)
            out[field] = [{**c, "image": o.get("image")} for c, o in pairs]
    fields = ["activeDeadlineSeconds", "tolerations", "schedulingGates"]
    if (before.get("terminationGracePeriodSeconds") or 0) < 0 and (
        spec.get("terminationGracePeriodSeconds") == 1
    ):
        fields.append("terminationGracePeriodSeconds")
    for field in fields:
        if field in before:
            out[field] = before[field]
        else:
            out.pop(field, None)
    return without_placement(out, before) if before.get("schedulingGates") else out


def _validate_deadline(spec: Obj, before: Obj, errors: FieldErrors) -> None:
    path = SPEC.child("activeDeadlineSeconds")
    had, has = before.get("activeDeadlineSeconds"), spec.get("activeDeadlineSeconds")
    if had is None:
        return
    if has is None:
        errors.invalid(path, None, "must not update from a positive integer to nil value")
    elif has > had:
        errors.invalid(path, has, "must be less than or equal to previous value")


def _validate_tolerations(spec: Obj, before: Obj, errors: FieldErrors) -> None:
    """Tolerations are added, or their seconds changed; none goes."""
    has = [_plain(t) for t in spec.get("tolerations") or ()]
    for toleration in before.get("tolerations") or ():
        if _plain(toleration) not in has:
            text = "existing toleration can not be modified except its tolerationSeconds"
            errors.forbidden(SPEC.child("tolerations"), text)
            return


def _plain(toleration: Obj) -> dict[str, Any]:
    return {k: v for k, v in toleration.items() if k != "tolerationSeconds"}
