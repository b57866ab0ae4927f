"""SPDY frames: what was encoded is read back however it is cut, and nonsense is refused."""

import random
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.spdy.dictionary import dictionary
from server.spdy.frames import (
    MAX_CONTROL,
    Data,
    Decoder,
    Encoder,
    Frame,
    GoAway,
    Ping,
    Reset,
    SpdyError,
    SynReply,
    SynStream,
    data_frame,
    go_away_frame,
    ping_frame,
    reset_frame,
)

IDS = st.integers(1, 2**31 - 1)
NAMES = st.text("abcdefghij-", min_size=1, max_size=12)
VALUES = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=40)
FRAMES = st.one_of(
    st.builds(SynStream, IDS, st.dictionaries(NAMES, VALUES, max_size=5), st.booleans()),
    st.builds(Data, IDS, st.binary(max_size=300), st.booleans()),
    st.builds(Reset, IDS, st.integers(0, 2**32 - 1)),
    st.builds(Ping, st.integers(0, 2**32 - 1)),
    st.builds(GoAway, st.integers(0, 2**31 - 1)),
)


def encoded(encoder: Encoder, frame: Frame) -> bytes:
    match frame:
        case SynStream(stream_id, headers, fin):
            return encoder.syn_stream(stream_id, headers, fin=fin)
        case Data(stream_id, data, fin):
            return data_frame(stream_id, data, fin=fin)
        case Reset(stream_id, status):
            return reset_frame(stream_id, status)
        case Ping(number):
            return ping_frame(number)
        case GoAway(last, _):
            return go_away_frame(last)
    raise AssertionError(frame)


def decoded(wire: bytes, cuts: list[int]) -> list[Frame]:
    decoder, found, at = Decoder(), [], 0
    for cut in [*cuts, len(wire)]:
        found += list(decoder.feed(wire[at : at + cut]))
        at += cut
    found += list(decoder.feed(wire[at:]))
    return found


def total(frames: list[Frame]) -> list[object]:
    """Data by what it amounts to, as its pieces depend on the cuts."""
    out: list[object] = []
    for frame in frames:
        if isinstance(frame, Data):
            last = out[-1] if out else None
            if isinstance(last, list) and last[0] == frame.stream_id and not last[2]:
                last[1] += frame.data
                last[2] = frame.fin
            else:
                out.append([frame.stream_id, frame.data, frame.fin])
        else:
            out.append(frame)
    return out


@given(st.lists(FRAMES, max_size=8), st.lists(st.integers(1, 50), max_size=30))
def test_what_was_encoded_is_read_back_however_it_is_cut(
    frames: list[Frame], cuts: list[int]
) -> None:
    encoder = Encoder()
    wire = b"".join(encoded(encoder, frame) for frame in frames)
    assert total(decoded(wire, cuts)) == total(frames)


def test_the_dictionary_is_that_of_the_specification() -> None:
    assert len(dictionary()) == 1423
    assert zlib.adler32(dictionary()) == 0xE3C6A7C2


def test_headers_as_a_go_client_packs_them_are_read() -> None:
    plain = struct.pack(">I", 1) + struct.pack(">I", 10) + b"streamtype"
    plain += struct.pack(">I", 11) + b"stdin\0other"
    pack = zlib.compressobj(9, zdict=dictionary())
    block = pack.compress(plain) + pack.flush(zlib.Z_SYNC_FLUSH)
    body = struct.pack(">IIH", 1, 0, 0) + block
    wire = struct.pack(">II", 0x80030001, len(body)) + body
    assert list(Decoder().feed(wire)) == [SynStream(1, {"streamtype": "stdin"})]


def test_a_reply_of_ours_can_be_read() -> None:
    encoder, decoder = Encoder(), Decoder()
    wire = encoder.syn_reply(1) + encoder.syn_reply(3, {"a": "b"})
    assert list(decoder.feed(wire)) == [SynReply(1, {}), SynReply(3, {"a": "b"})]


def control(kind: int, body: bytes, *, version: int = 3) -> bytes:
    return struct.pack(">II", 0x80000000 | version << 16 | kind, len(body)) + body


def packed(plain: bytes) -> bytes:
    pack = zlib.compressobj(9, zdict=dictionary())
    return struct.pack(">IIH", 1, 0, 0) + pack.compress(plain) + pack.flush(zlib.Z_SYNC_FLUSH)


def text(*words: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(word)) + word for word in words)


@pytest.mark.parametrize(
    "wire",
    [
        data_frame(0, b"x"),
        control(6, b"\0\0\0\1", version=2),
        control(6, b"\0\0\0"),
        control(3, b"\0\0\0\1"),
        control(3, struct.pack(">II", 0, 1)),
        control(1, b"\0" * 9),
        control(1, struct.pack(">IIH", 1, 0, 0) + b"no zlib"),
        control(1, packed(struct.pack(">I", 2**32 - 1))),
        control(1, packed(struct.pack(">I", 1) + struct.pack(">I", 2**32 - 1))),
        control(1, packed(struct.pack(">I", 2) + text(b"a", b"1", b"a", b"2"))),
        control(1, packed(struct.pack(">I", 1) + text(b"Upper", b"1"))),
        control(1, packed(struct.pack(">I", 0) + b"more")),
        control(1, packed(struct.pack(">I", 1) + text(b"a", b"x" * 10_000_000))),
        struct.pack(">II", 0x80030001, MAX_CONTROL + 1),
    ],
)
def test_what_breaks_the_format_is_refused(wire: bytes) -> None:
    with pytest.raises(SpdyError):
        list(Decoder().feed(wire))


def test_what_means_nothing_to_us_is_passed_over() -> None:
    settings = control(4, struct.pack(">III", 1, 4, 1000))
    window = control(9, struct.pack(">II", 1, 1000))
    unknown = control(99, b"whatever")
    wire = settings + window + unknown + ping_frame(1)
    assert list(Decoder().feed(wire)) == [Ping(1)]


@given(st.binary(max_size=400), st.randoms())
def test_nonsense_ends_in_frames_or_a_refusal_and_in_no_heap(
    noise: bytes, random_: random.Random
) -> None:
    encoder = Encoder()
    wire = bytearray(encoder.syn_stream(1, {"streamtype": "data", "port": "80"}) + noise)
    for _ in range(3):
        wire[random_.randrange(len(wire))] ^= 1 << random_.randrange(8)
    decoder = Decoder()
    try:
        for at in range(0, len(wire), 7):
            list(decoder.feed(bytes(wire[at : at + 7])))
            assert len(decoder._held) <= MAX_CONTROL + 8
    except SpdyError:
        pass
