"""Scalars on the wire: what each type accepts, and the form that upstream keeps it in.

Quantities, times and base64 are answered in canonical form, because upstream decodes and encodes
every object that it stores.
"""

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from edgek.api.quantity import canonical
from edgek.api.time import format_micro_time, format_time, parse_time
from edgek.schema.schema import Schema

INT32 = 2**31
INT64 = 2**63
ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)
"""Go's zero time, which it writes as null."""


class Mismatch(Exception):
    """A value that its field cannot hold; the text is upstream's sentence."""


class BadValue(Exception):
    """A value of the wrong JSON type; whoever knows the path makes a Mismatch of it."""


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise BadValue
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadValue
    return value


def _int32(value: Any) -> int:
    if type(value) is not int or not -INT32 <= value < INT32:
        raise BadValue
    return value


def _int64(value: Any) -> int:
    if type(value) is not int or not -INT64 <= value < INT64:
        raise BadValue
    return value


def _double(value: Any) -> int | float:
    if type(value) not in (int, float):
        raise BadValue
    number: int | float = value
    return number


def _int_or_string(value: Any) -> int | str:
    return value if isinstance(value, str) else _int32(value)


def to_quantity(value: Any) -> str:
    text = value if isinstance(value, str) else "" if type(value) not in (int, float) else value
    try:
        return canonical(text)
    except ValueError as err:
        raise Mismatch(str(err)) from None


def to_time(value: Any) -> str | None:
    return _moment(value, format_time)


def to_micro_time(value: Any) -> str | None:
    return _moment(value, format_micro_time)


def _moment(value: Any, shown: Callable[[Any], str]) -> str | None:
    if value is None:
        return None
    text = _string(value)
    try:
        if len(text) < 20 or text[10] not in "Tt":
            raise ValueError(text)
        moment = parse_time(text)
        return None if moment == ZERO_TIME else shown(moment)
    except (ValueError, OverflowError):
        layout = "2006-01-02T15:04:05Z07:00"
        raise Mismatch(
            f'parsing time "{text}" as "{layout}": cannot parse "{text}" as "2006"'
        ) from None


def to_base64(value: Any) -> str:
    text = _string(value)
    try:
        raw = base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        at = next((i for i, c in enumerate(text) if not (c.isalnum() or c in "+/=")), len(text))
        raise Mismatch(f"illegal base64 data at input byte {at}") from None
    return base64.b64encode(raw).decode()


CONVERT: dict[str, Callable[[Any], Any]] = {
    "string": _string,
    "boolean": _boolean,
    "int32": _int32,
    "int64": _int64,
    "double": _double,
    "int-or-string": _int_or_string,
    "quantity": to_quantity,
    "time": to_time,
    "micro-time": to_micro_time,
    "bytes": to_base64,
}


def go_value(value: Any, schema: Schema) -> str:
    """How encoding/json names what it found; a number that does not fit is told in full."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        fits_not = schema.type in ("int32", "int64", "int-or-string")
        return f"number {value}" if fits_not else "number"
    names: dict[type, str] = {dict: "object", list: "array", str: "string"}
    return names.get(type(value), "null")


def go_type(schema: Schema) -> str:
    """The Go type that upstream's sentence would name."""
    if schema.type == "list" and schema.items is not None:
        return "[]" + go_type(schema.items)
    if schema.type == "map" and schema.items is not None:
        return "map[string]" + go_type(schema.items)
    if schema.type == "object":
        package = schema.name.split(".")[-2:-1] or ["v1"]
        return f"{package[0]}.{schema.short_name}"
    names = {"boolean": "bool", "double": "float64", "bytes": "[]uint8"}
    return names.get(schema.type, schema.type)


def go_text(value: Any) -> str:
    """A decoded JSON value as Go's %v prints it."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{go_text(value[k])}" for k in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(go_text(item) for item in value) + "]"
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)
