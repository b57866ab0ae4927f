"""Validation of PersistentVolumeClaims (upstream: ValidatePersistentVolumeClaim and ...Update).

``validate_claim_spec`` also serves the templates of claims in pods and StatefulSets.
"""

from edgek.api.meta import Obj, annotations, get_path
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_label, is_dns1123_subdomain
from edgek.kinds.checks import check_label_selector, check_quantity, check_required, check_rule
from edgek.kinds.metadata import immutable
from edgek.kinds.storage_checks import (
    BETA_CLASS,
    amount_of,
    check_access_modes,
    check_class_name,
    check_positive,
    check_volume_mode,
)

SPEC = FieldPath("spec")
STATUS = FieldPath("status")
REQUESTED = SPEC.child("resources", "requests", "storage")
ATTRIBUTES = "volumeAttributesClassName"
RESIZE_STATES = (
    "ControllerResizeFailed", "ControllerResizeInProgress", "NodeResizeFailed",
    "NodeResizeInProgress", "NodeResizePending",
)  # fmt: skip


def validate_claim(claim: Obj, errors: FieldErrors) -> None:
    validate_claim_spec(claim.get("spec") or {}, SPEC, errors)
    _validate_status(claim.get("status") or {}, errors)


def validate_claim_spec(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    modes = spec.get("accessModes") or []
    if not modes:
        errors.required(path.child("accessModes"), "at least 1 access mode is required")
    check_label_selector(spec.get("selector"), path.child("selector"), errors)
    check_access_modes(modes, path.child("accessModes"), errors)
    amount = get_path(spec, "resources", "requests", "storage")
    where = path.child("resources").key("storage")
    if amount is None:
        errors.required(where)
    else:
        check_positive(amount, where, errors)
    check_class_name(spec.get("storageClassName"), path.child("storageClassName"), errors)
    check_volume_mode(spec.get("volumeMode"), path.child("volumeMode"), errors)
    _validate_sources(spec, path, errors)
    check_class_name(spec.get(ATTRIBUTES), path.child(ATTRIBUTES), errors)


def _validate_sources(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    source, ref = spec.get("dataSource"), spec.get("dataSourceRef")
    for field, found in (("dataSource", source), ("dataSourceRef", ref)):
        if found is not None:
            _validate_source(found, path.child(field), errors)
    if source is None or ref is None:
        return
    if ref.get("namespace"):
        text = "may not be specified when dataSourceRef.namespace is specified"
        errors.invalid(path, str(path.child("dataSource")), text)
    elif any(source.get(f) != ref.get(f) for f in ("apiGroup", "kind", "name")):
        errors.invalid(path, str(path.child("dataSource")), "must match dataSourceRef")


def _validate_source(ref: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_required(ref, ("name", "kind"), path, errors)
    if not ref.get("apiGroup") and ref.get("kind") != "PersistentVolumeClaim":
        text = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        errors.invalid(path, ref.get("kind") or "", text)
    check_rule(ref.get("apiGroup"), is_dns1123_subdomain, path.child("apiGroup"), errors)
    check_rule(ref.get("namespace"), is_dns1123_label, path.child("namespace"), errors)


def _validate_status(status: Obj, errors: FieldErrors) -> None:
    for field in ("capacity", "allocatedResources"):
        for name, amount in (status.get(field) or {}).items():
            check_quantity(amount, STATUS.child(field).key(name), errors)
    path = STATUS.child("allocatedResourceStatus")
    for name, state in (status.get("allocatedResourceStatuses") or {}).items():
        if state not in RESIZE_STATES:
            errors.not_supported(path, name, RESIZE_STATES)


def validate_claim_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    """A claim stays as it is, but for its volume's name once, and for its size when bound."""
    has, had = new.get("spec") or {}, old.get("spec") or {}
    path = FieldPath("metadata").child("annotations").key(BETA_CLASS)
    moved = _moves_class_from_annotation(new, old)
    if not moved:
        before, after = annotations(old).get(BETA_CLASS), annotations(new).get(BETA_CLASS)
        immutable(after or "", before or "", path, errors)
    if _fixed(new, old, moved=moved) != _comparable(had, keep_name=True):
        text = (
            "spec is immutable after creation except resources.requests and "
            "volumeAttributesClassName for bound claims"
        )
        errors.forbidden(SPEC, text)
    _validate_size(new, old, errors)
    immutable(has.get("volumeMode"), had.get("volumeMode"), FieldPath("volumeMode"), errors)
    _validate_attributes(has.get(ATTRIBUTES), had.get(ATTRIBUTES), errors)


def _moves_class_from_annotation(new: Obj, old: Obj) -> bool:
    """As validateStorageClassUpgradeFromAnnotation."""
    before, after = annotations(old).get(BETA_CLASS), annotations(new).get(BETA_CLASS)
    had, has = (get_path(o, "spec", "storageClassName") for o in (old, new))
    return before is not None and had is None and has == before and after in (None, before)


def _comparable(spec: Obj, *, keep_name: bool) -> Obj:
    left_out = {ATTRIBUTES} | (set() if keep_name else {"volumeName"})
    return {f: v for f, v in spec.items() if f not in left_out and v is not None}


def _fixed(new: Obj, old: Obj, *, moved: bool) -> Obj:
    """The new spec without the changes that are allowed; equal to the old one if it is right."""
    has, had = new.get("spec") or {}, old.get("spec") or {}
    fixed = _comparable(has, keep_name=bool(had.get("volumeName")))
    if not had.get("volumeName") and "volumeName" in had:
        fixed["volumeName"] = had["volumeName"]
    annotation = annotations(old).get(BETA_CLASS)
    if had.get("storageClassName") is None and (
        moved or annotation in (None, has.get("storageClassName"))
    ):
        fixed.pop("storageClassName", None)
    requests = get_path(has, "resources", "requests")
    if get_path(new, "status", "phase") == "Bound" and requests is not None:
        size = get_path(had, "resources", "requests", "storage")
        fixed["resources"] = {**has["resources"], "requests": {**requests, "storage": size}}
    return fixed


def _validate_size(new: Obj, old: Obj, errors: FieldErrors) -> None:
    """A growth that failed may be taken back, down to what is there already."""
    requested = ("spec", "resources", "requests")
    has, had = (amount_of(get_path(o, *requested)) for o in (new, old))
    if has < had and has <= amount_of(get_path(old, "status", "capacity")):
        errors.forbidden(REQUESTED, "field can not be less than status.capacity")


def _validate_attributes(has: str | None, had: str | None, errors: FieldErrors) -> None:
    if had is None or has == had:
        return
    if has is None:
        errors.forbidden(SPEC.child(ATTRIBUTES), "update from non-nil value to nil is forbidden")
    elif not has:
        text = "update from non-nil value to an empty string is forbidden"
        errors.forbidden(SPEC.child(ATTRIBUTES), text)
