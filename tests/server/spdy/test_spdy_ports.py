"""Port-forward over SPDY, with a client made of frames and a node where nothing listens."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from edgek.aio.tasks import cancel_and_wait
from edgek.api.errors import InternalError
from server.endpoints.subresources.port_forward import Target
from server.endpoints.subresources.spdy_ports import MAX_PAIRS, forward_session
from server.spdy.frames import Data, Decoder, Encoder, Frame, Reset, SynReply, data_frame
from server.spdy.session import MAX_UNREAD

WORDS = "connection refused"


class Refusing:
    """A backend whose nodes say no, once they may."""

    def __init__(self) -> None:
        self.may = asyncio.Event()

    async def open(self, node: str, kind: str, params: dict[str, Any]) -> Any:
        await self.may.wait()
        raise InternalError(WORDS)


@dataclass
class Client:
    """kubectl's end: ``said`` is what came from the server."""

    encoder: Encoder = field(default_factory=Encoder)
    arriving: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    said: list[Frame] = field(default_factory=list)
    next_id: int = 1
    _decoder: Decoder = field(default_factory=Decoder)

    async def read(self) -> bytes:
        return await self.arriving.get()

    async def write(self, data: bytes) -> None:
        self.said += self._decoder.feed(data)

    async def close(self) -> None: ...

    def open(self, kind: str, request: int) -> int:
        stream_id, self.next_id = self.next_id, self.next_id + 2
        headers = {"streamtype": kind, "port": "1", "requestid": str(request)}
        self.arriving.put_nowait(self.encoder.syn_stream(stream_id, headers))
        return stream_id

    def ended(self, stream_id: int) -> bool:
        return any(isinstance(f, Data) and f.stream_id == stream_id and f.fin for f in self.said)

    def answered(self, kind: type[SynReply] | type[Reset]) -> list[int]:
        return [frame.stream_id for frame in self.said if isinstance(frame, kind)]


@dataclass
class Bench:
    client: Client
    backend: Refusing

    async def until(self, test: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not test():  # noqa: ASYNC110
                await asyncio.sleep(0)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    client, backend = Client(), Refusing()
    target = Target(backend=backend, node="n", pod_name="web", pod_uid="u")  # type: ignore[arg-type]
    running = asyncio.create_task(forward_session(client, target))
    try:
        yield Bench(client, backend)
    finally:
        client.arriving.put_nowait(b"")
        await asyncio.wait({running}, timeout=1)
        await cancel_and_wait(running)


async def test_connections_that_fail_leave_room_for_the_next(bench: Bench) -> None:
    """What they sent is read by nobody, and was more than is held for one client."""
    client = bench.client
    for request in range(3):
        client.open("error", request)
        client.arriving.put_nowait(
            data_frame(client.open("data", request), b"x" * (MAX_UNREAD // 2))
        )
    await bench.until(lambda: len(client.answered(SynReply)) == 6)
    client.open("error", 3)
    last = client.open("data", 3)
    bench.backend.may.set()
    await bench.until(lambda: client.ended(last))
    words = [f.data for f in client.said if isinstance(f, Data) and f.data]
    assert len(words) == 4
    assert all(WORDS.encode() in said for said in words)


async def test_one_connection_too_many_is_refused_by_its_first_stream(bench: Bench) -> None:
    client = bench.client
    for request in range(MAX_PAIRS + 1):
        client.open("error", request)
        refused = client.next_id - 2
    await bench.until(lambda: client.answered(Reset))
    assert client.answered(Reset) == [refused]
    assert refused not in client.answered(SynReply)
    bench.backend.may.set()
    first = client.open("data", 0)
    await bench.until(lambda: client.ended(first))
