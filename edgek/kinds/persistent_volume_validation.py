"""Validation of PersistentVolumes (upstream: ValidatePersistentVolume and ...Update)."""

import posixpath

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_subdomain
from edgek.kinds.checks import check_enum
from edgek.kinds.metadata import immutable
from edgek.kinds.persistent_volume_sources import sources_of, validate_sources
from edgek.kinds.placement_validation import validate_node_selector
from edgek.kinds.storage_checks import (
    check_access_modes,
    check_class_name,
    check_positive,
    check_volume_mode,
)

SPEC = FieldPath("spec")
POLICIES = ("Delete", "Recycle", "Retain")
NOT_INLINE = "may not be specified in the context of inline volumes"


def validate_volume(volume: Obj, errors: FieldErrors) -> None:
    spec = volume.get("spec") or {}
    _validate_modes(spec, SPEC, errors)
    _validate_capacity(spec.get("capacity") or {}, SPEC.child("capacity"), errors)
    policy, path = spec.get("persistentVolumeReclaimPolicy"), "persistentVolumeReclaimPolicy"
    check_enum(policy, POLICIES, SPEC.child(path), errors, required=False)
    _validate_affinity(spec, errors)
    validate_sources(spec, SPEC, errors)
    host_path = (spec.get("hostPath") or {}).get("path") or ""
    if policy == "Recycle" and host_path and posixpath.normpath(host_path) == "/":
        errors.forbidden(SPEC.child(path), "may not be 'recycle' for a hostPath mount of '/'")
    check_class_name(spec.get("storageClassName"), SPEC.child("storageClassName"), errors)
    check_volume_mode(spec.get("volumeMode"), SPEC.child("volumeMode"), errors)
    _validate_attributes_class(spec, SPEC, errors)


def validate_inline_volume(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    """The spec of a volume that is part of a VolumeAttachment."""
    for field in ("claimRef", "capacity"):
        if spec.get(field):
            errors.forbidden(path.child(field), NOT_INLINE)
    if spec.get("csi") is None:
        text = "has to be specified in the context of inline volumes"
        errors.required(path.child("csi"), text)
    _validate_modes(spec, path, errors)
    if spec.get("persistentVolumeReclaimPolicy") not in (None, "", "Retain"):
        text = "may only be Retain in the context of inline volumes"
        errors.forbidden(path.child("persistentVolumeReclaimPolicy"), text)
    for field in ("nodeAffinity", "storageClassName"):
        if spec.get(field):
            errors.forbidden(path.child(field), NOT_INLINE)
    validate_sources(spec, path, errors)
    if spec.get("volumeMode") not in (None, "Filesystem"):
        text = "may not specify volumeMode other than Filesystem in the context of inline volumes"
        errors.forbidden(path.child("volumeMode"), text)


def _validate_modes(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    where = path.child("accessModes")
    if not spec.get("accessModes"):
        errors.required(where)
    check_access_modes(spec.get("accessModes") or [], where, errors)


def _validate_capacity(capacity: Obj, path: FieldPath, errors: FieldErrors) -> None:
    if not capacity:
        errors.required(path)
    if "storage" not in capacity or len(capacity) > 1:
        errors.not_supported(path, capacity, ("storage",))
    for name, amount in capacity.items():
        check_positive(amount, path.key(name), errors)


def _validate_affinity(spec: Obj, errors: FieldErrors) -> None:
    affinity, path = spec.get("nodeAffinity"), SPEC.child("nodeAffinity")
    if affinity is not None:
        if affinity.get("required") is None:
            text = "must specify required node constraints"
            errors.required(path.child("required"), text)
        else:
            validate_node_selector(affinity["required"], path.child("required"), errors)
    elif spec.get("local") is not None:
        errors.required(path, "Local volume requires node affinity")


def _validate_attributes_class(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    name, where = spec.get("volumeAttributesClassName"), path.child("volumeAttributesClassName")
    if name is None:
        return
    if not name:
        errors.required(where, "an empty string is disallowed")
    else:
        for problem in is_dns1123_subdomain(name):
            errors.invalid(where, name, problem)
    if spec.get("csi") is None:
        text = "has to be specified when using volumeAttributesClassName"
        errors.required(path.child("csi"), text)


def validate_volume_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    has, had = new.get("spec") or {}, old.get("spec") or {}
    if _fixed_sources(has, had) != sources_of(had):
        text = "spec.persistentvolumesource is immutable after creation"
        errors.forbidden(SPEC.child("persistentvolumesource"), text)
    immutable(has.get("volumeMode"), had.get("volumeMode"), FieldPath("volumeMode"), errors)
    if had.get("nodeAffinity") is not None:
        path = FieldPath("nodeAffinity")
        immutable(has.get("nodeAffinity"), had["nodeAffinity"], path, errors)
    field = "volumeAttributesClassName"
    if had.get(field) is not None and has.get(field) is None:
        errors.forbidden(SPEC.child(field), "update from non-nil value to nil is forbidden")


def _fixed_sources(has: Obj, had: Obj) -> dict[str, Obj]:
    """What must be as it was: the secret for growing may come once to a volume of a driver."""
    sources, before = sources_of(has), sources_of(had)
    csi = sources.get("csi")
    if csi is not None and (before.get("csi") or {}).get("controllerExpandSecretRef") is None:
        kept = {f: v for f, v in csi.items() if f != "controllerExpandSecretRef"}
        return {**sources, "csi": kept}
    return sources
