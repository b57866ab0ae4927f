"""Values of the language as Python's own: None, bool, int, float, str, bytes, list, dict,
datetime and timedelta; what Python has not is here.

``int`` is CEL's 64-bit int; ``Uint`` its uint; a dict made by ``Name{...}`` is a ``Struct``.
Other values (quantities, authorizers...) are ``Opaque``. Time is kept to microseconds, not
nanoseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from server.cel.cost import Meter
from server.cel.errors import CelError

INT_MIN, INT_MAX, UINT_MAX = -(1 << 63), (1 << 63) - 1, (1 << 64) - 1


class Uint(int):
    """CEL's unsigned 64-bit number."""

    __slots__ = ()


class Struct(dict[str, Any]):
    """An object made by an expression: ``Object.spec{...}``, ``JSONPatch{...}``."""

    __slots__ = ("type_name",)

    def __init__(self, type_name: str, fields: Mapping[str, Any]) -> None:
        super().__init__(fields)
        self.type_name = type_name


class Opaque:
    """A value of a library's own type."""

    type_name: ClassVar[str] = "opaque"

    def select(self, name: str) -> Any:
        raise CelError(f"no such key: {name}")


@dataclass(frozen=True, slots=True)
class Type:
    """What type(x) gives: equal by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Optional:
    """optional.of(value); without a value optional.none()."""

    value: Any = None
    present: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """An error kept in a comprehension's accumulator: false absorbs it in all()."""

    error: CelError


_NAMES: Mapping[type, str] = {
    type(None): "null_type",
    bool: "bool",
    int: "int",
    Uint: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    list: "list",
    dict: "map",
    datetime: "google.protobuf.Timestamp",
    timedelta: "google.protobuf.Duration",
    Type: "type",
    Optional: "optional_type",
}
TYPES: Mapping[str, Type] = {name: Type(name) for name in _NAMES.values()} | {
    "optional_type": Type("optional_type")
}
_NUMBERS = (int, Uint, float)


def type_name(value: Any) -> str:
    if isinstance(value, Struct | Opaque):
        return value.type_name
    return _NAMES.get(type(value)) or ("map" if isinstance(value, dict) else "dyn")


def checked_int(number: int) -> int:
    if INT_MIN <= number <= INT_MAX:
        return number
    raise CelError("integer overflow")


def checked_uint(number: int) -> Uint:
    if 0 <= number <= UINT_MAX:
        return Uint(number)
    raise CelError("unsigned integer overflow")


def equal(a: Any, b: Any, meter: Meter) -> bool:
    """As cel-go: numbers across their types, everything else only within its own."""
    kind = type(a)
    if kind is list and type(b) is list:
        meter.spend(len(a))
        return len(a) == len(b) and all(equal(x, y, meter) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        meter.spend(len(a))
        return len(a) == len(b) and all(k in b and equal(v, b[k], meter) for k, v in a.items())
    if kind is str or kind is bytes:
        meter.spend_on(a)
    if kind is type(b) or (kind in _NUMBERS and type(b) in _NUMBERS):
        if kind is Optional:
            return a.present == b.present and equal(a.value, b.value, meter)
        return bool(a == b)
    return False
