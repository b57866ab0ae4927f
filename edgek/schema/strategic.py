"""Strategic merge patch: lists merge by key where the schema says so, and directives steer.

As apimachinery pkg/util/strategicpatch. Directives: ``$patch: replace|delete|merge`` in a map or
list item, ``$retainKeys``, ``$deleteFromPrimitiveList/FIELD`` and ``$setElementOrder/FIELD``.
What has no schema (unknown fields, any-typed values) merges as a JSON merge patch does.

Nothing given is changed; whatever the result shares with ``original`` must not be mutated.
"""

from typing import Any

from edgek.api.errors import BadRequest
from edgek.schema.schema import Schema

Obj = dict[str, Any]
PATCH, RETAIN_KEYS = "$patch", "$retainKeys"
DELETE_PRIMITIVES, SET_ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"
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
        raise BadRequest(f"Unknown patch type found: {directive}")
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
        raise BadRequest("invalid patch format of retainKeys: expected a list")
    stray = [k for k in patch if not k.startswith("$") and k not in keys and patch[k] is not None]
    if stray:
        raise BadRequest("retainKeys list doesn't contain all fields present in the patch")
    return {k: v for k, v in original.items() if k in keys}


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
        base_list = current if isinstance(current, list) else []
        merged = _merge_list(base_list, value, schema, depth)
        out[key] = _ordered(_without(merged, patch, key), value, patch, key, schema)
    else:
        out[key] = _clean(value)


def _merge_list(original: list[Any], patch: list[Any], schema: Schema, depth: int) -> list[Any]:
    key = schema.patch_merge_key
    if not key:
        if any(isinstance(v, dict | list) for v in patch):
            raise BadRequest("expected all elements of the patch list to be primitives")
        return [*original, *(v for v in patch if v not in original)]
    if any(not isinstance(item, dict) for item in patch):
        raise BadRequest("expected all elements of the patch list to be maps")
    if any(item.get(PATCH) == "replace" and len(item) == 1 for item in patch):
        return [_clean(i) for i in patch if i.get(PATCH) != "replace"]
    out = list(original)
    for item in patch:
        _merge_item(out, item, key, schema.items, depth)
    return out


def _merge_item(out: list[Any], item: Obj, key: str, schema: Schema | None, depth: int) -> None:
    if key not in item:
        raise BadRequest(f"map: {item} does not contain declared merge key: {key}")
    at = next(
        (i for i, o in enumerate(out) if isinstance(o, dict) and o.get(key) == item[key]), None
    )
    if item.get(PATCH) == "delete":
        out[:] = [o for o in out if not (isinstance(o, dict) and o.get(key) == item[key])]
    elif at is None:
        out.append(_merge_map({}, item, schema, depth=depth + 1))
    else:
        out[at] = _merge_map(out[at], item, schema, depth=depth + 1)


def _without(values: list[Any], patch: Obj, key: str) -> list[Any]:
    gone = patch.get(DELETE_PRIMITIVES + key)
    if gone is None:
        return values
    if not isinstance(gone, list):
        raise BadRequest("invalid patch format of deleteFromPrimitiveList: expected a list")
    return [v for v in values if v not in gone]


def _ordered(
    merged: list[Any], patched: list[Any], patch: Obj, key: str, schema: Schema
) -> list[Any]:
    """Puts the items that $setElementOrder names in its order; others keep their place
    relative to the item they followed."""
    order = patch.get(SET_ORDER + key)
    if order is None:
        return merged
    if not isinstance(order, list):
        raise BadRequest("invalid patch format of setElementOrder: expected a list")
    ranks = {_identity(item, schema): rank for rank, item in enumerate(order)}
    stray = [i for i in patched if _identity(i, schema) not in ranks and not _is_delete(i)]
    if stray:
        raise BadRequest(f"The order in patch list doesn't match {SET_ORDER}{key} list")
    named = sorted(
        (item for item in merged if _identity(item, schema) in ranks),
        key=lambda item: ranks[_identity(item, schema)],
    )
    return _interleave(merged, named, ranks, schema)


def _interleave(
    merged: list[Any], named: list[Any], ranks: dict[str, int], schema: Schema
) -> list[Any]:
    """Server-only items stay at their index as far as the named ones allow."""
    places = iter(named)
    return [next(places) if _identity(item, schema) in ranks else item for item in merged]


def _identity(item: Any, schema: Schema) -> str:
    key = schema.patch_merge_key
    return repr(item.get(key)) if key and isinstance(item, dict) else repr(item)


def _is_delete(item: Any) -> bool:
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
        out[key] = _ordered(kept, [], patch, key, field) if field else kept


def _clean(value: Any) -> Any:
    """New content without nulls and directives, as it is stored."""
    if isinstance(value, dict):
        return {k: _clean(v) for k, v in value.items() if v is not None and not k.startswith("$")}
    if isinstance(value, list):
        return [_clean(v) for v in value if not (_is_delete(v) and v[PATCH] == "delete")]
    return value
