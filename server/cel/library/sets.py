"""sets.contains, sets.equivalent, sets.intersects: lists compared as sets (cel-go ext/sets.go)."""

from typing import Any

from server.cel.cost import Meter
from server.cel.operators import contains
from server.cel.overload import Overload, overload


def _contains(meter: Meter, all_of: list[Any], these: list[Any]) -> bool:
    return all(contains(meter, item, all_of) for item in these)


def _equivalent(meter: Meter, a: list[Any], b: list[Any]) -> bool:
    return _contains(meter, a, b) and _contains(meter, b, a)


def _intersects(meter: Meter, a: list[Any], b: list[Any]) -> bool:
    return any(contains(meter, item, a) for item in b)


OVERLOADS: tuple[Overload, ...] = tuple(
    overload(f"{name}(list, list) -> bool", function, builtin=True, metered=True, namespace="sets")
    for name, function in (
        ("contains", _contains),
        ("equivalent", _equivalent),
        ("intersects", _intersects),
    )
)
