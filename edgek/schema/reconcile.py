"""Sets of fields that were written under another schema, brought to the present one.

A CustomResourceDefinition may make a map or list atomic that was granular, or the other way
round. Then who owned a part of it owns the whole, or who owned the whole all its parts. As
structured-merge-diff typed/reconcile_schema.go.
"""

from typing import Any

from edgek.schema.fieldset import MEMBER, SELF, Fields, children_of
from edgek.schema.schema import Schema
from edgek.schema.shape import field_of, item_schema
from edgek.schema.typed import by_element, extract


def reconciled(fields: Fields, value: Any, schema: Schema) -> Fields:
    """``fields`` of ``value`` as ``schema`` has them; the same set where nothing changed."""
    out = _below(fields, value, schema)
    return fields if out == fields else out


def _below(fields: Fields, value: Any, schema: Schema) -> Fields:
    items = by_element(value, schema) if schema.type == "list" and isinstance(value, list) else {}
    out: Fields = {}
    for element, node in fields.items():
        if element == SELF:
            out[SELF] = MEMBER
        elif element[0] == "f" and schema.type != "list":
            inner = value.get(element[2:]) if isinstance(value, dict) else None
            out[element] = _node(node, inner, field_of(schema, element[2:]))
        else:
            out[element] = _node(node, items.get(element), item_schema(schema))
    return out


def _node(node: Fields, value: Any, schema: Schema) -> Fields:
    if schema.type not in ("object", "map", "list"):
        return node  # a scalar, or what no schema describes
    if not _granular(schema):
        return MEMBER
    if not children_of(node):
        below = extract(value, schema)
        return {SELF: MEMBER, **below} if below else MEMBER
    return _below(node, value, schema)


def _granular(schema: Schema) -> bool:
    if schema.type == "list":
        return schema.list_type in ("map", "set")
    return schema.map_type != "atomic"
