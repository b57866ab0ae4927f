"""LimitRange: defaults and bounds of what one container, pod or claim may ask for."""

from fractions import Fraction

from edgek.api.meta import Obj
from edgek.api.quantity import canonical
from edgek.api.validation import FieldErrors, FieldPath, is_qualified_name
from edgek.kinds.checks import check_quantity
from edgek.kinds.kind import NAME, Kind
from edgek.kinds.rbac import CREATED_AT
from edgek.kinds.resource_names import (
    check_container_resource_name,
    check_resource_name,
    may_overcommit,
)
from edgek.kinds.strategy import ensure

TYPES = ("Container", "PersistentVolumeClaim", "Pod")
LISTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
_ORDERED = (
    ("min", "max", "min", "min value {} is greater than max value {}"),
    ("min", "defaultRequest", "defaultRequest",
     "min value {} is greater than default request value {}"),
    ("defaultRequest", "max", "defaultRequest",
     "default request value {} is greater than max value {}"),
    ("defaultRequest", "default", "defaultRequest",
     "default request value {} is greater than default limit value {}"),
    ("min", "default", "default", "min value {} is greater than default value {}"),
    ("default", "max", "default", "default value {} is greater than max value {}"),
)  # fmt: skip
"""Lesser, greater, the field that is to blame, the sentence."""

Amounts = dict[str, dict[str, Fraction]]


def _default(obj: Obj) -> None:
    """As SetDefaults_LimitRangeItem: what is not said of containers follows from what is."""
    for item in (obj.get("spec") or {}).get("limits") or ():
        if item.get("type") != "Container":
            continue
        limits, requests = ensure(item, "default"), ensure(item, "defaultRequest")
        for source, target in (
            (item.get("max") or {}, limits),
            (limits, requests),
            (item.get("min") or {}, requests),
        ):
            for name, amount in source.items():
                target.setdefault(name, amount)


def _validate(obj: Obj, errors: FieldErrors) -> None:
    seen: set[str] = set()
    for index, item in enumerate((obj.get("spec") or {}).get("limits") or ()):
        path, kind = FieldPath("spec.limits").index(index), item.get("type") or ""
        _validate_type(kind, path.child("type"), errors)
        if kind in seen:
            errors.duplicate(path.child("type"), kind)
        seen.add(kind)
        _validate_item(item, kind, path, errors)


def _validate_type(kind: str, path: FieldPath, errors: FieldErrors) -> None:
    for problem in is_qualified_name(kind):
        errors.invalid(path, kind, problem)
    if "/" not in kind and kind not in TYPES:
        errors.invalid(path, kind, "must be a standard limit type or fully qualified")


def _validate_item(item: Obj, kind: str, path: FieldPath, errors: FieldErrors) -> None:
    amounts: Amounts = {}
    for field in LISTS:
        given = item.get(field) or {}
        if kind == "Pod" and field.startswith("default"):
            if given:
                errors.forbidden(path.child(field), "may not be specified when `type` is 'Pod'")
            given = {}
        amounts[field] = _amounts(given, kind, path.child(field), errors)
    if kind == "PersistentVolumeClaim" and not (
        {"storage"} & (amounts["min"] | amounts["max"]).keys()
    ):
        text = "either minimum or maximum storage value is required, but neither was provided"
        errors.required(path.child("limits"), text)
    for name in sorted({name for found in amounts.values() for name in found}):
        _validate_order(item, amounts, name, path, errors)
        _validate_ratio(item, amounts, name, path, errors)


def _amounts(given: Obj, kind: str, path: FieldPath, errors: FieldErrors) -> dict[str, Fraction]:
    check = check_container_resource_name if kind in ("Pod", "Container") else check_resource_name
    out = {}
    for name, text in given.items():
        check(name, path.key(name), errors)
        amount = check_quantity(text, path.key(name), errors)
        if amount is not None:
            out[name] = amount
    return out


def _validate_order(
    item: Obj, amounts: Amounts, name: str, path: FieldPath, errors: FieldErrors
) -> None:
    def shown(field: str) -> str:
        return canonical(item[field][name])

    for less, more, to_blame, sentence in _ORDERED:
        low, high = amounts[less].get(name), amounts[more].get(name)
        if low is not None and high is not None and low > high:
            where = path.child(to_blame).key(name)
            errors.invalid(where, shown(to_blame), sentence.format(shown(less), shown(more)))
    limit, request = amounts["default"].get(name), amounts["defaultRequest"].get(name)
    if None not in (limit, request) and limit != request and not may_overcommit(name):
        errors.invalid(
            path.child("defaultRequest").key(name),
            shown("defaultRequest"),
            f"default value {shown('default')} must equal to defaultRequest value "
            f"{shown('defaultRequest')} in {name}",
        )


def _validate_ratio(
    item: Obj, amounts: Amounts, name: str, path: FieldPath, errors: FieldErrors
) -> None:
    ratio = amounts["maxLimitRequestRatio"].get(name)
    if ratio is None:
        return
    where, shown = path.child("maxLimitRequestRatio").key(name), None
    shown = canonical(item["maxLimitRequestRatio"][name])
    if ratio < 1:
        errors.invalid(where, shown, f"ratio {shown} is less than 1")
    least, most = amounts["min"].get(name), amounts["max"].get(name)
    if least and most is not None and ratio > most / least:
        bound = float(most / least)
        errors.invalid(where, shown, f"ratio {shown} is greater than max/min = {bound:f}")


LIMIT_RANGE = Kind(
    group="",
    version="v1",
    kind="LimitRange",
    plural="limitranges",
    short_names=("limits",),
    columns=(NAME, CREATED_AT),
    default=_default,
    validate=_validate,
    example={
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "containers", "namespace": "default"},
        "spec": {
            "limits": [
                {
                    "type": "Container",
                    "default": {"cpu": "500m", "memory": "256Mi"},
                    "defaultRequest": {"cpu": "100m", "memory": "64Mi"},
                    "max": {"cpu": "2"},
                }
            ]
        },
    },
)
