"""Answers of Podman's service that do not come to their end."""

import asyncio
from pathlib import Path

import pytest

from agent.runtime.failure import translated
from agent.runtime.libpod import Libpod
from agent.runtime.runtime import RuntimeUnavailable

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200", HEAD, HEAD + b"4\r\nab", HEAD + b"4\r\nabcd\r\n"]
)
async def test_a_service_that_dies_has_not_said_all(tmp_path: Path, answer: bytes) -> None:
    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    raw = Libpod(str(tmp_path / "socket"))

    async def follow() -> None:
        async with raw.stream("POST", "/images/pull", timeout=5) as pieces:
            async for _ in pieces:
                pass

    broke = pytest.raises(RuntimeUnavailable, match="cannot reach podman: it: its answer broke off")
    async with await asyncio.start_unix_server(die, raw.socket):
        with broke, translated("it"):
            await raw.call("GET", "/x", timeout=5)
        with broke, translated("it"):
            await follow()
