"""ResourceQuota: how much of each resource a namespace may have in all.

``status`` is what admission decides by (server/admission/resource_quota.py); the quota controller
keeps it right.
"""

from typing import Any

from edgek.api.meta import Obj, get_path
from edgek.api.quantity import canonical
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.kind import AGE, NAME, STATUS, Column, Kind
from edgek.kinds.resource_names import LIMITS, check_quota_list, is_quota_name
from edgek.kinds.strategy import keep_status, only_status

POD_SCOPES = (
    "Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass",
    "CrossNamespacePodAffinity",
)  # fmt: skip
VOLUME_SCOPE = "VolumeAttributesClass"
SCOPES = (*POD_SCOPES, VOLUME_SCOPE)
EXIST_ONLY = tuple(scope for scope in POD_SCOPES if scope != "PriorityClass")
_CONFLICTS = ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"})
_COMPUTE = {
    "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory",
}  # fmt: skip
_VALUES = ("In", "NotIn")
_NO_VALUES = ("Exists", "DoesNotExist")


def _fits(scope: str, resource: str) -> bool:
    """As IsResourceQuotaScopeValidForResource."""
    if scope == VOLUME_SCOPE:
        return resource in ("persistentvolumeclaims", "requests.storage")
    if scope == "BestEffort":
        return resource == "pods"
    return scope in POD_SCOPES and (resource == "pods" or resource in _COMPUTE)


def _misfits(scope: str, hard: Obj) -> int:
    return sum(1 for name in hard if is_quota_name(name) and not _fits(scope, name))


def _validate(obj: Obj, errors: FieldErrors) -> None:
    spec, path = obj.get("spec") or {}, FieldPath("spec")
    hard = spec.get("hard") or {}
    check_quota_list(hard, path.child("hard"), errors)
    scopes, where = spec.get("scopes") or [], path.child("scopes")
    for scope in scopes:
        if scope not in SCOPES:
            errors.invalid(where, scopes, "unsupported scope")
        for _ in range(_misfits(scope, hard)):
            errors.invalid(where, scopes, "unsupported scope applied to resource")
    _validate_conflicts(set(scopes), scopes, where, errors)
    if (selector := spec.get("scopeSelector")) is not None:
        _validate_selector(selector, hard, path.child("scopeSelector"), errors)
    status = obj.get("status") or {}
    for field in ("hard", "used"):
        check_quota_list(status.get(field) or {}, FieldPath("status").child(field), errors)


def _validate_conflicts(scopes: set[str], shown: Any, path: FieldPath, errors: FieldErrors) -> None:
    for pair in _CONFLICTS:
        if pair <= scopes:
            errors.invalid(path, shown, "conflicting scopes")


def _validate_selector(selector: Obj, hard: Obj, path: FieldPath, errors: FieldErrors) -> None:
    terms, where = selector.get("matchExpressions") or [], path.child("matchExpressions")
    for term in terms:
        scope = term.get("scopeName") or ""
        if scope not in SCOPES:
            errors.invalid(where.child("scopeName"), scope, "unsupported scope")
        for _ in range(_misfits(scope, hard)):
            errors.invalid(where, selector, "unsupported scope applied to resource")
        _validate_operator(term, scope, where, errors)
    _validate_conflicts({term.get("scopeName") or "" for term in terms}, None, where, errors)


def _validate_operator(term: Obj, scope: str, path: FieldPath, errors: FieldErrors) -> None:
    operator, values = term.get("operator") or "", term.get("values") or []
    if scope in EXIST_ONLY and operator != "Exists":
        text = (
            "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, "
            "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
            "ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
        )
        errors.invalid(path.child("operator"), operator, text)
    if operator in _VALUES and not values:
        text = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
        errors.required(path.child("values"), text)
    elif operator in _NO_VALUES and values:
        text = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
        errors.invalid(path.child("values"), values, text)
    elif operator not in (*_VALUES, *_NO_VALUES):
        errors.invalid(path.child("operator"), operator, "not a valid selector operator")


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    scopes = get_path(new, "spec", "scopes", default=[])
    if set(scopes) != set(get_path(old, "spec", "scopes", default=[])):
        errors.invalid(FieldPath("spec.scopes"), scopes, "field is immutable")


def _amounts(quota: Obj, *, limits: bool) -> str:
    """``cpu: 1/2, memory: 1Gi/4Gi`` of the limits.* or of all others."""
    hard, used = (get_path(quota, "status", f, default={}) for f in ("hard", "used"))
    names = sorted(name for name in hard if name.startswith(LIMITS) == limits)
    return ", ".join(
        f"{name}: {canonical(used.get(name, '0'))}/{canonical(hard[name])}" for name in names
    )


RESOURCE_QUOTA = Kind(
    group="",
    version="v1",
    kind="ResourceQuota",
    plural="resourcequotas",
    short_names=("quota",),
    subresources=(STATUS,),
    columns=(
        NAME,
        Column(
            name="Request",
            read=lambda quota: _amounts(quota, limits=False),
            description="What is used of what may be requested.",
        ),
        Column(
            name="Limit",
            read=lambda quota: _amounts(quota, limits=True),
            description="What is used of what limits may sum up to.",
        ),
        AGE,
    ),
    prepare=keep_status,
    prepare_status=only_status,
    validate=_validate,
    validate_update=_validate_update,
    example={
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "compute", "namespace": "default"},
        "spec": {"hard": {"pods": "10", "requests.cpu": "4", "limits.memory": "8Gi"}},
    },
)
