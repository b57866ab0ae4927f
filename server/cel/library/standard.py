"""The standard functions: sizes, text searches, conversions, parts of timestamps."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from server.cel.convert import (
    bool_of,
    double_of,
    int_of,
    string_of,
    to_duration,
    to_timestamp,
    uint_of,
)
from server.cel.cost import Meter
from server.cel.errors import CelError
from server.cel.library.regex import engine
from server.cel.overload import Overload, overload

_known = partial(overload, builtin=True)


def _zone(name: str) -> tzinfo:
    sign, rest = (name[0], name[1:]) if name[:1] in ("+", "-") else ("+", name)
    if rest[:2].isdigit() and rest[2:3] == ":" and rest[3:].isdigit():
        shift = timedelta(hours=int(rest[:2]), minutes=int(rest[3:]))
        return timezone(-shift if sign == "-" else shift)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CelError(f"unknown time zone {name}") from None


_PARTS: dict[str, Callable[[datetime], int]] = {
    "getFullYear": lambda t: t.year,
    "getMonth": lambda t: t.month - 1,
    "getDate": lambda t: t.day,
    "getDayOfMonth": lambda t: t.day - 1,
    "getDayOfWeek": lambda t: t.isoweekday() % 7,
    "getDayOfYear": lambda t: t.timetuple().tm_yday - 1,
    "getHours": lambda t: t.hour,
    "getMinutes": lambda t: t.minute,
    "getSeconds": lambda t: t.second,
    "getMilliseconds": lambda t: t.microsecond // 1000,
}


def _part(part: Callable[[datetime], int]) -> Callable[..., int]:
    def read(when: datetime, zone: str = "") -> int:
        try:
            return part(when.astimezone(_zone(zone) if zone else UTC))
        except OverflowError:
            raise CelError("timestamp overflow") from None

    return read


def _in(unit: timedelta) -> Callable[[timedelta], int]:
    def whole(length: timedelta) -> int:
        return int(length / unit)

    return whole


def _milliseconds(length: timedelta) -> int:
    return length.microseconds // 1000


def _matches(meter: Meter, text: str, pattern: str) -> bool:
    meter.spend(1 + len(text) * max(len(pattern), 1) // 40)
    return engine(pattern).search(text) is not None


def _each(name: str, to: str, *kinds: str, by: Callable[..., Any]) -> tuple[Overload, ...]:
    return tuple(_known(f"{name}({kind}) -> {to}", by) for kind in kinds)


_WITH_TEXT = ("string", "int", "uint", "double", "bool", "bytes", "timestamp", "duration")
OVERLOADS: tuple[Overload, ...] = (
    *_each("size", "int", "string", "bytes", "list", "map", by=len),
    _known("string.contains(string) -> bool", lambda text, part: part in text),
    _known("string.startsWith(string) -> bool", str.startswith),
    _known("string.endsWith(string) -> bool", str.endswith),
    _known("string.matches(string) -> bool", _matches, metered=True),
    *_each("int", "int", "int", "uint", "double", "string", "timestamp", by=int_of),
    *_each("uint", "uint", "int", "uint", "double", "string", by=uint_of),
    *_each("double", "double", "int", "uint", "double", "string", by=double_of),
    *(overload(f"string({kind}) -> string", string_of) for kind in _WITH_TEXT),
    *_each("bytes", "bytes", "bytes", by=bytes),
    *_each("bytes", "bytes", "string", by=str.encode),
    *_each("bool", "bool", "bool", "string", by=bool_of),
    *_each("duration", "duration", "string", "duration", by=to_duration),
    *_each("timestamp", "timestamp", "string", "timestamp", by=to_timestamp),
    *(_known(f"timestamp.{name}() -> int", _part(f)) for name, f in _PARTS.items()),
    *(_known(f"timestamp.{name}(string) -> int", _part(f)) for name, f in _PARTS.items()),
    _known("duration.getHours() -> int", _in(timedelta(hours=1))),
    _known("duration.getMinutes() -> int", _in(timedelta(minutes=1))),
    _known("duration.getSeconds() -> int", _in(timedelta(seconds=1))),
    _known("duration.getMilliseconds() -> int", _milliseconds),
    _known(
        "timestamp(int) -> timestamp",
        lambda seconds: to_timestamp("1970-01-01T00:00:00Z") + timedelta(seconds=seconds),
    ),
)
