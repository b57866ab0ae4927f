"""Sets of fields, as FieldsV1 writes them: the algebra behind managedFields.

A set is the JSON object itself: nested dicts whose keys are path elements (``f:name``,
``k:{"name":"x"}``, ``v:"x"``, ``i:0``). A node without keys is a field of the set; one with keys
leads to fields below it, and is one itself where it also has the key ``.``. So what is stored
needs no parsing. Sets are shared between objects: nothing here changes one that is given.

As structured-merge-diff fieldpath.Set; path elements themselves are in fieldpath.py.
"""

from collections.abc import Iterator
from typing import Any

from edgek.schema.fieldpath import Path, order

Fields = dict[str, Any]

MEMBER: Fields = {}
"""The node of a field with nothing below it; one for all, never changed."""
SELF = "."


def node(member: bool, children: Fields) -> Fields | None:
    """A node of these children (without SELF); None where it holds nothing."""
    if not member:
        return children or None
    return {SELF: MEMBER, **children} if children else MEMBER


def is_member(fields: Fields) -> bool:
    return not fields or SELF in fields


def children_of(fields: Fields) -> Fields:
    if SELF not in fields:
        return fields
    return {k: v for k, v in fields.items() if k != SELF}


def from_paths(*paths: Path) -> Fields:
    out: Fields = {}
    for path in paths:
        out = union(out, nested(path, MEMBER))
    return out


def nested(path: Path, leaf: Fields) -> Fields:
    """``leaf`` at the end of ``path``."""
    for element in reversed(path):
        leaf = {element: leaf}
    return leaf


def union(a: Fields, b: Fields) -> Fields:
    if not a or not b or a is b:
        return a or b
    out = dict(a)
    for key, theirs in b.items():
        mine = a.get(key)
        out[key] = theirs if mine is None else _joined(mine, theirs)
    return out


def _joined(a: Fields, b: Fields) -> Fields:
    if a is b or a == b:
        return a
    children = union(children_of(a), children_of(b))
    joined = node(is_member(a) or is_member(b), children)
    assert joined is not None, "a node of a set is never empty without being a member"
    return joined


def intersection(a: Fields, b: Fields) -> Fields:
    out: Fields = {}
    for key, mine in a.items():
        theirs = b.get(key)
        if theirs is None or key == SELF:
            continue
        both = node(
            is_member(mine) and is_member(theirs),
            intersection(children_of(mine), children_of(theirs)),
        )
        if both is not None:
            out[key] = both
    return out


def difference(a: Fields, b: Fields) -> Fields:
    """What is in ``a`` and not in ``b``; ``a`` itself where they share nothing. A field in ``b``
    takes away that field only, not those below it."""
    return _without(a, b, recursive=False)


def recursive_difference(a: Fields, b: Fields) -> Fields:
    """As ``difference``, but a field in ``b`` takes away everything below it too."""
    return _without(a, b, recursive=True)


def _without(a: Fields, b: Fields, *, recursive: bool) -> Fields:
    out: Fields | None = None
    for key in a.keys() & b.keys():
        if key == SELF:
            continue
        mine, theirs = a[key], b[key]
        left = _node_without(mine, theirs, recursive=recursive)
        if left is mine:
            continue
        out = dict(a) if out is None else out
        if left is None:
            del out[key]
        else:
            out[key] = left
    return a if out is None else out


def _node_without(mine: Fields, theirs: Fields, *, recursive: bool) -> Fields | None:
    if recursive and is_member(theirs):
        return None
    member = is_member(mine) and not is_member(theirs)
    below = children_of(mine)
    left = _without(below, children_of(theirs), recursive=recursive)
    if left is below and member == is_member(mine):
        return mine
    return node(member, left)


def contains(a: Fields, b: Fields) -> bool:
    """Whether every field of ``b`` is in ``a``."""
    for key, theirs in b.items():
        mine = a.get(key)
        if key == SELF:
            continue
        if mine is None or (is_member(theirs) and not is_member(mine)):
            return False
        if theirs and not contains(mine, theirs):
            return False
    return True


def has(fields: Fields, path: Path) -> bool:
    here: Fields | None = fields
    for element in path:
        here = here.get(element) if here else None
        if here is None:
            return False
    return bool(path) and here is not None and is_member(here)


def below(fields: Fields, element: str) -> Fields:
    """The set of what is under one path element, without that element itself."""
    found = fields.get(element)
    return children_of(found) if found else {}


def leaves(fields: Fields) -> Fields:
    """Only fields that have no other field of the set below them."""
    return {key: leaves(inner) if inner else MEMBER for key, inner in fields.items() if key != SELF}


def paths(fields: Fields, prefix: Path = ()) -> Iterator[Path]:
    """Every field, those of one level before those below it, in upstream's order."""
    keys = sorted((k for k in fields if k != SELF), key=order)
    yield from ((*prefix, key) for key in keys if is_member(fields[key]))
    for key in keys:
        yield from paths(fields[key], (*prefix, key))
