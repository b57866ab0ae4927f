"""Streams over one SPDY connection, the server's side; clients open all of them.

What has come for streams and is not read yet is bounded for the whole connection: beyond it
nothing more is taken from the client, whichever stream it is for, as SPDY without windows has no
other way. Kubernetes' clients and servers neither send nor obey WINDOW_UPDATE, and block likewise
(github.com/moby/spdystream, issue 2 and Connection.Serve).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping

from server.request.model import ByteStream
from server.spdy.frames import (
    CANCEL,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    Data,
    Decoder,
    Encoder,
    Frame,
    GoAway,
    Headers,
    Ping,
    Reset,
    SpdyError,
    SynStream,
    data_frame,
    go_away_frame,
    ping_frame,
    reset_frame,
)

log = logging.getLogger(__name__)

MAX_UNREAD = 1024 * 1024
MAX_STREAMS = 1024
PIECE = 32 * 1024
LINGER_SECONDS = 2.0
"""How long a client may take to hang up when all is said; TCP would drop what it has not read."""


class SpdyStream:
    """One stream. Reading and writing are the session's to serve."""

    def __init__(self, session: "Session", frame: SynStream) -> None:
        self._session = session
        self.id = frame.stream_id
        self.headers: Mapping[str, str] = frame.headers
        self._unread: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self.remote_ended = frame.fin
        self.ended = False
        self.broken = False
        self._dropping = False

    async def read(self) -> bytes:
        """``b""`` once the client has ended it. Raises ConnectionResetError where it broke."""
        while not self._unread:
            if self.remote_ended:
                return b""
            if self.broken:
                raise ConnectionResetError("the stream was reset")
            self._arrived.clear()
            await self._arrived.wait()
        data = self._unread.popleft()
        self._session.took(len(data))
        return data

    async def write(self, data: bytes) -> None:
        for at in range(0, len(data), PIECE):
            self._check()
            await self._session.send(data_frame(self.id, data[at : at + PIECE]))

    async def end(self) -> None:
        """Nothing more comes from us."""
        self._check()
        self.ended = True
        await self._session.send(data_frame(self.id, b"", fin=True))
        self._session.settle(self)

    async def reset(self, status: int = CANCEL) -> None:
        if not self.broken:
            self.break_off()
            await self._session.send(reset_frame(self.id, status))

    def drop(self) -> None:
        """Nobody reads this any more: what has come and what still comes takes no room. Without it
        the data of streams that failed would hold up the frames that end them."""
        self._dropping = True
        self._forget_unread()

    def _check(self) -> None:
        if self.broken or self.ended:
            raise ConnectionResetError("the stream is over")

    # --- the session calls -----------------------------------------------------------------

    def arrived(self, data: bytes, *, fin: bool) -> int:
        """How much of it is held."""
        if self.remote_ended or self.broken:
            return 0
        self.remote_ended = fin
        self._arrived.set()
        if self._dropping or not data:
            return 0
        self._unread.append(data)
        return len(data)

    def break_off(self) -> None:
        self.broken = True
        self._forget_unread()
        self._arrived.set()
        self._session.settle(self)

    def _forget_unread(self) -> None:
        self._session.took(sum(map(len, self._unread)))
        self._unread.clear()


class Session:
    """``opened`` is told of each new stream, and raises ValueError to refuse it. It may start a
    task that writes to the stream, but not write itself."""

    def __init__(self, connection: ByteStream, opened: Callable[[SpdyStream], None]) -> None:
        self._connection, self._opened = connection, opened
        self._decoder, self._encoder = Decoder(), Encoder()
        self._streams: dict[int, SpdyStream] = {}
        self._last_id = 0
        self._unread = 0
        self._room = asyncio.Event()
        self._room.set()
        self._turn = asyncio.Lock()
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Reads until the client hangs up, or sends what is no SPDY."""
        try:
            while data := await self._connection.read():
                for frame in self._decoder.feed(data):
                    await self._handle(frame)
                await self._room.wait()
        except SpdyError as err:
            log.info("a SPDY connection is given up error=%s", err)
        except OSError:
            pass  # hung up, in no good order
        finally:
            self._over.set()
            for stream in list(self._streams.values()):
                stream.break_off()

    async def close(self) -> None:
        """Says that this is the end, and waits a moment for the client to hang up. ``run`` must
        be going on."""
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                await self.send(go_away_frame(self._last_id))
                for stream in list(self._streams.values()):
                    stream.break_off()  # what still comes for it is dropped
                await self._over.wait()
        except (OSError, TimeoutError):
            pass
        finally:
            await self._connection.close()

    async def send(self, frame: bytes) -> None:
        async with self._turn:
            await self._connection.write(frame)

    def took(self, size: int) -> None:
        self._unread -= size
        if self._unread <= MAX_UNREAD:
            self._room.set()

    def settle(self, stream: SpdyStream) -> None:
        """Forgets a stream that neither side uses any more."""
        if stream.broken or (stream.ended and stream.remote_ended):
            self._streams.pop(stream.id, None)

    async def _handle(self, frame: Frame) -> None:
        if isinstance(frame, Data):
            self._arrived(frame.stream_id, frame.data, fin=frame.fin)
        elif isinstance(frame, SynStream):
            await self._open(frame)
        elif isinstance(frame, Ping):
            if frame.number % 2:  # theirs; an even one would be ours come back
                await self.send(ping_frame(frame.number))
        elif isinstance(frame, Reset):
            if (stream := self._streams.get(frame.stream_id)) is not None:
                stream.break_off()
        elif isinstance(frame, Headers):
            self._arrived(frame.stream_id, b"", fin=frame.fin)
        elif isinstance(frame, GoAway):
            pass  # it hangs up when its streams have ended

    def _arrived(self, stream_id: int, data: bytes, *, fin: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return  # was reset, and the client did not know yet
        self._unread += stream.arrived(data, fin=fin)
        if self._unread > MAX_UNREAD:
            self._room.clear()
        self.settle(stream)

    async def _open(self, frame: SynStream) -> None:
        if frame.stream_id % 2 == 0 or frame.stream_id <= self._last_id:
            await self.send(reset_frame(frame.stream_id, PROTOCOL_ERROR))
            return
        self._last_id = frame.stream_id
        stream = SpdyStream(self, frame)
        try:
            if len(self._streams) >= MAX_STREAMS:
                raise ValueError("too many streams")
            self._streams[stream.id] = stream
            # Refused without a reply: a client who had one would go on and open its other streams.
            self._opened(stream)
            # Answered before anybody writes, since the lock is taken without a pause and in turn:
            # a client drops data of a stream without its reply.
            await self.send(self._encoder.syn_reply(stream.id))
        except ValueError as err:
            log.debug("a SPDY stream is refused error=%s", err)
            self._streams.pop(stream.id, None)
            await self.send(reset_frame(stream.id, REFUSED_STREAM))
