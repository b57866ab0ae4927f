"""Texts: charAt, indexOf, join, lowerAscii, replace, split, substring, trim, format... (cel-go
ext/strings.go, version 2).

What can grow a text tells the meter how long it will be before it is made. The compiler has this
library too, but lets nobody else declare an indexOf then.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from server.cel.convert import double_text, string_of
from server.cel.cost import TRAVERSAL, Meter
from server.cel.errors import NO_SUCH_OVERLOAD, CelError
from server.cel.overload import Overload, overload
from server.cel.values import Type, Uint, type_name

_LOWER = {i: i + 32 for i in range(ord("A"), ord("Z") + 1)}
_UPPER = {i: i - 32 for i in range(ord("a"), ord("z") + 1)}


def _char_at(text: str, at: int) -> str:
    if not 0 <= at <= len(text):
        raise CelError(f"index out of range: {at}")
    return text[at : at + 1]


def _index_of(text: str, part: str, start: int = 0) -> int:
    if not part:
        return start
    if not 0 <= start < max(len(text), 1):
        raise CelError(f"index out of range: {start}")
    return text.find(part, start)


def _last_index_of(text: str, part: str, last: int | None = None) -> int:
    if last is None:
        return text.rfind(part)
    if not part:
        return last
    if not 0 <= last < max(len(text), 1):
        raise CelError(f"index out of range: {last}")
    return text.rfind(part, 0, last + len(part))


def _join(meter: Meter, items: list[Any], separator: str = "") -> str:
    meter.spend(len(items))
    if any(type(item) is not str for item in items):
        raise CelError(NO_SUCH_OVERLOAD)
    meter.spend((sum(map(len, items)) + len(separator) * len(items)) // TRAVERSAL)
    return separator.join(items)


def _replace(meter: Meter, text: str, old: str, new: str, limit: int = -1) -> str:
    found = text.count(old)
    meter.spend((len(text) + found * len(new)) // TRAVERSAL)
    return text.replace(old, new, limit)


def _split(meter: Meter, text: str, separator: str, limit: int = -1) -> list[str]:
    meter.spend(len(text) // TRAVERSAL)
    if limit == 0:
        return []
    if not separator:
        head = list(text) if limit < 0 else [*text[: limit - 1], text[limit - 1 :]]
        meter.spend(len(head))
        return [part for part in head if part]
    parts = text.split(separator, limit - 1 if limit > 0 else -1)
    meter.spend(len(parts))
    return parts


def _substring(text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else end
    if not 0 <= start <= len(text):
        raise CelError(f"index out of range: {start}")
    if not 0 <= stop <= len(text):
        raise CelError(f"index out of range: {stop}")
    if start > stop:
        raise CelError(f"invalid substring range. start: {start}, end: {stop}")
    return text[start:stop]


def _format(meter: Meter, pattern: str, values: list[Any]) -> str:
    """%s %d %f %e %b %o %x %X and %%, with .precision."""
    out, at, left = [], 0, iter(values)
    while (percent := pattern.find("%", at)) >= 0:
        out.append(pattern[at:percent])
        at, piece = _clause(meter, pattern, percent + 1, left)
        out.append(piece)
        meter.spend(1 + len(piece) // TRAVERSAL)
    meter.spend(len(pattern) // TRAVERSAL)
    return "".join([*out, pattern[at:]])


def _clause(meter: Meter, pattern: str, at: int, left: Any) -> tuple[int, str]:
    """The end of one clause and what it becomes."""
    if pattern[at : at + 1] == "%":
        return at + 1, "%"
    precision = None
    if pattern[at : at + 1] == ".":
        end = at + 1
        while pattern[end : end + 1].isdecimal():
            end += 1
        precision, at = min(int(pattern[at + 1 : min(end, at + 5)] or 0), 1000), end
    verb = pattern[at : at + 1]
    if not verb:
        raise CelError("unexpected end of string")
    try:
        value = next(left)
    except StopIteration:
        raise CelError("index 0 out of range") from None
    return at + 1, _formatted(meter, verb, value, precision)


def _formatted(meter: Meter, verb: str, value: Any, precision: int | None) -> str:
    kind, digits = type(value), 6 if precision is None else precision
    number = kind in (int, Uint)
    if verb == "s":
        return _shown(meter, value)
    if verb == "d" and (number or kind is float):
        return str(int(value)) if number else double_text(value)
    if verb == "f" and (number or kind is float):
        return f"{float(value):.{digits}f}"
    if verb == "e" and (number or kind is float):
        return f"{float(value):.{digits}e}"
    if verb in "box" and (number or (verb == "b" and kind is bool)):
        return format(int(value), verb)
    if verb == "X" and number:
        return format(int(value), "X")
    if verb in "xX" and kind in (str, bytes):
        text: str = (value.encode() if kind is str else value).hex()
        return text if verb == "x" else text.upper()
    if verb not in "sdfeboxX":
        raise CelError(f'unrecognized formatting clause "{verb}"')
    raise CelError(f"error during formatting: no such overload for {type_name(value)}")


def _shown(meter: Meter, value: Any) -> str:
    meter.spend()
    if isinstance(value, list):
        return "[" + ", ".join(_shown(meter, item) for item in value) + "]"
    if isinstance(value, dict):
        shown = {_shown(meter, k): _shown(meter, v) for k, v in value.items()}
        return "{" + ", ".join(f"{k}: {shown[k]}" for k in sorted(shown)) + "}"
    if isinstance(value, Type):
        return value.name
    text = "null" if value is None else _text(value)
    meter.spend(len(text) // TRAVERSAL)
    return text


def _text(value: Any) -> str:
    kinds = (str, bool, int, Uint, float, bytes, datetime, timedelta)
    if type(value) not in kinds:
        raise CelError(f"error during formatting: no such overload for {type_name(value)}")
    return string_of(value)


def _family(signatures: Mapping[str, Any], *, metered: bool = False) -> tuple[Overload, ...]:
    return tuple(overload(text, function, metered=metered) for text, function in signatures.items())


OVERLOADS: tuple[Overload, ...] = (
    *_family(
        {
            "string.charAt(int) -> string": _char_at,
            "string.indexOf(string) -> int": _index_of,
            "string.indexOf(string, int) -> int": _index_of,
            "string.lastIndexOf(string) -> int": _last_index_of,
            "string.lastIndexOf(string, int) -> int": _last_index_of,
            "string.lowerAscii() -> string": lambda text: text.translate(_LOWER),
            "string.upperAscii() -> string": lambda text: text.translate(_UPPER),
            "string.substring(int) -> string": _substring,
            "string.substring(int, int) -> string": _substring,
            "string.trim() -> string": str.strip,
        }
    ),
    *_family(
        {
            "list<string>.join() -> string": _join,
            "list<string>.join(string) -> string": _join,
            "string.replace(string, string) -> string": _replace,
            "string.replace(string, string, int) -> string": _replace,
            "string.split(string) -> list<string>": _split,
            "string.split(string, int) -> list<string>": _split,
            "string.format(list<dyn>) -> string": _format,
        },
        metered=True,
    ),
)
