"""Lists that a schema calls sets or maps (x-kubernetes-list-type): equal in whatever order, and
joined without saying anything twice.

As apiserver pkg/cel/common/values.go. The left side's schema decides; the values are plain lists,
so whoever plans an expression asks here where a schema says so.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from edgek.schema.schema import Schema
from server.cel.cost import Meter
from server.cel.errors import NO_SUCH_OVERLOAD, CelError
from server.cel.values import equal

ANY = Schema(type="any")
_UNORDERED = ("set", "map")
Typed = Callable[[Meter, Any, Any], Any]


def has_list_type(schema: Schema) -> bool:
    """Whether a value of this schema can hold a set or map anywhere."""
    seen: set[int] = set()
    left = [schema]
    while left:
        one = left.pop()
        if id(one) in seen:  # built-in types may hold themselves
            continue
        seen.add(id(one))
        if one.type == "list" and one.list_type in _UNORDERED:
            return True
        left += [s for s in (one.items, *one.fields.values()) if s is not None]
    return False


def operator(function: str, schema: Schema) -> Typed:
    """What ``_==_``, ``_!=_``, ``@in`` and ``_+_`` do where ``schema`` decides."""

    def equals(meter: Meter, a: Any, b: Any) -> bool:
        meter.spend()
        return equal_as(schema, a, b, meter)

    def differs(meter: Meter, a: Any, b: Any) -> bool:
        return not equals(meter, a, b)

    def contained(meter: Meter, item: Any, within: Any) -> bool:
        if isinstance(within, dict):
            return not isinstance(item, list | dict) and item in within
        if not isinstance(within, list):
            raise CelError(NO_SUCH_OVERLOAD)
        return any(equals(meter, other, item) for other in within)

    def added(meter: Meter, a: Any, b: Any) -> Any:
        if not isinstance(a, list) or not isinstance(b, list):
            raise CelError(NO_SUCH_OVERLOAD)
        meter.spend(1 + len(a) + len(b))
        return joined(schema, a, b)

    by_name: Mapping[str, Typed] = {"_==_": equals, "_!=_": differs, "@in": contained}
    return by_name.get(function, added)


def equal_as(schema: Schema, a: Any, b: Any, meter: Meter) -> bool:
    if isinstance(a, list) and isinstance(b, list) and schema.type == "list":
        meter.spend(len(a))
        return len(a) == len(b) and _equal_lists(schema, a, b, meter)
    if isinstance(a, dict) and isinstance(b, dict):
        meter.spend(len(a))
        return len(a) == len(b) and all(
            key in b and equal_as(_below(schema, key), value, b[key], meter)
            for key, value in a.items()
        )
    return equal(a, b, meter)


def joined(schema: Schema, a: Sequence[Any], b: Sequence[Any]) -> list[Any]:
    """Of a set the items of ``b`` that are new come after those of ``a``; of a map those with
    a known key take the place of what had it."""
    if schema.list_type not in _UNORDERED:
        return [*a, *b]
    out = {_key(schema, item): item for item in a}
    for item in b:
        key = _key(schema, item)
        if schema.list_type == "map" or key not in out:
            out[key] = item
    return list(out.values())


def _equal_lists(schema: Schema, a: Sequence[Any], b: Sequence[Any], meter: Meter) -> bool:
    items = schema.items or ANY
    if schema.list_type not in _UNORDERED:
        return all(equal_as(items, x, y, meter) for x, y in zip(a, b, strict=True))
    by_key = {_key(schema, item): item for item in a}
    for item in b:
        key = _key(schema, item)
        if key not in by_key:
            return False
        if schema.list_type == "map" and not equal_as(items, by_key[key], item, meter):
            return False
    return True


def _below(schema: Schema, key: str) -> Schema:
    return schema.fields.get(key) or schema.items or ANY


def _key(schema: Schema, item: Any) -> Any:
    """Equal for equal items of a set, or for items of a map with the same keys."""
    if schema.list_type == "map" and isinstance(item, dict):
        return tuple(_scalar(item.get(name)) for name in schema.list_map_keys)
    return _scalar(item)


def _scalar(value: Any) -> Any:
    if isinstance(value, list | dict):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str)
    return isinstance(value, bool), value
