"""Validation of a definition's versions: schema, columns, subresources, selectable fields.

As apiextensions-apiserver pkg/apis/apiextensions/validation/validation.go. NB: what all versions
say alike, upstream's internal type says once; paths of its errors lead there
(``spec.validation.openAPIV3Schema``), and people search for those.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from edgek.api.validation import FieldErrors, FieldPath, is_dns1035_label
from edgek.kinds.checks import check_required
from edgek.kinds.crd_schema_validation import check_schema, find_field
from edgek.kinds.custom import schema_of_version

Said = Mapping[str, Any]
Check = Callable[[Said, FieldPath, FieldErrors], None]
SPEC = FieldPath("spec")
_SAID_ONCE = {"schema": "validation"}
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = (
    "binary", "byte", "date", "date-time", "double", "float", "int32", "int64", "password",
)  # fmt: skip
_MAX_SELECTABLE = 8
_SELECTABLE_TYPES = ("string", "boolean", "integer")


def check_versions(spec: Said, errors: FieldErrors) -> None:
    versions, path = spec.get("versions") or [], SPEC.child("versions")
    for index, version in enumerate(versions):
        _check_version(version, path.index(index), errors)
    for props, at in schemas_of(spec):
        same = [v for v in versions if schema_of_version(v) == props]
        check_schema(props, at, errors, has_status=any(map(_has_status, same)))
    for field, check in _PARTS.items():
        for version, at in parts_of(spec, field):
            check(version, at, errors)
    names = [v.get("name") for v in versions]
    if len(set(names)) < len(names):
        errors.invalid(path, versions, "must contain unique version names")
    if sum(bool(v.get("storage")) for v in versions) != 1:
        errors.invalid(path, versions, "must have exactly one version marked as storage version")


def parts_of(spec: Said, field: str) -> Iterator[tuple[Said, FieldPath]]:
    """Each version that says something in ``field``, with the path of it; one for all where all
    say the same."""
    versions = spec.get("versions") or []
    said = [v.get(field) for v in versions]
    if said and said[0] and all(s == said[0] for s in said):
        yield versions[0], SPEC.child(_SAID_ONCE.get(field, field))
        return
    for index, version in enumerate(versions):
        if said[index]:
            yield version, SPEC.child("versions").index(index).child(field)


def schemas_of(spec: Said) -> Iterator[tuple[Said, FieldPath]]:
    for version, at in parts_of(spec, "schema"):
        if props := schema_of_version(version):
            yield props, at.child("openAPIV3Schema")


def _has_status(version: Said) -> bool:
    return (version.get("subresources") or {}).get("status") is not None


def _check_version(version: Said, path: FieldPath, errors: FieldErrors) -> None:
    name = version.get("name") or ""
    if problems := is_dns1035_label(name):
        errors.invalid(path.child("name"), name, ",".join(problems))
    _check_deprecation(version, path.child("deprecationWarning"), errors)
    if not schema_of_version(version):
        at = path.child("schema").child("openAPIV3Schema")
        errors.required(at, "schemas are required")


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


def _check_subresources(version: Said, path: FieldPath, errors: FieldErrors) -> None:
    if (scale := version["subresources"].get("scale")) is not None:
        _check_scale(scale, path, errors)


def _check_columns(version: Said, path: FieldPath, errors: FieldErrors) -> None:
    for index, column in enumerate(version["additionalPrinterColumns"]):
        _check_column(column, path.index(index), errors)


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


_PARTS: Mapping[str, Check] = {
    "subresources": _check_subresources,
    "additionalPrinterColumns": _check_columns,
    "selectableFields": _check_selectable,
}
