"""Fills in the defaults of a structural schema and drops nulls that may not be.

As apiextensions-apiserver pkg/apiserver/schema/defaulting. Idempotent. An absent object is not
made to hold defaults: only objects that are there get theirs.
"""

import copy
from typing import Any

from edgek.schema.schema import NOTHING
from edgek.schema.structural import Structural


def fill_defaults(value: Any, schema: Structural) -> None:
    """Changes ``value`` in place: the caller's own copy."""
    if isinstance(value, dict):
        _object(value, schema)
    elif isinstance(value, list) and schema.items is not None:
        _list(value, schema.items)


def _object(value: dict[str, Any], schema: Structural) -> None:
    for name, inner in schema.properties.items():
        if inner.default is not NOTHING and _is_missing(value, name, inner):
            value[name] = copy.deepcopy(inner.default)
    for name in list(value):
        known = schema.properties.get(name) or schema.values
        if known is None:
            continue
        if value[name] is None and not known.nullable:
            if known.default is NOTHING:
                del value[name]
                continue
            value[name] = copy.deepcopy(known.default)
        fill_defaults(value[name], known)


def _is_missing(value: dict[str, Any], name: str, schema: Structural) -> bool:
    return name not in value or (value[name] is None and not schema.nullable)


def _list(value: list[Any], items: Structural) -> None:
    for index, item in enumerate(value):
        if item is None and not items.nullable and items.default is not NOTHING:
            value[index] = copy.deepcopy(items.default)
        fill_defaults(value[index], items)


def has_defaults(schema: Structural) -> bool:
    """Anywhere in it; reads the whole schema."""
    inner = [*schema.properties.values()]
    inner += [s for s in (schema.values, schema.items) if s is not None]
    return schema.default is not NOTHING or any(has_defaults(s) for s in inner)
