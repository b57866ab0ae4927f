"""Validation of CustomResourceDefinitions: names, scope, what is stored, approval.

As apiextensions-apiserver pkg/apis/apiextensions/validation/validation.go. Versions are
crd_version_validation.py's matter, conversion crd_conversion_validation.py's.
"""

from collections.abc import Mapping
from typing import Any

from edgek.api.meta import Obj, annotations
from edgek.api.validation import (
    FieldErrors,
    FieldPath,
    is_dns1035_label,
    is_dns1123_subdomain,
)
from edgek.kinds.checks import check_enum, check_required
from edgek.kinds.crd_conversion_validation import check_conversion
from edgek.kinds.crd_status import APPROVAL, APPROVAL_HELP, is_approval, is_protected
from edgek.kinds.crd_version_validation import check_versions
from edgek.kinds.custom import is_established
from edgek.kinds.metadata import immutable

SPEC, STATUS = FieldPath("spec"), FieldPath("status")
Said = Mapping[str, Any]


def validate_definition(crd: Obj, errors: FieldErrors) -> None:
    spec = crd.get("spec") or {}
    names = spec.get("names") or {}
    name = crd["metadata"].get("name") or ""
    if name and name != f"{names.get('plural') or ''}.{spec.get('group') or ''}":
        text = 'must be spec.names.plural+"."+spec.group'
        errors.invalid(FieldPath("metadata").child("name"), name, text)
    _check_group(spec.get("group") or "", errors)
    check_enum(spec.get("scope"), ("Cluster", "Namespaced"), SPEC.child("scope"), errors)
    check_versions(spec, errors)
    check_required(names, ("plural", "singular", "kind", "listKind"), SPEC.child("names"), errors)
    check_names(names, SPEC.child("names"), errors)
    check_conversion(spec, SPEC, errors)
    check_names(
        (crd.get("status") or {}).get("acceptedNames") or {}, STATUS.child("acceptedNames"), errors
    )
    _check_stored_versions(crd, errors)
    _check_approval(crd, errors)
    if spec.get("preserveUnknownFields"):
        text = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
            "spec.versions[*].schema instead"
        )
        errors.invalid(SPEC.child("preserveUnknownFields"), True, text)


def validate_definition_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    spec, before = new["spec"], old["spec"]
    names, names_before = spec.get("names") or {}, before.get("names") or {}
    if is_established(old):
        # These reach into storage.
        immutable(spec.get("scope"), before.get("scope"), SPEC.child("scope"), errors)
        at = SPEC.child("names").child("kind")
        immutable(names.get("kind"), names_before.get("kind"), at, errors)
    immutable(spec.get("group"), before.get("group"), SPEC.child("group"), errors)
    at = SPEC.child("names").child("plural")
    immutable(names.get("plural"), names_before.get("plural"), at, errors)


def _check_group(group: str, errors: FieldErrors) -> None:
    at = SPEC.child("group")
    if not group:
        errors.required(at)
    elif problems := is_dns1123_subdomain(group):
        errors.invalid(at, group, ",".join(problems))
    elif "." not in group:
        errors.invalid(at, group, "should be a domain with at least one dot")


def check_names(names: Said, path: FieldPath, errors: FieldErrors) -> None:
    for field in ("plural", "singular"):
        _check_label(names.get(field) or "", path.child(field), errors)
    for field in ("kind", "listKind"):
        said = names.get(field) or ""
        if said and (problems := is_dns1035_label(said.lower())):
            text = "may have mixed case, but should otherwise match: " + ",".join(problems)
            errors.invalid(path.child(field), said, text)
    for index, said in enumerate(names.get("shortNames") or ()):
        _check_label(said, path.child("shortNames").index(index), errors)
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        text = "kind and listKind may not be the same"
        errors.invalid(path.child("listKind"), names["listKind"], text)
    for index, said in enumerate(names.get("categories") or ()):
        _check_label(said, path.child("categories").index(index), errors)


def _check_label(said: str, path: FieldPath, errors: FieldErrors) -> None:
    if said and (problems := is_dns1035_label(said)):
        errors.invalid(path, said, ",".join(problems))


def _check_stored_versions(crd: Obj, errors: FieldErrors) -> None:
    """What may be in storage must still be known. NB: prepare has added the storage version."""
    path = STATUS.child("storedVersions")
    stored = (crd.get("status") or {}).get("storedVersions") or []
    versions = (crd.get("spec") or {}).get("versions") or []
    if not stored:
        errors.invalid(path, stored, "must have at least one stored version")
        return
    for version in versions:
        if version.get("storage") and version.get("name") not in stored:
            errors.invalid(path, stored, f"must have the storage version {version.get('name')}")
    known = {v.get("name") for v in versions}
    for index, name in enumerate(stored):
        if name not in known:
            text = (
                f"missing from spec.versions; {name} was previously a storage version, and must "
                "remain in spec.versions until a storage migration ensures no data remains "
                f"persisted in {name} and removes {name} from status.storedVersions"
            )
            errors.invalid(path.index(index), name, text)


def _check_approval(crd: Obj, errors: FieldErrors) -> None:
    if not is_protected((crd.get("spec") or {}).get("group") or ""):
        return
    at, said = FieldPath("metadata").child("annotations").key(APPROVAL), annotations(crd)
    value = said.get(APPROVAL) or ""
    if not value:
        errors.required(at, APPROVAL_HELP)
    elif not value.startswith("unapproved") and not is_approval(value):
        errors.invalid(at, value, APPROVAL_HELP)
