"""Port-forward over SPDY: two streams a connection, one for its data and one for errors.

As k8s.io/kubelet portforward/httpstream.go. The two are known to belong together by the header
``requestid``; clients before 1.3 sent none, and open the data stream right behind the other.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field

from edgek.aio.tasks import cancel_and_wait
from server.endpoints.subresources.port_forward import Target, forward, read_port
from server.request.model import ByteStream
from server.spdy.session import MAX_STREAMS, Session, SpdyStream

PAIR_SECONDS = 30.0
MAX_PAIRS = MAX_STREAMS // 2 - 16
"""A pair too many is refused with its first stream, which kubectl tells at once. Were it the second
one, kubectl would leave the first open, and not end with others before we give that up
(client-go portforward handleConnection; moby/spdystream shutdown waits for all streams)."""


@dataclass(kw_only=True)
class _Pair:
    """A connection, as ``forward`` knows a client."""

    request_id: str
    port: int
    data: SpdyStream | None = None
    error: SpdyStream | None = None
    complete: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, kind: str, stream: SpdyStream) -> None:
        if getattr(self, kind) is not None:
            raise ValueError(f"two {kind} streams of one request")
        setattr(self, kind, stream)
        if kind == "error":
            stream.drop()  # clients have nothing to say there
        if self.data is not None and self.error is not None:
            self.complete.set()

    async def read(self) -> bytes:
        assert self.data is not None
        return await self.data.read()

    async def write(self, data: bytes) -> None:
        assert self.data is not None
        await self.data.write(data)

    async def end(self) -> None:
        assert self.data is not None
        await self.data.end()

    async def fail(self, words: str) -> None:
        assert self.error is not None
        await self.error.write(words.encode())

    async def finish(self, *, broken: bool) -> None:
        """The client learns of the end by both."""
        for stream in (self.data, self.error):
            if stream is None or stream.broken:
                continue
            stream.drop()
            if broken and stream is self.data:
                await stream.reset()
            elif not stream.ended:
                await stream.end()


class _Forwarder:
    def __init__(self, target: Target) -> None:
        self._target = target
        self._pairs: dict[str, _Pair] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def opened(self, stream: SpdyStream) -> None:
        """Raises ValueError to refuse the stream."""
        headers = stream.headers
        kind, port = headers.get("streamtype", ""), read_port(headers.get("port", ""))
        if port is None:
            raise ValueError("no port")
        if kind not in ("data", "error"):
            raise ValueError(f"a stream of type {kind[:20]!r}")
        first = stream.id if kind == "error" else stream.id - 2
        request_id = headers.get("requestid") or str(first)
        pair = self._pairs.get(request_id)
        if pair is None:
            if len(self._pairs) >= MAX_PAIRS:
                raise ValueError("too many connections")
            pair = self._pairs[request_id] = _Pair(request_id=request_id, port=port)
            task = asyncio.create_task(self._serve(pair), name=f"portforward-{port}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        pair.add(kind, stream)

    async def close(self) -> None:
        await cancel_and_wait(*self._tasks)

    async def _serve(self, pair: _Pair) -> None:
        broken = False
        try:
            async with asyncio.timeout(PAIR_SECONDS):
                await pair.complete.wait()
            await forward(pair, self._target, pair.port)
        except* (OSError, TimeoutError):
            broken = True
        finally:
            del self._pairs[pair.request_id]
        with contextlib.suppress(OSError):  # the client may have gone
            await pair.finish(broken=broken)


async def forward_session(connection: ByteStream, target: Target) -> None:
    """Until the client goes."""
    forwarder = _Forwarder(target)
    session = Session(connection, forwarder.opened)
    running = asyncio.create_task(session.run())
    try:
        await asyncio.wait({running})
    finally:
        await forwarder.close()
        await session.close()
        await cancel_and_wait(running)
