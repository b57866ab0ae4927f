"""exec and attach over SPDY: the client's five streams <-> an agent's v5.channel.k8s.io messages.

As k8s.io/kubelet remotecommand/httpstream.go. The client opens a stream for each of stdin, stdout,
stderr, error and resize that it asked for, and half-closes stdin by ending its stream. When the
command has ended all streams end too, with a Status (v4) or words on the error stream.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping

from edgek.aio.tasks import cancel_and_wait, until_one_ends
from server.endpoints.subresources.backend import Stream
from server.endpoints.subresources.session_messages import session_messages
from server.endpoints.subresources.subprotocol import (
    CLOSE,
    ERROR,
    RESIZE,
    STDERR,
    STDIN,
    STDOUT,
    Dialect,
)
from server.request.model import ByteStream
from server.spdy.session import Session, SpdyStream

OPEN_SECONDS = 30.0
_OUTPUTS = {STDOUT: "stdout", STDERR: "stderr", ERROR: "error"}
_TYPES = frozenset(("stdin", "stdout", "stderr", "error", "resize"))
_MAX_SIZE = 4096
"""Of a terminal's size that has not come whole."""


class _Streams:
    """Those that the client has opened, by type."""

    def __init__(self, expected: frozenset[str]) -> None:
        self.expected = expected
        self.found: dict[str, SpdyStream] = {}
        self.complete = asyncio.Event()

    def opened(self, stream: SpdyStream) -> None:
        kind = stream.headers.get("streamtype", "")
        if kind not in _TYPES or kind in self.found:
            raise ValueError(f"a stream of type {kind[:20]!r}")
        self.found[kind] = stream
        if self.expected <= self.found.keys():
            self.complete.set()


async def relay_session(
    connection: ByteStream, stream: Stream, dialect: Dialect, expected: frozenset[str]
) -> None:
    """Until the command ends, or the client goes."""
    streams = _Streams(expected)
    session = Session(connection, streams.opened)
    running = asyncio.create_task(session.run())
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            await until_one_ends(streams.complete.wait(), asyncio.wait({running}))
        if streams.complete.is_set():
            found = streams.found
            await until_one_ends(
                _outputs(stream, found, dialect),
                _stdin(found.get("stdin"), stream),
                _sizes(found.get("resize"), stream),
                asyncio.wait({running}),
            )
    except TimeoutError:
        pass  # it did not open its streams: nobody to tell
    finally:
        await stream.close()
        await session.close()
        await cancel_and_wait(running)


async def _outputs(stream: Stream, found: Mapping[str, SpdyStream], dialect: Dialect) -> None:
    async for data in session_messages(stream):
        message = dialect.to_client(data)
        target = found.get(_OUTPUTS.get(data[0], ""))
        if target is not None and isinstance(message, bytes) and len(message) > 1:
            await target.write(message[1:])
    for name in _OUTPUTS.values():
        if name in found:
            await found[name].end()


async def _stdin(source: SpdyStream | None, stream: Stream) -> None:
    if source is not None:
        try:
            while data := await source.read():
                await stream.send(bytes([STDIN]) + data)
        except ConnectionResetError:
            pass  # an end as well
        await stream.send(bytes([CLOSE, STDIN]))
    await asyncio.Event().wait()  # the end of this is not the end of the command


async def _sizes(source: SpdyStream | None, stream: Stream) -> None:
    text = ""
    try:
        while source is not None and (data := await source.read()):
            text = (text + data.decode("latin-1"))[-_MAX_SIZE:]
            sizes = list(_parsed(text))
            if sizes:
                text = text[sizes[-1][1] :]
                # Of several at once only the last counts.
                await stream.send(bytes([RESIZE]) + json.dumps(sizes[-1][0]).encode())
    except ConnectionResetError:
        pass
    await asyncio.Event().wait()


def _parsed(text: str) -> Iterator[tuple[object, int]]:
    """JSON values one after the other, each with where it ends."""
    decoder, at = json.JSONDecoder(), 0
    while True:
        begin = len(text) - len(text[at:].lstrip())
        try:
            value, at = decoder.raw_decode(text, begin)
        except ValueError:
            return
        yield value, at
