"""StorageVersionMigration: a wish that all objects of a kind be written anew."""

from edgek.api.conditions import find_condition
from edgek.api.meta import Obj, get_path
from edgek.api.validation import (
    FieldErrors,
    FieldPath,
    is_dns1035_label,
    is_dns1123_subdomain,
)
from edgek.kinds.conditions_validation import validate_conditions
from edgek.kinds.kind import NAME, STATUS, Column, Kind
from edgek.kinds.metadata import immutable
from edgek.kinds.strategy import keep_status, only_status

SPEC = FieldPath("spec")
RESOURCE = SPEC.child("resource")
STATUS_PATH = FieldPath("status")
CONDITIONS = STATUS_PATH.child("conditions")
_CONTRADICTIONS = (
    ("Succeeded", "Failed", "Both success and failed conditions cannot be true at the same time"),
    ("Succeeded", "Running", "Running condition cannot be true when success condition is true"),
    ("Failed", "Running", "Running condition cannot be true when failed condition is true"),
)


def _validate(obj: Obj, errors: FieldErrors) -> None:
    ref = get_path(obj, "spec", "resource", default={})
    resource, group = ref.get("resource") or "", ref.get("group") or ""
    if not resource:
        errors.required(RESOURCE.child("resource"), "resource is required to be set")
    elif problems := is_dns1035_label(resource):
        errors.invalid(RESOURCE.child("resource"), resource, ",".join(problems))
    if group and (problems := is_dns1123_subdomain(group)):
        errors.invalid(RESOURCE.child("group"), group, ",".join(problems))
    conditions = get_path(obj, "status", "conditions", default=[])
    validate_conditions(conditions, CONDITIONS, errors)
    for one, other, text in _CONTRADICTIONS:
        if _is(obj, one) and _is(obj, other):
            errors.invalid(CONDITIONS, conditions, text)


def _is(obj: Obj, kind: str) -> bool:
    found = find_condition(get_path(obj, "status", "conditions", default=[]), kind)
    return found is not None and found.get("status") == "True"


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    immutable(new.get("spec"), old.get("spec"), SPEC, errors)
    if had := get_path(old, "status", "resourceVersion"):
        path = STATUS_PATH.child("resourceVersion")
        immutable(get_path(new, "status", "resourceVersion", default=""), had, path, errors)
    for kind, word in (("Succeeded", "Success"), ("Failed", "Failed")):
        if _is(old, kind) and not _is(new, kind):
            text = f"{word} condition cannot be set to false once it is true"
            errors.invalid(CONDITIONS, get_path(new, "status", "conditions"), text)


def _resource(obj: Obj) -> str:
    ref = get_path(obj, "spec", "resource", default={})
    group = f".{ref['group']}" if ref.get("group") else ""
    return (ref.get("resource") or "") + group


STORAGE_VERSION_MIGRATION = Kind(
    group="storagemigration.k8s.io",
    version="v1",
    kind="StorageVersionMigration",
    plural="storageversionmigrations",
    namespaced=False,
    columns=(NAME, Column(name="Resource", read=_resource, description="What is to be written.")),
    subresources=(STATUS,),
    prepare=keep_status,
    prepare_status=only_status,
    validate=_validate,
    validate_update=_validate_update,
    example={
        "apiVersion": "storagemigration.k8s.io/v1",
        "kind": "StorageVersionMigration",
        "metadata": {"name": "secrets"},
        "spec": {"resource": {"resource": "secrets"}},
    },
)
