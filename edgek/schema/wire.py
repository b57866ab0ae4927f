"""Protobuf's own alphabet: varints, tags and length-delimited pieces. No Kubernetes in here.

Reading never trusts a length: whatever points past the end, or is not a varint, is Malformed.
"""

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SIZES = {FIXED64: 8, FIXED32: 4}
_MASK64 = (1 << 64) - 1


class Malformed(ValueError):
    """Bytes that are no protobuf message."""


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at ``at`` and where the next thing begins."""
    result = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Malformed("unexpected EOF" if at >= len(data) else "integer overflow")
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & _MASK64, at
        shift += 7


def read_fields(data: bytes) -> Iterator[tuple[int, int, int | bytes]]:
    """(field number, wire type, value) in order; the value is bytes unless it is a varint."""
    at, end = 0, len(data)
    while at < end:
        tag, at = read_varint(data, at)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise Malformed("illegal tag 0")
        if kind == VARINT:
            value, at = read_varint(data, at)
            yield number, kind, value
            continue
        if kind == BYTES:
            size, at = read_varint(data, at)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise Malformed(f"illegal wireType {kind}")
        if size > end - at:
            raise Malformed("unexpected EOF")
        yield number, kind, data[at : at + size]
        at += size


def signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def write_varint(value: int) -> bytes:
    value &= _MASK64
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def write_number(number: int, value: int) -> bytes:
    return write_varint(number << 3 | VARINT) + write_varint(value)


def read_double(value: bytes) -> int | float:
    """JSON has one kind of number: a whole one is written without a point."""
    found: float = struct.unpack("<d", value)[0]
    return int(found) if found.is_integer() else found


def write_double(number: int, value: float) -> bytes:
    return write_varint(number << 3 | FIXED64) + struct.pack("<d", value)


def write_bytes(number: int, value: bytes) -> bytes:
    return write_varint(number << 3 | BYTES) + write_varint(len(value)) + value
