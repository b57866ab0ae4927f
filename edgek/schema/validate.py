"""Required fields and enums of a schema, as field errors in upstream's words.

For types described by a schema alone (custom resources, kinds without validation of their own).
NB: OpenAPI's ``required`` of built-in types only says "Go writes it always", and upstream does
not refuse every body that leaves one out; a built-in kind's own ``validate`` decides, and may
call this for the subtree where the two agree.
"""

from typing import Any

from edgek.api.validation import FieldErrors, FieldPath
from edgek.schema.schema import Schema


def required_and_enums(
    value: Any, schema: Schema, errors: FieldErrors, *, path: FieldPath | None = None
) -> None:
    """Adds ``Required value`` and ``Unsupported value`` for all of ``value``, which check.py has
    found to be of the right types. An empty text counts as missing, as upstream's do."""
    here = path or FieldPath()
    if schema.enum and value not in schema.enum:
        errors.not_supported(here, value, [str(e) for e in schema.enum])
    if schema.type == "object" and isinstance(value, dict):
        _object(value, schema, errors, here)
    elif schema.items is not None and isinstance(value, list):
        for index, item in enumerate(value):
            required_and_enums(item, schema.items, errors, path=here.index(index))
    elif schema.items is not None and isinstance(value, dict):
        for key, item in value.items():
            required_and_enums(item, schema.items, errors, path=here.key(key))


def _object(value: dict[str, Any], schema: Schema, errors: FieldErrors, here: FieldPath) -> None:
    for name in sorted(schema.required):
        if value.get(name) in (None, ""):
            errors.required(here.child(name))
    for name, inner in value.items():
        field = schema.fields.get(name)
        if field is not None and not (name in schema.required and inner == ""):
            required_and_enums(inner, field, errors, path=here.child(name))
