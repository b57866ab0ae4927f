"""Lists: isSorted, sum, min, max, indexOf, lastIndexOf (apiserver pkg/cel/library/lists.go)."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

from server.cel.cost import Meter
from server.cel.errors import NO_SUCH_OVERLOAD, CelError
from server.cel.overload import Overload, overload
from server.cel.values import Uint, checked_int, checked_uint, equal

_COMPARABLE = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")
_SUMMABLE = ("int", "uint", "double", "duration")


def _ordered(items: list[Any]) -> list[Any]:
    """The list, if its items can be compared with each other."""
    if len({type(item) for item in items}) > 1 or any(
        isinstance(item, list | dict | type(None)) for item in items[:1]
    ):
        raise CelError(NO_SUCH_OVERLOAD)
    return items


def _is_sorted(items: list[Any]) -> bool:
    return all(a <= b for a, b in pairwise(_ordered(items)))


def _sum(items: list[Any]) -> Any:
    kinds = {type(item) for item in items}
    if not kinds:
        return 0
    if len(kinds) > 1 or not kinds <= {int, Uint, float, timedelta}:
        raise CelError(NO_SUCH_OVERLOAD)
    (kind,) = kinds
    if kind is timedelta:
        return sum(items, timedelta())
    total = sum(items)
    return checked_int(total) if kind is int else checked_uint(total) if kind is Uint else total


def _min(items: list[Any]) -> Any:
    if not items:
        raise CelError("min called on empty list")
    return min(_ordered(items))


def _max(items: list[Any]) -> Any:
    if not items:
        raise CelError("max called on empty list")
    return max(_ordered(items))


def _index_of(meter: Meter, items: list[Any], item: Any) -> int:
    return next((i for i, other in enumerate(items) if _same(other, item, meter)), -1)


def _last_index_of(meter: Meter, items: list[Any], item: Any) -> int:
    backwards = range(len(items) - 1, -1, -1)
    return next((i for i in backwards if _same(items[i], item, meter)), -1)


def _same(a: Any, b: Any, meter: Meter) -> bool:
    meter.spend()
    return equal(a, b, meter)


OVERLOADS: tuple[Overload, ...] = (
    *(overload(f"list<{t}>.isSorted() -> bool", _is_sorted) for t in _COMPARABLE),
    *(overload(f"list<{t}>.sum() -> {t}", _sum) for t in _SUMMABLE),
    *(overload(f"list<{t}>.min() -> {t}", _min) for t in _COMPARABLE),
    *(overload(f"list<{t}>.max() -> {t}", _max) for t in _COMPARABLE),
    overload("list<T>.indexOf(T) -> int", _index_of, metered=True),
    overload("list<T>.lastIndexOf(T) -> int", _last_index_of, metered=True),
)
