"""Strategic merge patch: lists merge by key where the schema says so, and directives steer.

As apimachinery pkg/util/strategicpatch. Directives: ``$patch: replace|delete|merge`` in a map or
list item, ``$retainKeys``, ``$deleteFromPrimitiveList/FIELD`` and ``$setElementOrder/FIELD``.
What has no schema (unknown fields, any-typed values) merges as a JSON merge patch does.

Nothing given is changed; whatever the result shares with ``original`` must not be mutated.
"""

from collections import deque
from typing import Any

from edgek.api.errors import BadRequest, Invalid
from edgek.schema.scalars import go_text
from edgek.schema.schema import Schema

Obj = dict[str, Any]
PATCH, RETAIN_KEYS = "$patch", "$retainKeys"
DELETE_PRIMITIVES, SET_ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"
BAD_RETAIN_KEYS = "invalid patch format of retainKeys"
MAX_DEPTH = 254


def strategic_patch(original: Obj, patch: Any, schema: Schema) -> Obj:
    """The patched object. Raises BadRequest for a patch that makes no sense."""
    if not isinstance(patch, dict):
        raise BadRequest("error decoding patch: the patch is not a JSON object")
    return _merge_map(original, patch, schema, depth=0)


def _merge_map(original: Obj, patch: Obj, schema: Schema | None, *, depth: int) -> Obj:
    if depth > MAX_DEPTH:
        raise BadRequest("the patch is nested too deeply")
    directive = patch.get(PATCH)
    if directive == "replace":
        replaced: Obj = _clean(patch)
        return replaced
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise BadRequest(f"unknown patch type: {directive} in map: {go_text(patch)}")
    out = _retained(original, patch)
    for key, value in patch.items():
        if not key.startswith("$"):
            _merge_field(out, key, value, patch, _field(schema, key), depth)
    _apply_lists_without_value(out, patch, schema)
    return out


def _field(schema: Schema | None, key: str) -> Schema | None:
    if schema is None:
        return None
    return schema.items if schema.type == "map" else schema.fields.get(key)


def _retained(original: Obj, patch: Obj) -> Obj:
    """The keys that stay: all, or those that $retainKeys names (a union changing its member)."""
    keys = patch.get(RETAIN_KEYS)
    if keys is None:
        return dict(original)
    if not isinstance(keys, list):
        raise BadRequest(BAD_RETAIN_KEYS)
    kept = {key for key in keys if isinstance(key, str)}
    if any(not k.startswith("$") and k not in kept and patch[k] is not None for k in patch):
        raise BadRequest(BAD_RETAIN_KEYS)
    return {k: v for k, v in original.items() if k in kept}


def _merge_field(
    out: Obj, key: str, value: Any, patch: Obj, schema: Schema | None, depth: int
) -> None:
    if value is None:
        out.pop(key, None)
        return
    strategy = schema.patch_strategy if schema else ()
    current = out.get(key)
    if isinstance(value, dict):
        if "replace" in strategy and PATCH not in value:
            out[key] = _clean(value)
        else:
            base = current if isinstance(current, dict) else {}
            out[key] = _merge_map(base, value, schema, depth=depth + 1)
    elif isinstance(value, list) and schema is not None and "merge" in strategy:
        before = current if isinstance(current, list) else []
        merged = _merge_list(before, value, schema, depth)
        order = _order(patch, key, value, schema)
        out[key] = _in_order(_without(merged, patch, key), order, before, schema)
    else:
        out[key] = _clean(value)


def _merge_list(original: list[Any], patch: list[Any], schema: Schema, depth: int) -> list[Any]:
    _check_items(original, patch)
    key = schema.patch_merge_key
    if not any(isinstance(item, dict) for item in (*original, *patch)):
        return list(dict.fromkeys([*original, *patch]))
    if not key:
        raise BadRequest(f"cannot merge lists without merge key for {schema.short_name}")
    if any(item.get(PATCH) == "replace" for item in patch):
        return [_clean(item) for item in patch if PATCH not in item]
    merged = _Merged(original, key)
    for item in patch:
        _merge_item(merged, item, schema.items, depth)
    return merged.left()


class _Merged:
    """A list under merge, whose items are found by their key at once: a patch may have tens of
    thousands. Of items with one key (ports of two protocols) the first is meant."""

    def __init__(self, items: list[Any], key: str) -> None:
        self.key = key
        self._items: list[Any] = []
        self._places: dict[Any, list[int]] = {}
        for item in items:
            self.add(item)

    def add(self, item: Obj) -> None:
        self._places.setdefault(_hashable(item.get(self.key)), []).append(len(self._items))
        self._items.append(item)

    def find(self, value: Any) -> Obj | None:
        places = self._places.get(_hashable(value))
        found: Obj | None = self._items[places[0]] if places else None
        return found

    def replace(self, value: Any, item: Obj) -> None:
        self._items[self._places[_hashable(value)][0]] = item

    def remove(self, value: Any) -> None:
        for place in self._places.pop(_hashable(value), ()):
            self._items[place] = None

    def left(self) -> list[Any]:
        return [item for item in self._items if item is not None]


def _hashable(value: Any) -> Any:
    return repr(value) if isinstance(value, dict | list) else value


def _check_items(original: list[Any], patch: list[Any]) -> None:
    """As sliceElementType: all texts, all numbers or all maps."""
    items = [*original, *patch]
    if any(isinstance(item, list) for item in items):
        raise Invalid("lists of lists are not supported")
    if len({type(item) for item in items}) > 1:
        raise BadRequest(f"list element types are not identical: {go_text([original, patch])}")


def _merge_item(merged: _Merged, item: Obj, schema: Schema | None, depth: int) -> None:
    if merged.key not in item:
        text = f"map: {go_text(item)} does not contain declared merge key: {merged.key}"
        raise BadRequest(text)
    value, directive = item[merged.key], item.get(PATCH)
    if directive == "delete":
        merged.remove(value)
    elif directive not in (None, "merge"):
        raise BadRequest(f"unknown patch type: {directive} in map: {go_text(item)}")
    elif (found := merged.find(value)) is None:
        merged.add(_merge_map({}, item, schema, depth=depth + 1))
    else:
        merged.replace(value, _merge_map(found, item, schema, depth=depth + 1))


def _without(values: list[Any], patch: Obj, key: str) -> list[Any]:
    gone = patch.get(DELETE_PRIMITIVES + key)
    if gone is None:
        return values
    if not isinstance(gone, list):
        raise BadRequest("invalid patch format of primitive list")
    texts = {_hashable(v) for v in gone}
    return [v for v in values if _hashable(v) not in texts]


def _order(patch: Obj, key: str, patched: list[Any], schema: Schema) -> list[Any]:
    """The order that the patch asks for: that of $setElementOrder, else its own."""
    given = [item for item in patched if not _is_directive(item)]
    order = patch.get(SET_ORDER + key)
    if order is None:
        return given
    if not isinstance(order, list):
        raise BadRequest("invalid patch format of setElementOrder list")
    places = iter([_identity(item, schema) for item in order])
    if order and not all(_identity(item, schema) in places for item in given):
        raise BadRequest(
            f"The order in patch list:\n{go_text(patched)}\n doesn't match {SET_ORDER[:-1]} "
            f"list:\n{go_text(order)}\n"
        )
    return order


def _in_order(
    merged: list[Any], order: list[Any], original: list[Any], schema: Schema
) -> list[Any]:
    """Items of ``order`` come in that order. Into these the others are put: each before the first
    that stood behind it in the original list (mergeSortedSlice; so new items come first)."""
    ranks = {_identity(item, schema): rank for rank, item in reversed(list(enumerate(order)))}
    stood = {_identity(item, schema): at for at, item in reversed(list(enumerate(original)))}
    named = [item for item in merged if _identity(item, schema) in ranks]
    named.sort(key=lambda item: ranks[_identity(item, schema)])
    others = deque(item for item in merged if _identity(item, schema) not in ranks)
    out: list[Any] = []
    for item in named:
        place = stood.get(_identity(item, schema), -1)
        while others and stood.get(_identity(others[0], schema), len(original)) < place:
            out.append(others.popleft())
        out.append(item)
    return [*out, *others]


def _identity(item: Any, schema: Schema) -> str:
    key = schema.patch_merge_key
    return repr(item.get(key)) if key and isinstance(item, dict) else repr(item)


def _is_directive(item: Any) -> bool:
    return isinstance(item, dict) and PATCH in item


def _apply_lists_without_value(out: Obj, patch: Obj, schema: Schema | None) -> None:
    """Directives for a list that the patch itself does not name."""
    for directive in patch:
        prefix = next((p for p in (DELETE_PRIMITIVES, SET_ORDER) if directive.startswith(p)), "")
        key = directive.removeprefix(prefix)
        field = _field(schema, key) if prefix else None
        if not prefix or key in patch or not isinstance(out.get(key), list):
            continue
        kept = _without(out[key], patch, key)
        has_order = field is not None and SET_ORDER + key in patch
        if has_order and field is not None:
            kept = _in_order(kept, _order(patch, key, [], field), out[key], field)
        out[key] = kept


def _clean(value: Any) -> Any:
    """New content without nulls and directives, as it is stored."""
    if isinstance(value, dict):
        return {k: _clean(v) for k, v in value.items() if v is not None and not k.startswith("$")}
    if isinstance(value, list):
        return [_clean(v) for v in value if not _is_directive(v)]
    return value
