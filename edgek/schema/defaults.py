"""Fills in the defaults that a schema carries.

Built-in types have few (most of upstream's defaults are code, which lives in edgek/kinds);
custom resources have all of theirs here. Idempotent. An absent object is not made to hold
defaults: only objects that are there get theirs, as structural defaulting does.
"""

import copy
from typing import Any

from edgek.schema.schema import NOTHING, Schema


def apply_defaults(value: Any, schema: Schema) -> None:
    """Changes ``value`` in place: the caller's own copy."""
    if schema.type == "object" and isinstance(value, dict):
        _object(value, schema)
    elif schema.items is not None and has_defaults(schema.items):
        for item in _items(value):
            apply_defaults(item, schema.items)


def _object(value: dict[str, Any], schema: Schema) -> None:
    for name, default in _own_defaults(schema):
        if value.get(name) is None:
            value[name] = copy.deepcopy(default)
    for name, inner in value.items():
        field = schema.fields.get(name)
        if field is not None:
            apply_defaults(inner, field)


def _own_defaults(schema: Schema) -> list[tuple[str, Any]]:
    found = ((name, schema.fields[name].default) for name in schema.fields)
    return [(name, default) for name, default in found if default is not NOTHING]


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def has_defaults(schema: Schema) -> bool:
    """Whether a list's or map's items can have any; scalars have none of their own."""
    return schema.type == "object" or schema.items is not None
