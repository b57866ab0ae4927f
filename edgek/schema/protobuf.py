"""Protobuf bodies to wire-shaped dicts and back, for every built-in type.

A body is the four bytes ``k8s\\0`` and a runtime.Unknown: typeMeta says what ``raw`` is. The
field numbers come from the facts; messages with a JSON form of their own (Quantity, Time...) are
in protobuf_special.py. Custom resources are never protobuf.

Zero values that only Go's encoding put there are left out, see protobuf_zeros.py.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from edgek.api.errors import BadRequest, UnsupportedMediaType
from edgek.api.meta import Obj
from edgek.schema.decode import decode_json
from edgek.schema.facts import Facts, load_facts
from edgek.schema.protobuf_special import READ, UNIONS, WRITE
from edgek.schema.protobuf_zeros import keeps_zero
from edgek.schema.wire import (
    BYTES,
    FIXED64,
    VARINT,
    Malformed,
    read_double,
    read_fields,
    read_varint,
    signed,
    write_bytes,
    write_double,
    write_number,
)

MAGIC = b"k8s\x00"
MAX_DEPTH = 64
_UNKNOWN = "k8s.io.apimachinery.pkg.runtime.Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot:
    """One field of a message. ``name`` is "" for a message inlined in JSON; ``key`` is the type
    of a map's keys."""

    number: int
    name: str
    type: str
    repeated: bool = False
    key: str = ""
    keep_zero: bool = False


_Slots = dict[int, _Slot]


class Codec:
    """Reads and writes messages; knows each message's fields once it was met."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._messages: dict[str, _Slots] = {}

    # -- bodies --------------------------------------------------------------------------

    def decode(self, raw: bytes) -> Obj:
        """Raises BadRequest for malformed bytes, UnsupportedMediaType for a kind without
        protobuf."""
        if not raw.startswith(MAGIC):
            raise BadRequest("provided data does not appear to be a protobuf message")
        try:
            unknown = self.read_message(_UNKNOWN, raw[len(MAGIC) :])
            return self._decode_unknown(unknown)
        except (Malformed, UnicodeDecodeError, OverflowError) as err:
            raise BadRequest(f"unable to decode protobuf body: {err}") from None

    def _decode_unknown(self, unknown: dict[str, Any]) -> Obj:
        head = {k: unknown.get(k, "") for k in ("apiVersion", "kind")}
        inner = base64.b64decode(unknown.get("raw", ""))
        if unknown.get("contentEncoding"):
            raise BadRequest(f"content encoding {unknown['contentEncoding']!r} is not supported")
        if unknown.get("contentType", "").startswith("application/json"):
            value, _ = decode_json(inner, strict_duplicates=False)
            if not isinstance(value, dict):
                raise BadRequest("the object in a protobuf body is not a JSON object")
            return {**head, **value}
        return {
            **head,
            **self.read_message(self.message_of(head["apiVersion"], head["kind"]), inner, 0),
        }

    def encode(self, obj: Obj) -> bytes:
        """The protobuf body of an object of a built-in kind that has a message."""
        name = self.message_of(str(obj.get("apiVersion", "")), str(obj.get("kind", "")))
        body = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind")}
        raw = base64.b64encode(self.write_message(name, body)).decode()
        head = {"apiVersion": obj["apiVersion"], "kind": obj["kind"]}
        return MAGIC + self.write_message(_UNKNOWN, {**head, "raw": raw})

    def message_of(self, api_version: str, kind: str) -> str:
        group, _, version = api_version.rpartition("/")
        found = self.facts.kinds.get((group, version, kind))
        name = f"k8s.io.{found.removeprefix('io.k8s.')}" if found else ""
        if name not in self.facts.messages:
            raise UnsupportedMediaType(
                f'object of kind "{kind}" in version "{api_version}" cannot be sent as protobuf'
            )
        return name

    # -- messages ------------------------------------------------------------------------

    def _slots(self, name: str) -> _Slots:
        found = self._messages.get(name)
        if found is None:
            found = self._messages[name] = self._build(name)
        return found

    def _build(self, message: str) -> _Slots:
        swagger = f"io.{message}"
        fact = self.facts.type(swagger) if swagger in self.facts.types else {}
        required = frozenset(fact.get("r", ()))
        short = message.rpartition(".")[2]
        slots = {}
        for number, (name, kind, *repeated) in self.facts.message(message).items():
            key, kind = _split_map(kind)
            keep = name in required or keeps_zero(short, name, kind)
            slots[int(number)] = _Slot(
                number=int(number), name=name, type=kind, key=key, repeated=bool(repeated),
                keep_zero=keep,
            )  # fmt: skip
        return slots

    def read_message(self, message: str, data: bytes, depth: int = 0) -> dict[str, Any]:
        if depth > MAX_DEPTH:
            raise Malformed("nested too deeply")
        slots = self._slots(message)
        out: dict[str, Any] = {}
        for number, wire, value in read_fields(data):
            slot = slots.get(number)
            if slot is not None:
                self._put(out, slot, (wire, value), depth)
        return out

    def _put(
        self, out: dict[str, Any], slot: _Slot, found: tuple[int, int | bytes], depth: int
    ) -> None:
        if slot.key:
            self._put_entry(out, slot, _bytes(found), depth)
        elif slot.repeated and slot.type in _NUMBERS and found[0] == BYTES:
            out.setdefault(slot.name, []).extend(_packed(slot.type, _bytes(found)))
        else:
            value = self._value(slot.type, found, depth)
            if slot.repeated:
                out.setdefault(slot.name, []).append(value)
            elif not slot.name:
                out.update(value)
            elif value is not None and (slot.keep_zero or not _is_zero(value)):
                out[slot.name] = value

    def _put_entry(self, out: dict[str, Any], slot: _Slot, entry: bytes, depth: int) -> None:
        empty = (VARINT, 0) if slot.type in _NUMBERS else (BYTES, b"")
        parts: dict[int, tuple[int, int | bytes]] = {1: (BYTES, b""), 2: empty}
        for number, wire, value in read_fields(entry):
            parts[number] = (wire, value)
        key = _bytes(parts[1]).decode()
        out.setdefault(slot.name, {})[key] = self._value(slot.type, parts[2], depth)

    def _value(self, kind: str, found: tuple[int, int | bytes], depth: int) -> Any:
        scalar = _SCALARS.get(kind)
        if scalar is not None:
            return scalar(found)
        special = READ.get(kind) or READ.get(kind.rpartition(".")[2])
        if special is not None:
            return special(_bytes(found))
        inner = self.read_message(kind, _bytes(found), depth + 1)
        union = UNIONS.get(kind.rpartition(".")[2])
        return union[0](inner) if union else inner

    def write_message(self, message: str, obj: dict[str, Any]) -> bytes:
        return b"".join(
            self._write_slot(slot, obj) for slot in sorted(
                self._slots(message).values(), key=lambda s: s.number
            )
        )  # fmt: skip

    def _write_slot(self, slot: _Slot, obj: dict[str, Any]) -> bytes:
        if not slot.name:
            return write_bytes(slot.number, self.write_message(slot.type, obj))
        value = obj.get(slot.name)
        if value is None:
            return b""
        if slot.key:
            entries = (
                write_bytes(1, key.encode()) + self._write_value(2, slot.type, inner)
                for key, inner in value.items()
            )
            return b"".join(write_bytes(slot.number, entry) for entry in entries)
        values = value if slot.repeated else [value]
        return b"".join(self._write_value(slot.number, slot.type, v) for v in values)

    def _write_value(self, number: int, kind: str, value: Any) -> bytes:
        if kind in _NUMBERS:
            return write_number(number, int(value))
        if kind == "string":
            return write_bytes(number, value.encode())
        if kind == "bytes":
            return write_bytes(number, base64.b64decode(value))
        if kind == "double":
            return write_double(number, value)
        special = WRITE.get(kind) or WRITE.get(kind.rpartition(".")[2])
        if (union := UNIONS.get(kind.rpartition(".")[2])) is not None:
            value = union[1](value)
        return write_bytes(number, special(value) if special else self.write_message(kind, value))


@cache
def builtin_codec() -> Codec:
    return Codec(load_facts())


def _split_map(kind: str) -> tuple[str, str]:
    if not kind.startswith("map<"):
        return "", kind
    key, _, value = kind[4:-1].partition(",")
    return key, value


def _is_zero(value: Any) -> bool:
    return value is False or value == "" or (type(value) is int and value == 0)


def _bytes(found: tuple[int, int | bytes]) -> bytes:
    if found[0] != BYTES or isinstance(found[1], int):
        raise Malformed(f"wrong wireType = {found[0]}")
    return found[1]


def _number(found: tuple[int, int | bytes]) -> int:
    if not isinstance(found[1], int):
        raise Malformed(f"wrong wireType = {found[0]}")
    return signed(found[1])


def _int32(found: tuple[int, int | bytes]) -> int:
    low = _number(found) & 0xFFFFFFFF  # as Go's int32(v): the upper half is not looked at
    return low - (1 << 32) if low >= 1 << 31 else low


def _double(found: tuple[int, int | bytes]) -> int | float:
    if found[0] != FIXED64 or isinstance(found[1], int):
        raise Malformed(f"wrong wireType = {found[0]}")
    return read_double(found[1])


_NUMBERS = ("bool", "int32", "int64")
_SCALARS: dict[str, Callable[[tuple[int, int | bytes]], Any]] = {
    "string": lambda found: _bytes(found).decode(),
    "bytes": lambda found: base64.b64encode(_bytes(found)).decode(),
    "bool": lambda found: _number(found) != 0,
    "int32": _int32,
    "int64": _number,
    "double": _double,
}


def _packed(kind: str, data: bytes) -> list[Any]:
    out, at = [], 0
    while at < len(data):
        value, at = read_varint(data, at)
        out.append(_SCALARS[kind]((VARINT, value)))
    return out
