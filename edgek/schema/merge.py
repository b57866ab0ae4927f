"""Merging an applied configuration into a live object, and taking fields away again.

As structured-merge-diff typed/merge.go and remove.go: leaves and whatever is atomic come from the
configuration, maps merge by entry, lists by item. Items keep the order of the configuration as
far as it says one; those that only the live list has stay behind the item they followed.

Nothing given is changed; the result shares parts with what was given.
"""

from collections.abc import Sequence
from typing import Any

from edgek.schema.fieldset import MEMBER, SELF, Fields, below, is_member
from edgek.schema.schema import Schema
from edgek.schema.shape import element_of, field_of, is_list, is_map, is_named, item_schema

Obj = dict[str, Any]


def merge(live: Any, applied: Any, schema: Schema) -> Any:
    """``live`` with ``applied`` over it."""
    if is_map(schema, live) and (applied is None or is_map(schema, applied)):
        return _merge_maps(live, applied or {}, schema) if live else applied
    if is_list(schema, live) and (applied is None or is_list(schema, applied)):
        return _merge_lists(live, applied or [], schema) if live else applied
    return applied


def _merge_maps(live: Obj, applied: Obj, schema: Schema) -> Obj:
    out = dict(live)
    for name, value in applied.items():
        out[name] = merge(live[name], value, field_of(schema, name)) if name in live else value
    return out


def _merge_lists(live: list[Any], applied: list[Any], schema: Schema) -> list[Any]:
    before = [(element_of(schema, item), item) for item in live]
    after = {element_of(schema, item): item for item in applied}
    items = item_schema(schema)
    known: dict[str, Any] = {}
    for element, item in before:
        # An item that is there twice has no value of its own: the applied one replaces both.
        known[element] = None if element in known else item
    merged = {
        element: item if known.get(element) is None else merge(known[element], item, items)
        for element, item in after.items()
    }
    return _in_order(before, merged)


def _in_order(before: Sequence[tuple[str, Any]], merged: dict[str, Any]) -> list[Any]:
    """As visitListItems of merge.go: two cursors, one on each list. Items of the live list that
    the applied one does not have are taken where they stand; an item of both is taken at its
    place in the applied list."""
    have = {element for element, _ in before}
    shared = [element for element in merged if element in have]
    left, right, out = list(before), list(merged), []
    at = to = 0
    while at < len(left) or to < len(right):
        element = left[at][0] if at < len(left) else None
        if element is not None and to < len(right):
            if element == right[to]:
                out.append(merged[element])
                shared = shared[1:] if shared and shared[0] == element else shared
                at, to = at + 1, to + 1
                continue
            if element in merged and shared and shared[0] != element:
                at += 1  # in both lists, but another one comes first
                continue
        if element is not None and element not in merged:
            out.append(left[at][1])
            at += 1
        elif to < len(right):
            out.append(merged[right[to]])
            shared = shared[1:] if shared and shared[0] == right[to] else shared
            to += 1
        else:
            at += 1
    return out


def remove(value: Any, fields: Fields, schema: Schema) -> Any:
    """``value`` without these fields; None where nothing is left of it."""
    if not fields:
        return value
    if is_map(schema, value):
        return _remove_entries(value, fields, schema) if value else value
    if is_list(schema, value):
        return _remove_items(value, fields, schema) if value else value
    return value


def _remove_entries(value: Obj, fields: Fields, schema: Schema) -> Obj | None:
    out = {}
    for name, inner in value.items():
        found = fields.get("f:" + name)
        if found is None:
            out[name] = inner
        elif not is_member(found):
            left = remove(inner, found, field_of(schema, name))
            if left is not None:
                out[name] = left
    return out or None


def _remove_items(value: list[Any], fields: Fields, schema: Schema) -> list[Any] | None:
    out = []
    items = item_schema(schema)
    for item in value:
        element = element_of(schema, item)
        found = fields.get(element)
        if found is None:
            out.append(item)
        elif not is_member(found):
            left = remove(item, below(fields, element), items)
            if left is not None:
                out.append(left)
    return out or None


def with_named(fields: Fields, schema: Schema) -> Fields:
    """``fields`` and the named fields on the way to them, which are nobody's otherwise: so that
    removing all below one removes it. As Set.EnsureNamedFieldsAreMembers."""
    out: Fields = {}
    for element, inner in fields.items():
        if element == SELF or not inner:
            out[element] = inner
            continue
        is_field = element[0] == "f"
        schema_below = field_of(schema, element[2:]) if is_field else item_schema(schema)
        held = with_named(inner, schema_below)
        if is_field and is_named(schema, element[2:]):
            held = {SELF: MEMBER, **held}
        out[element] = held
    return out
