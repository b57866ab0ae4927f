"""Messages whose JSON form is their own: each read from and written to its message's bytes.

Keyed by full message name, or by the last word for the list types that every group has anew.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from edgek.api.errors import BadRequest
from edgek.api.time import format_micro_time, format_time, parse_time
from edgek.schema.decode import decode_json
from edgek.schema.scalars import Mismatch, to_quantity
from edgek.schema.wire import Malformed, read_fields, signed, write_bytes, write_number

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_META = "k8s.io.apimachinery.pkg.apis.meta.v1."


def _fields(data: bytes) -> dict[int, int | bytes]:
    return {number: value for number, _, value in read_fields(data)}


def _text(value: int | bytes | None) -> str:
    if isinstance(value, int):
        raise Malformed("a number where text belongs")
    return (value or b"").decode()


def _number(value: int | bytes | None) -> int:
    if isinstance(value, bytes):
        raise Malformed("text where a number belongs")
    return signed(value or 0)


def _read_quantity(data: bytes) -> str:
    try:
        return to_quantity(_text(_fields(data).get(1)) or "0")
    except Mismatch as err:
        raise BadRequest(str(err)) from None


def _read_int_or_string(data: bytes) -> int | str:
    found = _fields(data)
    if _number(found.get(1)) == 1:
        return _text(found.get(3))
    low = _number(found.get(2)) & 0xFFFFFFFF
    return low - (1 << 32) if low >= 1 << 31 else low


def _read_moment(data: bytes, shown: Callable[[datetime], str]) -> str | None:
    """Go's zero time is an empty message; JSON has null for it."""
    found = _fields(data)
    if not found:
        return None
    seconds, nanos = _number(found.get(1)), _number(found.get(2))
    return shown(_EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000))


def _read_raw(data: bytes) -> Any:
    raw = _fields(data).get(1)
    if isinstance(raw, int):
        raise Malformed("a number where bytes belong")
    return decode_json(raw, strict_duplicates=False)[0] if raw else None


def _read_items(data: bytes) -> list[str]:
    return [_text(value) for number, _, value in read_fields(data) if number == 1]


def _read_duration(data: bytes) -> str:
    nanos = _number(_fields(data).get(1))
    sign, seconds = "-" if nanos < 0 else "", abs(nanos) / 1e9
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "")
    return f"{sign}{parts}{rest:.9g}s"


def _write_moment(text: str) -> bytes:
    past = parse_time(text) - _EPOCH
    seconds = past // timedelta(seconds=1)
    nanos = (past % timedelta(seconds=1)).microseconds * 1000
    return write_number(1, seconds) + write_number(2, nanos)


def _write_int_or_string(value: int | str) -> bytes:
    if isinstance(value, str):
        return write_number(1, 1) + write_number(2, 0) + write_bytes(3, value.encode())
    return write_number(1, 0) + write_number(2, value) + write_bytes(3, b"")


def _write_raw(value: Any) -> bytes:
    return write_bytes(1, orjson.dumps(value))


def _write_items(values: list[str]) -> bytes:
    return b"".join(write_bytes(1, v.encode()) for v in values)


READ: dict[str, Callable[[bytes], Any]] = {
    "k8s.io.apimachinery.pkg.api.resource.Quantity": _read_quantity,
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": _read_int_or_string,
    _META + "Time": lambda data: _read_moment(data, format_time),
    _META + "MicroTime": lambda data: _read_moment(data, format_micro_time),
    _META + "Duration": _read_duration,
    _META + "FieldsV1": _read_raw,
    "k8s.io.apimachinery.pkg.runtime.RawExtension": _read_raw,
    "Verbs": _read_items,
    "AttestationValue": _read_items,
    "ExtraValue": _read_items,
    "JSON": _read_raw,
}
WRITE: dict[str, Callable[[Any], bytes]] = {
    "k8s.io.apimachinery.pkg.api.resource.Quantity": lambda v: write_bytes(1, str(v).encode()),
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": _write_int_or_string,
    _META + "Time": _write_moment,
    _META + "MicroTime": _write_moment,
    _META + "FieldsV1": _write_raw,
    "k8s.io.apimachinery.pkg.runtime.RawExtension": _write_raw,
    "Verbs": _write_items,
    "AttestationValue": _write_items,
    "ExtraValue": _write_items,
    "JSON": _write_raw,
}


def _list_or_schema(field: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    def unwrap(found: dict[str, Any]) -> Any:
        return found[field] if field in found else found.get("schema")

    def wrap(value: Any) -> dict[str, Any]:
        return {field if isinstance(value, list) else "schema": value}

    return unwrap, wrap


def _schema_or_bool(found: dict[str, Any]) -> Any:
    return found["schema"] if "schema" in found else found.get("allows", False)


def _bool_or_schema(value: Any) -> dict[str, Any]:
    return {"allows": value} if isinstance(value, bool) else {"allows": True, "schema": value}


UNIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "JSONSchemaPropsOrArray": _list_or_schema("jSONSchemas"),
    "JSONSchemaPropsOrStringArray": _list_or_schema("property"),
    "JSONSchemaPropsOrBool": (_schema_or_bool, _bool_or_schema),
}
"""Messages that stand for one of several things in JSON: from the message's fields to the value,
and back."""
