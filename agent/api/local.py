"""The local socket: what ``edgek node`` asks the agent on the device, with no server in reach.

A Unix socket that only root may open. Each connection is one stream: a question (its kind and
parameters), then what the handler of that kind says. Frames are a byte for their sort, four for
their length, and data; the command line's end is edgek/cli/node_socket.py. Idle it costs nothing.
"""

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.api.stream import Handler
from edgek.aio.tasks import Tasks
from edgek.api.errors import ApiError, BadRequest, InternalError

log = logging.getLogger(__name__)

HEAD = struct.Struct("!cI")
TEXT, BINARY = b"t", b"b"
MAX_FRAME = 1024 * 1024
"""Of what we are sent."""
MAX_STREAMS = 64
ASK_SECONDS = 10.0
PAUSE_SECONDS = 3600.0
"""How long a reader may take nothing, as a pager left open does."""


class LocalSocket:
    """One connection's stream, agent's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.accepted = False

    async def question(self) -> tuple[str, Mapping[str, Any]]:
        """What is asked. Raises BadRequest where it is none."""
        _, text = await self._frame() or (TEXT, b"")
        try:
            asked = json.loads(text)
            return str(asked["kind"]), dict(asked["params"])
        except (ValueError, KeyError, TypeError) as err:
            raise BadRequest("this is no question to an agent") from err

    async def accept(self) -> None:
        self.accepted = True
        await self._write(TEXT, json.dumps({"status": 200}).encode())

    async def refuse(self, error: ApiError) -> None:
        await self._write(TEXT, json.dumps(error.to_status()).encode())

    async def receive(self) -> bytes | None:
        while (frame := await self._frame()) is not None:
            if frame[0] == BINARY:
                return frame[1]
        return None

    async def send(self, data: bytes) -> None:
        await self._write(BINARY, data)

    async def _frame(self) -> tuple[bytes, bytes] | None:
        try:
            sort, length = HEAD.unpack(await self._reader.readexactly(HEAD.size))
            if length > MAX_FRAME:
                raise BadRequest(f"a frame of {length} bytes is too long")
            return sort, await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError):
            return None

    async def _write(self, sort: bytes, data: bytes) -> None:
        self._writer.write(HEAD.pack(sort, len(data)) + data)
        async with asyncio.timeout(PAUSE_SECONDS):
            await self._writer.drain()


class LocalServer:
    """``handlers`` by kind of stream."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._path, self._handlers = path, handlers
        self._streams = 0

    async def run(self) -> None:
        """Serves until cancelled, which ends all streams. That it cannot be had is no reason for
        the pods not to run."""
        try:
            listening = _listen(self._path)
        except OSError as err:
            log.warning("no local socket, edgek node will not work path=%s err=%s", self._path, err)
            return
        async with Tasks("local", on_error=lambda name, err: None) as tasks:

            def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                tasks.spawn(self._stream(reader, writer), name="stream")

            server = await asyncio.start_unix_server(connected, sock=listening)
            try:
                # Not serve_forever, which when cancelled waits for the clients: we end them.
                await asyncio.get_running_loop().create_future()
            finally:
                server.close()
                self._path.unlink(missing_ok=True)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = LocalSocket(reader, writer)
        self._streams += 1
        try:
            await self._serve(stream)
        except (ApiError, OSError, TimeoutError) as err:
            log.debug("local stream ended error=%s", err)
        finally:
            self._streams -= 1
            writer.close()

    async def _serve(self, stream: LocalSocket) -> None:
        try:
            if self._streams > MAX_STREAMS:
                raise InternalError(f"this agent has {MAX_STREAMS} local streams open already")
            async with asyncio.timeout(ASK_SECONDS):
                kind, params = await stream.question()
            handler = self._handlers.get(kind)
            if handler is None:
                raise BadRequest(f"this agent does not know {kind!r}; it may be of another version")
            await handler(params, stream)
        except ApiError as err:
            if stream.accepted:
                raise
            await stream.refuse(err)


def _listen(path: Path) -> socket.socket:
    """The mode is there before the name is, so nobody can slip in between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # what a killed agent left
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(made.fileno(), 0o600)
        made.bind(str(path))
        made.listen(16)
    except BaseException:
        made.close()
        raise
    return made
