"""The patch that ``apply`` sends: what the manifest wants of the live object, and what it wants
no more since it was applied last.

Pure. With a schema it is a strategic merge patch (lists merge by key, so that what others put
into a list stays); without one a JSON merge patch. As apimachinery pkg/util/strategicpatch
CreateThreeWayMergePatch and jsonmergepatch; the last applied manifest travels in kubectl's own
annotation, byte for byte as kubectl writes it, so that both may be used on one object.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgek.api.meta import Obj, annotations

if TYPE_CHECKING:
    from edgek.schema.schema import Schema

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_ESCAPED = {c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def with_last_applied(obj: Obj) -> Obj:
    """The manifest as it is sent: with itself in the annotation."""
    bare = {k: v for k, v in annotations(obj).items() if k != LAST_APPLIED}
    plain = obj | {"metadata": obj["metadata"] | {"annotations": bare}}
    noted = bare | {LAST_APPLIED: _encoded(plain)}
    return plain | {"metadata": plain["metadata"] | {"annotations": noted}}


def last_applied(live: Obj) -> Obj | None:
    """None where nobody has applied it, or the annotation was spoiled."""
    try:
        found = json.loads(annotations(live).get(LAST_APPLIED, ""))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _encoded(obj: Obj) -> str:
    """As Go's encoding/json: sorted, tight, with HTML escaped and a line end."""
    text = json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "".join(_ESCAPED.get(c, c) for c in text) + "\n"


def plan_patch(last: Obj, wanted: Obj, live: Obj, schema: "Schema | None") -> Obj:
    """{} where there is nothing to do. A manifest's ``null`` removes the field."""
    patch: Obj = {}
    for key, value in wanted.items():
        _plan_field(patch, key, (last.get(key), value, live.get(key)), _field(schema, key))
    for key in last:
        if key not in wanted and live.get(key) is not None:
            patch[key] = None
    return patch


def _field(schema: "Schema | None", key: str) -> "Schema | None":
    if schema is None:
        return None
    return schema.items if schema.type == "map" else schema.fields.get(key)


def _plan_field(
    patch: Obj, key: str, states: tuple[Any, Any, Any], schema: "Schema | None"
) -> None:
    last, wanted, live = states
    merges = schema is not None and "merge" in schema.patch_strategy
    if isinstance(wanted, dict) and isinstance(live, dict):
        inner = _plan_map(last if isinstance(last, dict) else {}, wanted, live, schema)
        if inner:
            patch[key] = inner
    elif schema is not None and merges and isinstance(wanted, list) and isinstance(live, list):
        _plan_list(patch, key, (last if isinstance(last, list) else [], wanted, live), schema)
    elif wanted != live:
        patch[key] = wanted


def _plan_map(last: Obj, wanted: Obj, live: Obj, schema: "Schema | None") -> Obj:
    strategy = schema.patch_strategy if schema is not None else ()
    if "replace" in strategy:
        return {} if wanted == live else {"$patch": "replace", **wanted}
    patch = plan_patch(last, wanted, live, schema)
    if patch and "retainKeys" in strategy:
        patch["$retainKeys"] = sorted(wanted)
    return patch


def _plan_list(
    patch: Obj, key: str, states: tuple[list[Any], list[Any], list[Any]], schema: "Schema"
) -> None:
    merge_key = schema.patch_merge_key
    if not merge_key:
        _plan_set(patch, key, *states)
    elif all(_unique(items, merge_key) for items in states):
        _plan_keyed(patch, key, states, schema)
    elif not _covered(*states, schema):
        # The merge key does not tell the items apart (one port as TCP and as UDP).
        patch[key] = [*states[1], {"$patch": "replace"}]


def _covered(last: list[Any], wanted: list[Any], live: list[Any], schema: "Schema") -> bool:
    """Whether the live items are the wanted ones, in order, but for what was filled in."""
    if len(wanted) != len(live) or (last and len(last) != len(wanted)):
        return False
    items = zip(last or wanted, wanted, live, strict=True)
    return not any(_plan_item(before, item, now, schema) for before, item, now in items)


def _unique(items: Sequence[Any], merge_key: str) -> bool:
    keys = [item.get(merge_key) if isinstance(item, dict) else None for item in items]
    return None not in keys and len(set(map(repr, keys))) == len(keys)


def _plan_set(patch: Obj, key: str, last: list[Any], wanted: list[Any], live: list[Any]) -> None:
    if added := [v for v in wanted if v not in live]:
        patch[key] = added
        patch[f"$setElementOrder/{key}"] = wanted
    if gone := [v for v in last if v not in wanted and v in live]:
        patch[f"$deleteFromPrimitiveList/{key}"] = gone


def _plan_keyed(
    patch: Obj, key: str, states: tuple[list[Any], list[Any], list[Any]], schema: "Schema"
) -> None:
    merge_key = schema.patch_merge_key
    last, wanted, live = ({i[merge_key]: i for i in items} for items in states)
    items: list[Obj] = []
    for name, item in wanted.items():
        if name not in live:
            items.append(item)
        elif inner := _plan_item(last.get(name) or {}, item, live[name], schema):
            items.append({merge_key: name, **inner})
    gone = [{"$patch": "delete", merge_key: n} for n in last if n not in wanted and n in live]
    ordered = [n for n in live if n in wanted] == [n for n in wanted if n in live]
    if items or gone or not ordered:
        patch[f"$setElementOrder/{key}"] = [{merge_key: name} for name in wanted]
    if items or gone:
        patch[key] = [*items, *gone]


def _plan_item(last: Obj, wanted: Obj, live: Obj, schema: "Schema") -> Obj:
    """An item of a list with ``merge,retainKeys`` (volumes) names the keys it is to keep."""
    patch = plan_patch(last, wanted, live, schema.items)
    if patch and "retainKeys" in schema.patch_strategy:
        patch["$retainKeys"] = sorted(wanted)
    return patch
