"""SPDY/3 frames <-> bytes. Pure: ``Decoder`` is fed what comes, ``Encoder`` gives what to send.

Control frames and header blocks are bounded, and data passes through in the pieces it came in, so
a decoder holds no more than ``MAX_CONTROL``, whatever it is fed. What breaks the format raises
``SpdyError``: the compression of headers is then lost, and with it the connection.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from server.spdy.dictionary import dictionary

VERSION = 3
MAX_CONTROL = 64 * 1024
MAX_HEADERS = 64 * 1024
"""Of a header block when it is unpacked."""
SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = (
    1, 2, 3, 4, 6, 7, 8, 9,
)  # fmt: skip
PROTOCOL_ERROR, REFUSED_STREAM, CANCEL = 1, 3, 5
_FIN = 0x01
_CONTROL = 0x80000000
_ID = 0x7FFFFFFF


class SpdyError(Exception):
    """Bytes that are no SPDY/3."""


@dataclass(frozen=True, slots=True)
class SynStream:
    stream_id: int
    headers: Mapping[str, str]
    fin: bool = False


@dataclass(frozen=True, slots=True)
class SynReply:
    stream_id: int
    headers: Mapping[str, str]
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Headers:
    stream_id: int
    headers: Mapping[str, str]
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Data:
    """A data frame, or a piece of a large one; ``fin`` is with the last."""

    stream_id: int
    data: bytes
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    stream_id: int
    status: int


@dataclass(frozen=True, slots=True)
class Ping:
    number: int


@dataclass(frozen=True, slots=True)
class GoAway:
    last_stream_id: int
    status: int = 0


Frame = SynStream | SynReply | Headers | Data | Reset | Ping | GoAway


class Decoder:
    """Of one direction of one connection: header blocks build upon those before."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._inflate = zlib.decompressobj(zdict=dictionary())
        self._stream_id = self._left = 0
        self._fin = False

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete by now. Consume it before the next call."""
        self._held += data
        while (frame := self._next()) is not None:
            if frame is not _NOTHING:
                yield frame

    def _next(self) -> Frame | None:
        """None: more is needed first."""
        if self._left:
            return self._piece() if self._held else None
        if len(self._held) < 8:
            return None
        first, second = struct.unpack_from(">II", self._held)
        flags, length = second >> 24, second & 0xFFFFFF
        if first & _CONTROL:
            return self._control(first, flags, length)
        if not first:
            raise SpdyError("data for stream 0")
        del self._held[:8]
        self._stream_id, self._left, self._fin = first, length, bool(flags & _FIN)
        return self._next() if length else Data(first, b"", self._fin)

    def _piece(self) -> Data:
        data = bytes(self._held[: self._left])
        del self._held[: len(data)]
        self._left -= len(data)
        return Data(self._stream_id, data, self._fin and not self._left)

    def _control(self, first: int, flags: int, length: int) -> Frame | None:
        version, kind = first >> 16 & 0x7FFF, first & 0xFFFF
        if version != VERSION:
            raise SpdyError(f"version {version} in a control frame")
        if length > MAX_CONTROL:
            raise SpdyError(f"a control frame of {length} bytes")
        if len(self._held) < 8 + length:
            return None
        body = bytes(self._held[8 : 8 + length])
        del self._held[: 8 + length]
        try:
            return self._read(kind, flags, body)
        except struct.error as err:
            raise SpdyError(f"a control frame of type {kind} is too short") from err

    def _read(self, kind: int, flags: int, body: bytes) -> Frame:
        fin = bool(flags & _FIN)
        if kind == SYN_STREAM:
            stream_id, _, _ = struct.unpack_from(">IIH", body)
            return SynStream(_stream(stream_id), self._headers(body[10:]), fin)
        if kind in (SYN_REPLY, HEADERS):
            (stream_id,) = struct.unpack_from(">I", body)
            made = SynReply if kind == SYN_REPLY else Headers
            return made(_stream(stream_id), self._headers(body[4:]), fin)
        if kind == RST_STREAM:
            stream_id, status = struct.unpack(">II", body)
            return Reset(_stream(stream_id), status)
        if kind == PING:
            return Ping(*struct.unpack(">I", body))
        if kind == GOAWAY:
            last, status = struct.unpack(">II", body)
            return GoAway(last & _ID, status)
        return _NOTHING  # settings, windows, and what is not known: passed over

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            plain = self._inflate.decompress(block, MAX_HEADERS)
        except zlib.error as err:
            raise SpdyError("headers cannot be unpacked") from err
        if self._inflate.unconsumed_tail or self._inflate.unused_data:
            raise SpdyError("headers are too large")
        return _read_headers(plain)


_NOTHING = Ping(0)
"""Stands for a frame that means nothing to us; known by identity."""


def _stream(number: int) -> int:
    if not number & _ID:
        raise SpdyError("a control frame for stream 0")
    return number & _ID


def _read_headers(plain: bytes) -> dict[str, str]:
    """Of several values of one name, which a zero byte parts, the first."""
    found: dict[str, str] = {}
    (count,), at = struct.unpack_from(">I", plain), 4
    for _ in range(count):
        name, at = _text(plain, at)
        value, at = _text(plain, at)
        if not name or name in found or name != name.lower():
            raise SpdyError("headers have a name that may not be")
        found[name] = value.partition("\0")[0]
    if at != len(plain):
        raise SpdyError("headers are longer than they say")
    return found


def _text(plain: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">I", plain, at)
    end = at + 4 + length
    if end > len(plain):
        raise SpdyError("headers are shorter than they say")
    return plain[at + 4 : end].decode("latin-1"), end


class Encoder:
    """Of one direction of one connection."""

    def __init__(self) -> None:
        # A small window: what we say in headers is next to nothing, and each session has one.
        self._deflate = zlib.compressobj(1, zlib.DEFLATED, wbits=11, memLevel=1, zdict=dictionary())

    def syn_stream(self, stream_id: int, headers: Mapping[str, str], *, fin: bool = False) -> bytes:
        body = struct.pack(">IIH", stream_id, 0, 0) + self._headers(headers)
        return _control(SYN_STREAM, body, fin=fin)

    def syn_reply(self, stream_id: int, headers: Mapping[str, str] | None = None) -> bytes:
        return _control(SYN_REPLY, struct.pack(">I", stream_id) + self._headers(headers or {}))

    def _headers(self, headers: Mapping[str, str]) -> bytes:
        plain = struct.pack(">I", len(headers))
        for name, value in headers.items():
            for text in (name.lower().encode("latin-1"), value.encode("latin-1")):
                plain += struct.pack(">I", len(text)) + text
        return self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def data_frame(stream_id: int, data: bytes, *, fin: bool = False) -> bytes:
    return struct.pack(">II", stream_id, (fin << 24) | len(data)) + data


def reset_frame(stream_id: int, status: int) -> bytes:
    return _control(RST_STREAM, struct.pack(">II", stream_id, status))


def ping_frame(number: int) -> bytes:
    return _control(PING, struct.pack(">I", number))


def go_away_frame(last_stream_id: int) -> bytes:
    return _control(GOAWAY, struct.pack(">II", last_stream_id, 0))


def _control(kind: int, body: bytes, *, fin: bool = False) -> bytes:
    first = _CONTROL | VERSION << 16 | kind
    return struct.pack(">II", first, (fin << 24) | len(body)) + body
