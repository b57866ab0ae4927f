"""Between the types of the language: text and numbers, timestamps and durations.

The forms are cel-go's: RFC 3339 timestamps, durations as Go writes them (``1h30m``).
"""

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from server.cel.errors import CelError
from server.cel.values import Uint, checked_int, checked_uint

_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_DURATION = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+", re.ASCII)
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_SECONDS = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "μs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
_LONGEST_NUMBER = 100


def to_timestamp(text: Any) -> Any:
    """Other values than text are left alone: null, and what is a timestamp already."""
    if type(text) is not str:
        return text
    match = _TIMESTAMP.fullmatch(text if "T" in text.upper() else f"{text}T00:00:00Z")
    if match is None:
        raise CelError(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse')
    day, clock, fraction, zone = match.groups()
    try:
        micro = (fraction or "0").ljust(6, "0")[:6]
        when = datetime.fromisoformat(f"{day}T{clock}.{micro}{zone.upper()}")
        return when.astimezone(UTC)
    except (ValueError, OverflowError):
        raise CelError(f'parsing time "{text}": out of range') from None


def to_duration(text: Any) -> Any:
    if type(text) is not str:
        return text
    if text in ("0", "+0", "-0"):
        return timedelta()
    if len(text) > _LONGEST_NUMBER or not _DURATION.fullmatch(text):
        raise CelError(f'time: invalid duration "{text}"')
    total = sum(Decimal(n) * _SECONDS[unit] for n, unit in _PART.findall(text))
    if total >= 315_576_000_000:
        raise CelError(f'time: invalid duration "{text}"')
    length = timedelta(microseconds=int(total * 1_000_000))
    return -length if text.startswith("-") else length


def to_double(value: Any) -> Any:
    return float(value) if type(value) is int else value


def from_base64(value: Any) -> Any:
    if type(value) is not str:
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise CelError("failed to decode base64") from None


def int_of(value: Any) -> int:
    """int(x)."""
    if isinstance(value, str):
        if not re.fullmatch(r"[+-]?\d{1,20}", value, re.ASCII):
            raise CelError("type conversion error from 'string' to 'int'")
        return checked_int(int(value))
    if isinstance(value, float):
        if not -(2.0**63) < value < 2.0**63:
            raise CelError("integer overflow")
        return int(value)
    if isinstance(value, datetime):
        return int(value.timestamp() // 1)
    return checked_int(int(value))


def uint_of(value: Any) -> Uint:
    """uint(x)."""
    if isinstance(value, str):
        if not re.fullmatch(r"\d{1,20}", value, re.ASCII):
            raise CelError("type conversion error from 'string' to 'uint'")
        return checked_uint(int(value))
    if isinstance(value, float) and not 0 <= value < 2.0**64:
        raise CelError("unsigned integer overflow")
    return checked_uint(int(value))


def double_of(value: Any) -> float:
    """double(x)."""
    if not isinstance(value, str):
        return float(value)
    try:
        if len(value) > _LONGEST_NUMBER or "_" in value or value != value.strip():
            raise ValueError
        return float(value)
    except ValueError:
        raise CelError("type conversion error from 'string' to 'double'") from None


def string_of(value: Any) -> str:
    """string(x)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return double_text(value)
    if isinstance(value, datetime):
        text = value.isoformat().replace("+00:00", "Z")
        return re.sub(r"(\.\d*?)0+Z", r"\1Z", text)
    if isinstance(value, timedelta):
        return double_text(value.total_seconds()) + "s"
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise CelError("invalid UTF-8 in bytes, cannot convert to string") from None
    return str(value)


def double_text(value: float) -> str:
    """As Go's %g with the shortest form that reads back."""
    if value != value or value in (float("inf"), float("-inf")):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(value)]
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return repr(value)


def bool_of(value: Any) -> bool:
    """bool(x)."""
    if isinstance(value, bool):
        return value
    if value in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if value in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise CelError("type conversion error from 'string' to 'bool'")
