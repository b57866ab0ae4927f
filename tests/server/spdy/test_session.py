"""A SPDY session against a client made of frames: streams, their ends, and its bounds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from edgek.aio.tasks import cancel_and_wait
from server.spdy.frames import (
    Data,
    Decoder,
    Encoder,
    Frame,
    GoAway,
    Ping,
    Reset,
    SynReply,
    data_frame,
    ping_frame,
    reset_frame,
)
from server.spdy.session import MAX_STREAMS, MAX_UNREAD, Session, SpdyStream


@dataclass
class Wire:
    """The connection; ``said`` is what the session has sent."""

    encoder: Encoder = field(default_factory=Encoder)
    arriving: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    said: list[Frame] = field(default_factory=list)
    closed: bool = False
    _decoder: Decoder = field(default_factory=Decoder)

    async def read(self) -> bytes:
        return await self.arriving.get()

    async def write(self, data: bytes) -> None:
        self.said += self._decoder.feed(data)

    async def close(self) -> None:
        self.closed = True

    def open(self, stream_id: int, **headers: str) -> None:
        self.arriving.put_nowait(self.encoder.syn_stream(stream_id, headers))

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self.arriving.put_nowait(frame)


@dataclass
class Peer:
    wire: Wire
    session: Session
    running: "asyncio.Task[None]"
    streams: list[SpdyStream]

    async def until(self, test: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not test():  # noqa: ASYNC110
                await asyncio.sleep(0)


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    streams: list[SpdyStream] = []

    def opened(stream: SpdyStream) -> None:
        if stream.headers.get("refuse"):
            raise ValueError("as it asked")
        streams.append(stream)

    wire = Wire()
    session = Session(wire, opened)
    running = asyncio.create_task(session.run())
    try:
        yield Peer(wire, session, running, streams)
    finally:
        await cancel_and_wait(running)


async def test_a_stream_is_answered_read_written_and_ended_by_both(peer: Peer) -> None:
    peer.wire.open(1, streamtype="data")
    peer.wire.send(data_frame(1, b"in"), data_frame(1, b"", fin=True))
    await peer.until(lambda: peer.streams)
    (stream,) = peer.streams
    assert [await stream.read(), await stream.read()] == [b"in", b""]
    await stream.write(b"out")
    await stream.end()
    assert peer.wire.said == [SynReply(1, {}), Data(1, b"out"), Data(1, b"", fin=True)]
    with pytest.raises(ConnectionResetError):
        await stream.write(b"more")
    assert not peer.session._streams


async def test_a_reset_breaks_its_stream_and_no_other(peer: Peer) -> None:
    peer.wire.open(1)
    peer.wire.open(3)
    peer.wire.send(data_frame(1, b"lost"), reset_frame(1, 5), data_frame(3, b"kept"))
    await peer.until(lambda: len(peer.streams) == 2)
    first, second = peer.streams
    assert await second.read() == b"kept"
    with pytest.raises(ConnectionResetError):
        await first.read()


async def test_ids_must_rise_and_be_the_clients(peer: Peer) -> None:
    for stream_id in (3, 1, 3, 4):
        peer.wire.open(stream_id)
    await peer.until(lambda: len(peer.wire.said) == 4)
    assert peer.wire.said == [SynReply(3, {}), Reset(1, 1), Reset(3, 1), Reset(4, 1)]


async def test_what_its_owner_refuses_is_reset(peer: Peer) -> None:
    peer.wire.open(1, refuse="yes")
    await peer.until(lambda: peer.wire.said)
    assert peer.wire.said == [Reset(1, 3)]


async def test_pings_come_back_but_not_our_own(peer: Peer) -> None:
    peer.wire.send(ping_frame(2), ping_frame(7))
    await peer.until(lambda: peer.wire.said)
    assert peer.wire.said == [Ping(7)]


async def test_nothing_more_is_taken_while_too_much_is_unread(peer: Peer) -> None:
    peer.wire.open(1)
    pieces = MAX_UNREAD // 65536 + 20
    peer.wire.send(*(data_frame(1, b"x" * 65536) for _ in range(pieces)))
    await peer.until(lambda: peer.session._unread > MAX_UNREAD)
    for _ in range(50):
        await asyncio.sleep(0)
    assert peer.wire.arriving.qsize() > 10
    read = 0
    async with asyncio.timeout(5):
        while read < pieces * 65536:
            read += len(await peer.streams[0].read())
    assert peer.session._unread == 0


async def test_a_stream_given_up_leaves_room_for_others(peer: Peer) -> None:
    peer.wire.open(1)
    peer.wire.send(*(data_frame(1, b"x" * 65536) for _ in range(MAX_UNREAD // 65536 + 5)))
    await peer.until(lambda: peer.session._unread > MAX_UNREAD)
    await peer.streams[0].reset()
    peer.wire.open(3)
    await peer.until(lambda: len(peer.streams) == 2)
    assert peer.session._unread == 0


async def test_streams_are_bounded(peer: Peer) -> None:
    for number in range(MAX_STREAMS + 1):
        peer.wire.open(2 * number + 1)
    await peer.until(lambda: any(isinstance(f, Reset) for f in peer.wire.said))
    assert len(peer.streams) == MAX_STREAMS


@pytest.mark.parametrize("last", [b"", b"\x80\x02\x00\x06\x00\x00\x00\x04"])
async def test_the_end_of_the_connection_or_of_its_sense_breaks_all_streams(
    peer: Peer, last: bytes
) -> None:
    peer.wire.open(1)
    peer.wire.send(last)
    async with asyncio.timeout(5):
        await peer.running
    with pytest.raises(ConnectionResetError):
        await peer.streams[0].read()


async def test_closing_says_so_and_waits_for_the_client(peer: Peer) -> None:
    peer.wire.open(1)
    await peer.until(lambda: peer.streams)
    closing = asyncio.create_task(peer.session.close())
    await peer.until(lambda: GoAway(1) in peer.wire.said)
    assert not peer.wire.closed
    peer.wire.send(data_frame(1, b"late"), b"")
    await closing
    assert peer.wire.closed
