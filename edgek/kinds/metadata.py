"""Validation of metadata, the same for every kind; the registry runs it before ``validate``.

As apimachinery pkg/api/validation ValidateObjectMeta and ValidateObjectMetaUpdate. What the
server itself sets (uid, creationTimestamp, generation) is only checked for not being changed.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgek.api.meta import Obj
from edgek.api.validation import (
    FieldErrors,
    FieldPath,
    is_dns1123_label,
    is_dns1123_subdomain,
    is_qualified_name,
    validate_annotations,
    validate_labels,
)

METADATA = FieldPath("metadata")
_LABELS, _ANNOTATIONS = METADATA.child("labels"), METADATA.child("annotations")
_NAMESPACE = METADATA.child("namespace")
_IDENTITY = tuple(
    (METADATA.child(field), field) for field in ("name", "namespace", "uid", "creationTimestamp")
)
NameRule = Callable[[str], list[str]]
IMMUTABLE = "field is immutable"
MAX_MANAGER = 128
_MAX_SUBRESOURCE = 256
STANDARD_FINALIZERS = ("orphan", "foregroundDeletion", "kubernetes")


def validate_object_meta(
    obj: Mapping[str, Any],
    errors: FieldErrors,
    *,
    namespaced: bool,
    validate_name: NameRule | None,
    free_finalizers: bool = False,
) -> None:
    """``validate_name`` is the kind's rule for names (None: an RFC 1123 subdomain);
    ``free_finalizers``: they need no path (pkg/apis/core asks for one, API extensions do not)."""
    meta = obj["metadata"]
    rule = validate_name or is_dns1123_subdomain
    _validate_names(meta, errors, rule)
    _validate_namespace(meta, errors, namespaced=namespaced)
    if (meta.get("generation") or 0) < 0:
        path = METADATA.child("generation")
        errors.invalid(path, meta["generation"], "must be greater than or equal to 0")
    validate_labels(meta.get("labels"), _LABELS, errors)
    validate_annotations(meta.get("annotations"), _ANNOTATIONS, errors)
    if owners := meta.get("ownerReferences"):
        _validate_owners(owners, errors)
    if finalizers := meta.get("finalizers"):
        _validate_finalizers(finalizers, errors, free=free_finalizers)
    if entries := meta.get("managedFields"):
        _validate_managed_fields(entries, errors)


def _validate_managed_fields(entries: Sequence[Obj], errors: FieldErrors) -> None:
    """As metav1/validation ValidateManagedFields."""
    for index, entry in enumerate(entries):
        manager, through = entry.get("manager") or "", entry.get("subresource") or ""
        if len(manager) <= MAX_MANAGER // 4 and manager.isprintable() and not through:
            continue  # nearly all
        path = METADATA.child("managedFields").index(index)
        validate_field_manager(manager, path.child("manager"), errors)
        if len(through.encode()) > _MAX_SUBRESOURCE:
            errors.too_long(path.child("subresource"), _MAX_SUBRESOURCE)


def validate_field_manager(manager: str, path: FieldPath, errors: FieldErrors) -> None:
    if len(manager.encode()) > MAX_MANAGER:
        errors.too_long(path, MAX_MANAGER)
    elif not manager.isprintable():
        at, char = next((i, c) for i, c in enumerate(manager) if not c.isprintable())
        errors.invalid(path, manager, f"invalid character U+{ord(char):04X} (at position {at})")


def _validate_names(meta: Obj, errors: FieldErrors, rule: NameRule) -> None:
    if prefix := meta.get("generateName"):
        # A generated name may end where the prefix may not.
        for problem in rule(re.sub(r"(?<=.)-$", "a", prefix)):
            errors.invalid(METADATA.child("generateName"), prefix, problem)
    name = meta.get("name")
    if not name:
        errors.required(METADATA.child("name"), "name or generateName is required")
        return
    for problem in rule(name):
        errors.invalid(METADATA.child("name"), name, problem)


def _validate_namespace(meta: Obj, errors: FieldErrors, *, namespaced: bool) -> None:
    found = meta.get("namespace")
    if not namespaced:
        if found:
            errors.forbidden(_NAMESPACE, "not allowed on this type")
    elif not found:
        errors.required(_NAMESPACE)
    else:
        for problem in is_dns1123_label(found):
            errors.invalid(_NAMESPACE, found, problem)


def _validate_owners(owners: list[Obj], errors: FieldErrors) -> None:
    path = METADATA.child("ownerReferences")
    controller: Obj | None = None
    for index, owner in enumerate(owners):
        _validate_owner(owner, path.index(index), errors)
        if not owner.get("controller"):
            continue
        if controller is not None:
            first = f"{controller.get('kind')}/{controller.get('name')}"
            second = f"{owner.get('kind')}/{owner.get('name')}"
            text = f"Only one reference can have Controller set to true. Found {first} and {second}"
            errors.invalid(path, owners, text)
        controller = owner


def _validate_owner(owner: Obj, path: FieldPath, errors: FieldErrors) -> None:
    for field, sentence in (
        ("apiVersion", "version must not be empty"),
        ("kind", "must not be empty"),
        ("name", "must not be empty"),
        ("uid", "must not be empty"),
    ):
        if not owner.get(field):
            errors.invalid(path.child(field), owner.get(field) or "", sentence)
    if (owner.get("apiVersion"), owner.get("kind")) == ("v1", "Event"):
        errors.invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner")


def _validate_finalizers(finalizers: list[str], errors: FieldErrors, *, free: bool) -> None:
    path = METADATA.child("finalizers")
    for index, finalizer in enumerate(finalizers):
        problems = is_qualified_name(finalizer)
        for problem in problems:
            errors.invalid(path.index(index), finalizer, problem)
        bare = "/" not in finalizer and finalizer not in STANDARD_FINALIZERS
        if bare and not problems and not free:
            text = "name is neither a standard finalizer name nor is it fully qualified"
            errors.invalid(path.index(index), finalizer, text)
    if {"orphan", "foregroundDeletion"} <= set(finalizers):
        text = "finalizer orphan and foregroundDeletion cannot be both set"
        errors.invalid(path, finalizers, text)


def validate_object_meta_update(
    new: Mapping[str, Any], old: Mapping[str, Any], errors: FieldErrors
) -> None:
    """What of metadata must stay; finalizers may only go once deletion has begun."""
    fresh, before = new["metadata"], old["metadata"]
    for path, field in _IDENTITY:
        immutable(fresh.get(field) or "", before.get(field) or "", path, errors)
    if before.get("deletionTimestamp"):
        for field in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            immutable(fresh.get(field), before.get(field), METADATA.child(field), errors)
        added = set(fresh.get("finalizers") or ()) - set(before.get("finalizers") or ())
        if added:
            text = (
                "no new finalizers can be added if the object is being deleted, "
                f"found new finalizers {_go_strings(sorted(added))}"
            )
            errors.forbidden(METADATA.child("finalizers"), text)
    if (fresh.get("generation") or 0) < (before.get("generation") or 0):
        errors.invalid(
            METADATA.child("generation"), fresh.get("generation"), "must not be decremented"
        )


def _go_strings(values: list[str]) -> str:
    return "[]string{" + ", ".join(f'"{v}"' for v in values) + "}"


def immutable(new: Any, old: Any, path: FieldPath, errors: FieldErrors) -> None:
    """One error where a field changed that must not (ValidateImmutableField)."""
    if new != old:
        errors.invalid(path, new, IMMUTABLE)
