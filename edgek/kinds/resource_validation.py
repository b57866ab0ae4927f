"""Validation of resource requirements (upstream: validateContainerResourceRequirements)."""

from fractions import Fraction

from edgek.api.meta import Obj
from edgek.api.quantity import canonical
from edgek.api.validation import FieldErrors, FieldPath, is_qualified_name
from edgek.kinds.checks import check_quantity

STANDARD = ("cpu", "memory", "ephemeral-storage")
HUGE_PAGES = "hugepages-"


def is_extended(name: str) -> bool:
    """A device or the like: counted in whole pieces and never overcommitted."""
    return "/" in name and "kubernetes.io/" not in name


def validate_resources(resources: Obj, path: FieldPath, errors: FieldErrors) -> None:
    """Names are known, amounts fit, and no request is above its limit."""
    limits = _amounts(resources.get("limits") or {}, path.child("limits"), errors)
    requests = _amounts(resources.get("requests") or {}, path.child("requests"), errors)
    for name, amount in requests.items():
        if name in limits:
            _compare(name, amount, limits[name], resources, path.child("requests"), errors)
        elif is_extended(name) or name.startswith(HUGE_PAGES):
            errors.required(
                path.child("limits"), "Limit must be set for non overcommitable resources"
            )


def _compare(
    name: str, request: Fraction, limit: Fraction, resources: Obj, path: FieldPath,
    errors: FieldErrors,
) -> None:  # fmt: skip
    shown, most = canonical(resources["requests"][name]), canonical(resources["limits"][name])
    if is_extended(name) or name.startswith(HUGE_PAGES):
        if request != limit:
            errors.invalid(path, shown, f"must be equal to {name} limit of {most}")
    elif request > limit:
        errors.invalid(path, shown, f"must be less than or equal to {name} limit of {most}")


def _amounts(found: Obj, path: FieldPath, errors: FieldErrors) -> dict[str, Fraction]:
    out = {}
    for name, text in found.items():
        where = path.key(name)
        _validate_name(name, where, errors)
        amount = check_quantity(text, where, errors)
        if amount is None:
            continue
        if is_extended(name) and amount.denominator != 1:
            errors.invalid(where, text, "must be an integer")
        out[name] = amount
    return out


def _validate_name(name: str, path: FieldPath, errors: FieldErrors) -> None:
    if problems := is_qualified_name(name):
        for problem in problems:
            errors.invalid(path, name, problem)
    elif "/" not in name and name not in STANDARD and not name.startswith(HUGE_PAGES):
        errors.invalid(path, name, "must be a standard resource type or fully qualified")
        errors.invalid(path, name, "must be a standard resource for containers")
