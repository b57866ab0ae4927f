"""The way to the agent of this machine: its local socket, with no server between.

The other end, and the frames, are in agent/api/local.py. Only root may open it.
"""

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from edgek.api.errors import from_status
from edgek.cli.cluster import Failure

SOCKET = "agent.sock"
ANSWER_SECONDS = 30.0
_HEAD = struct.Struct("!cI")
_TEXT, _BINARY = b"t", b"b"


class LocalStream:
    """One stream that the agent has accepted: messages in both directions."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        await self.frame(_BINARY, data)

    async def messages(self) -> AsyncIterator[bytes]:
        """Until the agent has said all."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                sort, data = await self.read()
                if sort == _BINARY:
                    yield data

    async def read(self) -> tuple[bytes, bytes]:
        sort, length = _HEAD.unpack(await self._reader.readexactly(_HEAD.size))
        return sort, await self._reader.readexactly(length)

    async def frame(self, sort: bytes, data: bytes) -> None:
        self._writer.write(_HEAD.pack(sort, len(data)) + data)
        await self._writer.drain()


@asynccontextmanager
async def stream(
    run_dir: str, kind: str, *, wait: float = ANSWER_SECONDS, **params: Any
) -> AsyncIterator[LocalStream]:
    """Raises Failure where no agent answers, and the agent's own errors."""
    reader, writer = await _connect(Path(run_dir) / SOCKET)
    try:
        opened = LocalStream(reader, writer)
        await _ask(opened, kind, params, wait)
        yield opened
    finally:
        writer.close()


async def ask(run_dir: str, kind: str, *, wait: float = ANSWER_SECONDS, **params: Any) -> Any:
    """The agent's answer, where that is one JSON value."""
    async with stream(run_dir, kind, wait=wait, **params) as opened:
        return json.loads(b"".join([data async for data in opened.messages()]))


async def _connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        return await asyncio.open_unix_connection(str(path))
    except PermissionError:
        raise Failure(f"cannot open {path}: run this as root") from None
    except OSError:
        raise Failure(
            f"no agent runs on this machine (nobody listens on {path}); "
            "see: systemctl status edgek-agent"
        ) from None


async def _ask(opened: LocalStream, kind: str, params: Mapping[str, Any], wait: float) -> None:
    try:
        await opened.frame(_TEXT, json.dumps({"kind": kind, "params": params}).encode())
        async with asyncio.timeout(wait):
            _, data = await opened.read()
    except TimeoutError:
        raise Failure(f"the agent did not answer within {wait:.0f}s") from None
    except (asyncio.IncompleteReadError, ConnectionError):
        raise Failure("the agent ended before it answered") from None
    status: dict[str, Any] = json.loads(data)
    if status.get("status") != 200:
        raise from_status(status)
