"""Validation of lists of metav1.Condition (upstream: metav1 validation ValidateConditions)."""

import re
from typing import Any

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath, is_qualified_name
from edgek.kinds.checks import check_not_negative

STATUSES = ("False", "True", "Unknown")
REASON = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")
MAX_REASON = 1024
MAX_MESSAGE = 32 * 1024
_REASON_TEXT = (
    "a condition reason must start with alphabetic character, optionally followed by a string of "
    "alphanumeric characters or '_,:', and must end with an alphanumeric character or '_' (e.g. "
    "'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex "
    "used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')"
)


def validate_conditions(conditions: Any, path: FieldPath, errors: FieldErrors) -> None:
    """No type twice, and every condition complete."""
    first: dict[str, int] = {}
    for index, condition in enumerate(conditions or ()):
        kind = condition.get("type") or ""
        if kind in first:
            errors.duplicate(path.index(index).child("type"), kind)
        first.setdefault(kind, index)
        _validate_condition(condition, path.index(index), errors)


def _validate_condition(condition: Obj, path: FieldPath, errors: FieldErrors) -> None:
    kind, status = condition.get("type") or "", condition.get("status") or ""
    if not kind:
        errors.required(path.child("type"), "must be set")
    for problem in is_qualified_name(kind) if kind else ():
        errors.invalid(path.child("type"), kind, problem)
    if status not in STATUSES:
        errors.not_supported(path.child("status"), status, STATUSES)
    generation = path.child("observedGeneration")
    check_not_negative(condition.get("observedGeneration"), generation, errors)
    if not condition.get("lastTransitionTime"):
        errors.required(path.child("lastTransitionTime"), "must be set")
    _validate_reason(condition.get("reason") or "", path.child("reason"), errors)
    if len((condition.get("message") or "").encode()) > MAX_MESSAGE:
        errors.too_long(path.child("message"), MAX_MESSAGE)


def _validate_reason(reason: str, path: FieldPath, errors: FieldErrors) -> None:
    if not reason:
        errors.required(path, "must be set")
    elif not REASON.fullmatch(reason):
        errors.invalid(path, reason, _REASON_TEXT)
    if len(reason) > MAX_REASON:
        errors.too_long(path, MAX_REASON)
