"""StorageClass: how volumes are made for the claims that name it."""

from typing import Any

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath, is_label_value, is_qualified_name
from edgek.kinds.checks import check_enum
from edgek.kinds.columns import UNKNOWN, cell
from edgek.kinds.kind import AGE, Column, Kind
from edgek.kinds.metadata import immutable
from edgek.kinds.storage_checks import (
    GROUP,
    check_kept,
    check_parameters,
    check_provisioner,
    name_and_default,
)
from edgek.kinds.storage_warnings import warn_of_storage_class
from edgek.kinds.strategy import set_default

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
BETA_DEFAULT_CLASS = "storageclass.beta.kubernetes.io/is-default-class"
POLICIES = ("Delete", "Retain")
BINDING_MODES = ("Immediate", "WaitForFirstConsumer")
TOPOLOGIES = FieldPath("allowedTopologies")


def _default(obj: Obj) -> None:
    set_default(obj, "reclaimPolicy", "Delete")
    set_default(obj, "volumeBindingMode", "Immediate")


def _validate(obj: Obj, errors: FieldErrors) -> None:
    check_provisioner(obj.get("provisioner") or "", FieldPath("provisioner"), errors)
    check_parameters(obj.get("parameters"), FieldPath("parameters"), errors)
    path = FieldPath("reclaimPolicy")
    check_enum(obj.get("reclaimPolicy"), POLICIES, path, errors, required=False)
    path = FieldPath("volumeBindingMode")
    check_enum(obj.get("volumeBindingMode"), BINDING_MODES, path, errors)
    seen: list[Any] = []
    for index, term in enumerate(obj.get("allowedTopologies") or ()):
        path = TOPOLOGIES.index(index).child("matchLabelExpressions")
        found = _validate_term(term, path, errors)
        if found in seen:
            errors.duplicate(path, "")
        seen.append(found)


def _validate_term(term: Obj, path: FieldPath, errors: FieldErrors) -> dict[str, set[str]]:
    """As ValidateTopologySelectorTerm; the values by key, which no other term may repeat."""
    found: dict[str, set[str]] = {}
    for index, expression in enumerate(term.get("matchLabelExpressions") or ()):
        where, key = path.index(index), expression.get("key") or ""
        if key in found:
            errors.duplicate(where.child("key"), key)
        found[key] = _validate_values(expression.get("values") or [], where.child("values"), errors)
        for problem in is_qualified_name(key):
            errors.invalid(where.child("key"), key, problem)
    return found


def _validate_values(values: list[str], path: FieldPath, errors: FieldErrors) -> set[str]:
    if not values:
        errors.required(path)
    seen: set[str] = set()
    for index, value in enumerate(values):
        for problem in is_label_value(value):
            errors.invalid(path.index(index), value, problem)
        if value in seen:
            errors.duplicate(path.index(index), value)
        seen.add(value)
    return seen


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    for field in ("parameters", "provisioner", "reclaimPolicy"):
        check_kept(new, old, field, errors)
    path = FieldPath("volumeBindingMode")
    immutable(new.get("volumeBindingMode"), old.get("volumeBindingMode"), path, errors)


STORAGE_CLASS = Kind(
    group=GROUP,
    version="v1",
    kind="StorageClass",
    plural="storageclasses",
    short_names=("sc",),
    namespaced=False,
    columns=(
        name_and_default(DEFAULT_CLASS, BETA_DEFAULT_CLASS),
        Column(name="Provisioner", read=cell("provisioner"), description="Who makes the volumes."),
        Column(
            name="ReclaimPolicy",
            read=cell("reclaimPolicy", default="Delete"),
            description="What becomes of a volume whose claim is gone.",
        ),
        Column(
            name="VolumeBindingMode",
            read=cell("volumeBindingMode", default=UNKNOWN),
            description="When a volume is made for a claim.",
        ),
        Column(
            name="AllowVolumeExpansion",
            read=cell("allowVolumeExpansion", default=False),
            description="Whether volumes may grow.",
        ),
        AGE,
    ),
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    warn=warn_of_storage_class,
    example={
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "fast"},
        "provisioner": "disks.example.com",
        "parameters": {"tier": "ssd"},
    },
)
