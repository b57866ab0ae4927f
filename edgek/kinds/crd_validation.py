"""Validation of CustomResourceDefinitions: names, versions, columns, subresources.

As apiextensions-apiserver pkg/apis/apiextensions/validation/validation.go. Schemas are
crd_schema_validation.py's matter, conversion crd_conversion_validation.py's.
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
from edgek.kinds.crd_schema_validation import check_schema, find_field
from edgek.kinds.crd_status import APPROVAL, APPROVAL_HELP, is_approval, is_protected
from edgek.kinds.custom import is_established, schema_of_version
from edgek.kinds.metadata import immutable

SPEC, STATUS = FieldPath("spec"), FieldPath("status")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = (
    "binary", "byte", "date", "date-time", "double", "float", "int32", "int64", "password",
)  # fmt: skip
_MAX_SELECTABLE = 8
_SELECTABLE_TYPES = ("string", "boolean", "integer")
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
    _check_versions(spec, errors)
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


def _check_versions(spec: Said, errors: FieldErrors) -> None:
    versions, path = spec.get("versions") or [], SPEC.child("versions")
    for index, version in enumerate(versions):
        _check_version(version, path.index(index), errors)
    names = [v.get("name") for v in versions]
    if len(set(names)) < len(names):
        errors.invalid(path, versions, "must contain unique version names")
    if sum(bool(v.get("storage")) for v in versions) != 1:
        errors.invalid(path, versions, "must have exactly one version marked as storage version")


def _check_version(version: Said, path: FieldPath, errors: FieldErrors) -> None:
    name = version.get("name") or ""
    if problems := is_dns1035_label(name):
        errors.invalid(path.child("name"), name, ",".join(problems))
    _check_deprecation(version, path.child("deprecationWarning"), errors)
    subresources = version.get("subresources") or {}
    at = path.child("schema").child("openAPIV3Schema")
    if not (version.get("schema") or {}).get("openAPIV3Schema"):
        errors.required(at, "schemas are required")
    else:
        has_status = subresources.get("status") is not None
        check_schema(schema_of_version(version), at, errors, has_status=has_status)
    if subresources.get("scale") is not None:
        _check_scale(subresources["scale"], path.child("subresources"), errors)
    for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
        _check_column(column, path.child("additionalPrinterColumns").index(index), errors)
    _check_selectable(version, path.child("selectableFields"), errors)


def _check_deprecation(version: Said, path: FieldPath, errors: FieldErrors) -> None:
    said = version.get("deprecationWarning")
    if said is None:
        return
    if not version.get("deprecated"):
        errors.invalid(path, said, "can only be set for deprecated versions")
        return
    if len(said.encode()) > 256:
        errors.invalid(path, said, "must be <= 256 characters long")
    if not said:
        errors.invalid(path, said, "must not be an empty string")
    bad = next((i for i, c in enumerate(said) if not c.isprintable()), None)
    if bad is not None:
        text = (
            "must only contain printable UTF-8 characters; non-printable character found at "
            f"index {bad}"
        )
        errors.invalid(path, said, text)


def _check_scale(scale: Said, path: FieldPath, errors: FieldErrors) -> None:
    for field, roots, place in (
        ("specReplicasPath", (".spec.",), "under .spec"),
        ("statusReplicasPath", (".status.",), "under .status"),
        ("labelSelectorPath", (".spec.", ".status."), "under either .spec or .status"),
    ):
        said, at = scale.get(field) or "", path.child(f"scale.{field}")
        if not said:
            if field != "labelSelectorPath":
                errors.required(at)
        elif not said.startswith("."):
            errors.invalid(at, said, "must be a simple json path starting with .")
        elif not said.startswith(roots):
            errors.invalid(at, said, f"should be a json path {place}")


def _check_column(column: Said, path: FieldPath, errors: FieldErrors) -> None:
    check_required(column, ("name",), path, errors)
    kind, types = column.get("type") or "", "must be one of " + ",".join(_COLUMN_TYPES)
    if not kind:
        errors.required(path.child("type"), types)
    elif kind not in _COLUMN_TYPES:
        errors.invalid(path.child("type"), kind, types)
    if (said := column.get("format")) and said not in _COLUMN_FORMATS:
        text = "must be one of " + ",".join(_COLUMN_FORMATS)
        errors.invalid(path.child("format"), said, text)
    where, at = column.get("jsonPath") or "", path.child("JSONPath")
    if not where:
        errors.required(at)
    elif not where.startswith("."):
        errors.invalid(at, where, "must be a simple json path starting with .")


def _check_selectable(version: Said, path: FieldPath, errors: FieldErrors) -> None:
    seen: set[str] = set()
    schema = schema_of_version(version)
    for index, field in enumerate(version.get("selectableFields") or ()):
        said, at = field.get("jsonPath") or "", path.index(index).child("jsonPath")
        if not said:
            errors.required(at)
            continue
        found = find_field(schema, said)
        if found is None:
            text = f"is an invalid path: does not refer to a valid field: {said}"
            errors.invalid(at, said, text)
            continue
        if said.startswith(".metadata"):
            errors.invalid(at, said, "must not point to fields in metadata")
        if found.get("type") not in _SELECTABLE_TYPES:
            text = (
                "must point to a field of type string, boolean or integer. Enum string fields "
                "and strings with formats are allowed."
            )
            errors.invalid(at, said, text)
        if said in seen:
            errors.duplicate(at, said)
        seen.add(said)
    if len(seen) > _MAX_SELECTABLE:
        errors.too_many(path, len(seen), _MAX_SELECTABLE)


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
