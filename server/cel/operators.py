"""The operators: arithmetic within a type, comparison across numbers, fields and indexes."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from server.cel.cost import Meter
from server.cel.errors import NO_SUCH_OVERLOAD, CelError, no_such_key
from server.cel.overload import Overload, overload
from server.cel.values import (
    TYPES,
    Opaque,
    Optional,
    Type,
    Uint,
    checked_int,
    checked_uint,
    equal,
    type_name,
)

NONE = Optional()
Number = int | float


def select(value: Any, name: str) -> Any:
    """``value.name``."""
    if isinstance(value, dict):
        try:
            return value[name]
        except KeyError:
            raise no_such_key(name) from None
    if isinstance(value, Opaque):
        return value.select(name)
    if type(value) is Optional:
        return optional_select(value, name)
    raise CelError(NO_SUCH_OVERLOAD)


def optional_select(value: Any, name: str) -> Optional:
    """``value.?name``."""
    if type(value) is Optional:
        return optional_select(value.value, name) if value.present else NONE
    if isinstance(value, dict):
        return Optional(value[name], True) if name in value else NONE
    return Optional(select(value, name), True)


def index(value: Any, key: Any) -> Any:
    """``value[key]``."""
    if type(value) is Optional:
        return optional_index(value, key)
    if isinstance(value, dict):
        if isinstance(key, list | dict) or key not in value:
            raise no_such_key(key)
        return value[key]
    if isinstance(value, list):
        at = _position(key)
        if not 0 <= at < len(value):
            raise CelError(f"index out of bounds: {at}")
        return value[at]
    raise CelError(NO_SUCH_OVERLOAD)


def _position(key: Any) -> int:
    if type(key) in (int, Uint) or (type(key) is float and key.is_integer()):
        return int(key)
    raise CelError(f"unsupported index type '{type_name(key)}' in list")


def optional_index(value: Any, key: Any) -> Optional:
    """``value[?key]``."""
    if type(value) is Optional:
        return optional_index(value.value, key) if value.present else NONE
    if isinstance(value, dict):
        if isinstance(key, list | dict):
            raise CelError("unsupported key type")
        return Optional(value[key], True) if key in value else NONE
    if isinstance(value, list):
        at = _position(key)
        return Optional(value[at], True) if 0 <= at < len(value) else NONE
    raise CelError(NO_SUCH_OVERLOAD)


def contains(meter: Meter, item: Any, within: Any) -> bool:
    """``item in within``."""
    if isinstance(within, list):
        for other in within:
            meter.spend()
            if equal(item, other, meter):
                return True
        return False
    if isinstance(within, dict):
        return not isinstance(item, list | dict) and item in within
    raise CelError(NO_SUCH_OVERLOAD)


def _divide(a: int, b: int) -> int:
    """Towards zero, as Go."""
    if b == 0:
        raise CelError("division by zero")
    quotient = abs(a) // abs(b)
    return checked_int(quotient if (a < 0) == (b < 0) else -quotient)


def _modulo(a: int, b: int) -> int:
    if b == 0:
        raise CelError("modulus by zero")
    rest = abs(a) % abs(b)
    return -rest if a < 0 else rest


def _divide_double(a: float, b: float) -> float:
    if b:
        return a / b
    return float("nan") if a == 0 or a != a else float("inf") * (1 if a > 0 else -1)


def _later(when: datetime, by: timedelta) -> datetime:
    try:
        return when + by
    except OverflowError:
        raise CelError("timestamp overflow") from None


def _longer(a: timedelta, b: timedelta) -> timedelta:
    try:
        return a + b
    except OverflowError:
        raise CelError("integer overflow") from None


def _less(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(a: Any, b: Any) -> bool:
        kinds = {type(a), type(b)}
        if len(kinds) > 1 and not kinds <= {int, Uint, float}:
            raise CelError(NO_SUCH_OVERLOAD)
        if not kinds <= {int, Uint, float, str, bytes, bool, datetime, timedelta}:
            raise CelError(NO_SUCH_OVERLOAD)
        return test(a, b)

    return compare


def _builtin(signature: str, function: Callable[..., Any], *, metered: bool = False) -> Overload:
    return overload(signature, function, builtin=True, metered=metered)


def _named(name: str, args: str, function: Callable[..., Any], **metered: bool) -> Overload:
    """Operators have names that are no identifiers."""
    made = _builtin(f"x({args}) -> dyn", function, **metered)
    return Overload(
        name=name,
        args=made.args,
        returns="dyn",
        function=function,
        member=False,
        builtin=True,
        metered=made.metered,
    )


_ARITHMETIC: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "_+_": {
        "int, int": lambda a, b: checked_int(a + b),
        "uint, uint": lambda a, b: checked_uint(int(a) + int(b)),
        "double, double": lambda a, b: a + b,
        "string, string": lambda a, b: a + b,
        "bytes, bytes": lambda a, b: a + b,
        "list, list": lambda a, b: a + b,
        "timestamp, duration": _later,
        "duration, timestamp": lambda a, b: _later(b, a),
        "duration, duration": _longer,
    },
    "_-_": {
        "int, int": lambda a, b: checked_int(a - b),
        "uint, uint": lambda a, b: checked_uint(int(a) - int(b)),
        "double, double": lambda a, b: a - b,
        "timestamp, timestamp": lambda a, b: a - b,
        "timestamp, duration": lambda a, b: _later(a, -b),
        "duration, duration": lambda a, b: _longer(a, -b),
    },
    "_*_": {
        "int, int": lambda a, b: checked_int(a * b),
        "uint, uint": lambda a, b: checked_uint(int(a) * int(b)),
        "double, double": lambda a, b: a * b,
    },
    "_/_": {
        "int, int": _divide,
        "uint, uint": lambda a, b: Uint(_divide(int(a), int(b))) if b else _divide(1, 0),
        "double, double": _divide_double,
    },
    "_%_": {
        "int, int": _modulo,
        "uint, uint": lambda a, b: Uint(_modulo(int(a), int(b))),
    },
    "-_": {"int": lambda a: checked_int(-a), "double": lambda a: -a},
    "!_": {"bool": lambda a: not a},
    "_<_": {"dyn, dyn": _less(lambda a, b: a < b)},
    "_<=_": {"dyn, dyn": _less(lambda a, b: a <= b)},
    "_>_": {"dyn, dyn": _less(lambda a, b: a > b)},
    "_>=_": {"dyn, dyn": _less(lambda a, b: a >= b)},
    "_[?_]": {"dyn, dyn": optional_index},
    "type": {"dyn": lambda a: TYPES.get(type_name(a)) or Type(type_name(a))},
    "dyn": {"dyn": lambda a: a},
}


def _equal(meter: Meter, a: Any, b: Any) -> bool:
    return equal(a, b, meter)


def _unequal(meter: Meter, a: Any, b: Any) -> bool:
    return not equal(a, b, meter)


def _insert(meter: Meter, into: dict[Any, Any], *entry: Any) -> dict[Any, Any]:
    """cel.@mapInsert: the accumulator of transformMap, which nobody else has yet."""
    new = entry[0] if len(entry) == 1 else {entry[0]: entry[1]}
    meter.spend(len(new))
    for key in new:
        if key in into:
            raise CelError(f"insert failed: key '{key}' already exists")
    into.update(new)
    return into


OVERLOADS: tuple[Overload, ...] = (
    *(_named(name, args, f) for name, by in _ARITHMETIC.items() for args, f in by.items()),
    _named("_==_", "dyn, dyn", _equal, metered=True),
    _named("_!=_", "dyn, dyn", _unequal, metered=True),
    _named("@in", "dyn, dyn", contains, metered=True),
    _named("cel.@mapInsert", "map, dyn, dyn", _insert, metered=True),
    _named("cel.@mapInsert", "map, map", _insert, metered=True),
)
