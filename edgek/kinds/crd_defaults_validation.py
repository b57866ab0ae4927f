"""Defaults of a definition's schema must themselves be what the schema asks for.

As apiextensions-apiserver pkg/apiserver/schema/defaulting/validation.go.
"""

from collections.abc import Mapping
from typing import Any

from edgek.api.errors import ApiError
from edgek.api.meta import deep_copy
from edgek.api.validation import FieldErrors, FieldPath
from edgek.schema.check import Checker
from edgek.schema.schema import NOTHING
from edgek.schema.structural import Structural, read_structural
from edgek.schema.structural_default import fill_defaults
from edgek.schema.structural_prune import Pruner
from edgek.schema.structural_validate import StructuralValidator


def check_defaults(props: Mapping[str, Any], path: FieldPath, errors: FieldErrors) -> None:
    """All defaults below ``path``; the schema is structural."""
    _walk(read_structural(props), path, errors)


def _walk(schema: Structural, path: FieldPath, errors: FieldErrors) -> None:
    if schema.default is not NOTHING:
        _check(schema, path.child("default"), errors)
    for name, inner in schema.properties.items():
        _walk(inner, path.child("properties").key(name), errors)
    if schema.values is not None:
        _walk(schema.values, path.child("additionalProperties"), errors)
    if schema.items is not None:
        _walk(schema.items, path.child("items"), errors)


def _check(schema: Structural, path: FieldPath, errors: FieldErrors) -> None:
    value = deep_copy({"default": schema.default})["default"]
    pruner = Pruner(Checker())
    try:
        pruner.value(value, schema, "")
    except ApiError as err:  # metadata of an embedded resource that is none
        errors.invalid(path, schema.default, f"must result in valid metadata: {err.message}")
        return
    if pruner.unknown:
        errors.invalid(path, schema.default, "must not have unknown fields")
    fill_defaults(value, schema)
    StructuralValidator(errors, base=path).check(value, schema)
