"""The fields of a value, and what became of them between two values of one schema.

``extract`` gives the fields that an applied configuration names, ``created`` those that come
about where a new object is written, ``compare`` what was added, removed and modified. As
structured-merge-diff typed/tofieldset.go and compare.go; merging is in merge.py.

Nothing given is changed, and the sets returned may share parts with each other.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from edgek.schema.fieldset import MEMBER, SELF, Fields, union
from edgek.schema.schema import Schema
from edgek.schema.shape import (
    element_of,
    field_of,
    is_always_there,
    is_list,
    is_map,
    is_named,
    is_struct,
    item_schema,
)

Obj = dict[str, Any]
NONE: frozenset[str] = frozenset()
_ZEROS = (None, 0, "", False)
_CONTAINERS = (dict, list)
"""What else there is, nearly all of it, is one field: no schema needs to be asked."""


@dataclass(kw_only=True, slots=True)
class Comparison:
    """``added`` and ``removed`` have the containers too, ``modified`` leaves only."""

    added: Fields = field(default_factory=dict)
    removed: Fields = field(default_factory=dict)
    modified: Fields = field(default_factory=dict)

    @property
    def changed(self) -> Fields:
        return union(self.added, self.modified)


# --- the fields of one value -------------------------------------------------------------------


def extract(value: Any, schema: Schema) -> Fields:
    """The fields that ``value`` names: leaves, items of lists, entries of maps."""
    out: Fields = {}
    if is_map(schema, value):
        for name, inner in value.items():
            below = extract(inner, field_of(schema, name))
            bare = is_leaf(inner, field_of(schema, name))
            if bare or not is_named(schema, name):
                out["f:" + name] = {SELF: MEMBER, **below} if below else MEMBER
            elif below:
                out["f:" + name] = below
    elif is_list(schema, value):
        items = item_schema(schema)
        for item in value:
            below = extract(item, items)
            out[element_of(schema, item)] = {SELF: MEMBER, **below} if below else MEMBER
    return out


def is_leaf(value: Any, schema: Schema) -> bool:
    """Whether a value is one field. An empty map is, an empty list of items is not (NB: so
    upstream)."""
    if is_map(schema, value):
        return not value
    return not is_list(schema, value)


def everything(value: Any, schema: Schema) -> Fields:
    """The node of a value that came about as a whole: all its fields and all its containers."""
    below = _everything_below(value, schema)
    if below:
        below[SELF] = MEMBER
        return below
    return MEMBER


def _everything_below(value: Any, schema: Schema) -> Fields:
    if is_map(schema, value):
        if schema.type == "map" and schema.items is not None and schema.items.type == "string":
            return {"f:" + name: MEMBER for name in value}  # most maps
        return {
            "f:" + name: everything(v, field_of(schema, name)) if type(v) in _CONTAINERS else MEMBER
            for name, v in value.items()
        }
    if is_list(schema, value):
        items = item_schema(schema)
        return {element_of(schema, item): everything(item, items) for item in value}
    return {}


def created(
    value: Obj, schema: Schema, *, skip: frozenset[str] = NONE, skip_meta: frozenset[str] = NONE
) -> Fields:
    """The set of fields of a whole new object: as ``compare`` with what Go's New() makes, which
    has the structs, but empty ones. ``skip`` and ``skip_meta`` name entries of the object and of
    its metadata that are nobody's."""
    out: Fields = {}
    for name, inner in value.items():
        if name in skip:
            continue
        if skip_meta and name == "metadata":
            found = created(inner, field_of(schema, name), skip=skip_meta) or None
        else:
            found = _appeared(name, inner, schema)
        if found is not None:
            out["f:" + name] = found
    return out


def _appeared(name: str, value: Any, parent: Schema) -> Fields | None:
    """The node of an entry that came into a map or object; None where Go had it already."""
    if type(value) not in _CONTAINERS:
        return None if value in _ZEROS and is_always_there(parent, name) else MEMBER
    schema = field_of(parent, name)
    if is_map(schema, value):
        if is_struct(parent, name):
            return created(value, schema) or None
    elif not is_list(schema, value):
        return MEMBER
    if value and is_always_there(parent, name):
        return _everything_below(value, schema)
    return everything(value, schema)


# --- two values --------------------------------------------------------------------------------


def compare(
    old: Obj,
    new: Obj,
    schema: Schema,
    *,
    skip: Iterable[str] = (),
    skip_meta: frozenset[str] = NONE,
) -> Comparison:
    """What became of the fields of an object. ``skip`` and ``skip_meta`` name entries of the
    object and of its metadata that are left out of it."""
    out = Comparison()
    for name in old.keys() | new.keys():
        if name not in skip:
            hidden = skip_meta if name == "metadata" else NONE
            _compare_entry(name, old, new, schema, out, skip=hidden)
    return out


def _compare_entry(
    name: str, old: Obj, new: Obj, parent: Schema, out: Comparison, *, skip: frozenset[str] = NONE
) -> None:
    element = "f:" + name
    if name not in old:
        if (node := _came(name, new[name], parent, skip)) is not None:
            out.added[element] = node
    elif name not in new:
        if (node := _came(name, old[name], parent, skip)) is not None:
            out.removed[element] = node
    elif old[name] is not new[name] and old[name] != new[name]:
        _compare_values(element, old[name], new[name], field_of(parent, name), out, skip=skip)


def _came(name: str, value: Any, parent: Schema, skip: frozenset[str]) -> Fields | None:
    if skip and isinstance(value, dict):
        return created(value, field_of(parent, name), skip=skip) or None
    return _appeared(name, value, parent)


def _compare_values(
    element: str,
    old: Any,
    new: Any,
    schema: Schema,
    out: Comparison,
    *,
    skip: frozenset[str] = NONE,
) -> None:
    """Two different values at one place."""
    inner = Comparison()
    if _maps(old, new, schema):
        # Null and empty are a container without entries beside one that has some.
        old, new = old or {}, new or {}
        for name in old.keys() | new.keys():
            if name not in skip:
                _compare_entry(name, old, new, schema, inner)
    elif _lists(old, new, schema):
        _compare_items(old or [], new or [], schema, inner)
    else:
        out.modified[element] = MEMBER
        if is_map(schema, old) == is_map(schema, new):
            return
        # Where no schema says what it is, a map may become a text or the other way round.
        inner.removed = _everything_below(old, schema)
        inner.added = _everything_below(new, schema)
    for held, found in (
        (out.added, inner.added),
        (out.removed, inner.removed),
        (out.modified, inner.modified),
    ):
        if found:
            held[element] = found


def _maps(old: Any, new: Any, schema: Schema) -> bool:
    if not (is_map(schema, old) or old is None) or not (is_map(schema, new) or new is None):
        return False
    return bool(old or new)


def _lists(old: Any, new: Any, schema: Schema) -> bool:
    if not (is_list(schema, old) or old is None) or not (is_list(schema, new) or new is None):
        return False
    return bool(old or new)


def _compare_items(old: list[Any], new: list[Any], schema: Schema, out: Comparison) -> None:
    before = by_element(old, schema)
    after = by_element(new, schema)
    items = item_schema(schema)
    for element, item in after.items():
        if element not in before:
            out.added[element] = everything(item, items)
        elif before[element] != item:
            _compare_values(element, before[element], item, items, out)
    for element, item in before.items():
        if element not in after:
            out.removed[element] = everything(item, items)


def by_element(items: list[Any], schema: Schema) -> dict[str, Any]:
    """A list's items by path element; the first where one comes twice."""
    out: dict[str, Any] = {}
    for item in items:
        out.setdefault(element_of(schema, item), item)
    return out
