"""What a call gives, by the schemas of what it is given: the part of type checking that the
compiler cannot do, because objects are ``dyn`` to it.

Estimates of costs need it: where nothing is known of a value, the worst must be assumed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgek.schema.schema import Schema
from server.cel.signatures import returned

ANY, BOOL, INT, STRING = (Schema(type=t) for t in ("any", "boolean", "int64", "string"))
DOUBLE, TIMESTAMP, DURATION = (Schema(type=t) for t in ("double", "time", "duration"))
UINT, BYTES = Schema(type="uint"), Schema(type="bytes")
OPTIONAL = "optional"
"""The type of a Schema whose ``items`` may be there."""
CEL_TYPES: Mapping[str, str] = {
    "string": "string",
    "int32": "int",
    "int64": "int",
    "double": "double",
    "boolean": "bool",
    "bytes": "bytes",
    "time": "timestamp",
    "micro-time": "timestamp",
    "date": "timestamp",
    "duration": "duration",
    "uint": "uint",
}
_SCALARS: Mapping[str, Schema] = {
    "bool": BOOL,
    "int": INT,
    "uint": UINT,
    "string": STRING,
    "bytes": BYTES,
    "double": DOUBLE,
    "timestamp": TIMESTAMP,
    "duration": DURATION,
}
_CONSTANTS: Mapping[str, Schema] = {
    "bool": BOOL,
    "int": INT,
    "str": STRING,
    "bytes": BYTES,
    "float": DOUBLE,
    "Uint": UINT,
}
Given = Sequence[Schema]


def cel_type(schema: Schema) -> str:
    """As the compiler is told: ``list<string>``; ``dyn`` for what it cannot check."""
    if schema.type == "list":
        return f"list<{cel_type(schema.items or ANY)}>"
    if schema.type == "map":
        return f"map<string, {cel_type(schema.items or ANY)}>"
    return schema.type if "." in schema.type else CEL_TYPES.get(schema.type, "dyn")


def of_constant(value: Any) -> Schema:
    return _CONSTANTS.get(type(value).__name__, ANY)


def of_cel_type(text: str) -> Schema:
    """``list<string>`` back as a Schema; ANY for what has none."""
    name, _, params = text.removesuffix(">").partition("<")
    if name == "list":
        return Schema(type="list", items=of_cel_type(params))
    if name == "map":
        return Schema(type="map", items=of_cel_type(params.partition(",")[2].strip()))
    if name == "optional_type":
        return Schema(type=OPTIONAL, items=of_cel_type(params))
    return _SCALARS.get(name) or (Schema(type=name) if "." in name else ANY)


def result_of(function: str, given: Given) -> Schema:
    """ANY where it is not known."""
    special = _SPECIAL.get(function)
    if special is not None:
        return special(given)
    return of_cel_type(returned(function, [cel_type(s) for s in given]))


def optional_of(schema: Schema) -> Schema:
    return Schema(type=OPTIONAL, items=schema)


def inside(schema: Schema) -> Schema:
    """What an optional holds; other values hold themselves."""
    return (schema.items or ANY) if schema.type == OPTIONAL else schema


def either(one: Schema, other: Schema) -> Schema:
    """Of two that must be of one type the one that says more, ANY if they are not."""
    if one.type != other.type:
        return ANY
    return one if one.items is not None and one.items.type != "any" else other


def _sum(given: Given) -> Schema:
    left, right = (CEL_TYPES.get(s.type) for s in given)
    if "timestamp" in (left, right):
        return TIMESTAMP
    if given[0].type == "list" == given[1].type:
        return given[0] if given[0].list_type else either(*given)
    return _same(given)


def _difference(given: Given) -> Schema:
    left, right = (CEL_TYPES.get(s.type) for s in given)
    if left == "timestamp":
        return {"timestamp": DURATION, "duration": TIMESTAMP}.get(right or "", ANY)
    return _same(given)


def _same(given: Given) -> Schema:
    """Arithmetic stays within its type; one known side tells the other."""
    known = [s for s in given if CEL_TYPES.get(s.type) is not None]
    return known[0] if known else ANY


def _or_value(given: Given) -> Schema:
    found = inside(given[0])
    return given[1] if found.type == "any" else found


_SPECIAL: Mapping[str, Callable[[Given], Schema]] = {
    "_?_:_": lambda given: either(given[1], given[2]),
    "_+_": _sum,
    "_-_": _difference,
    **dict.fromkeys(("_*_", "_/_", "_%_", "-_"), _same),
    "_[?_]": lambda given: optional_of(inside(given[0]).items or ANY),
    "optional.of": lambda given: optional_of(given[0]),
    "optional.ofNonZeroValue": lambda given: optional_of(given[0]),
    "optional.none": lambda given: optional_of(ANY),
    "hasValue": lambda given: BOOL,
    "value": lambda given: inside(given[0]),
    "orValue": _or_value,
    "or": lambda given: either(given[0], given[1]),
}
