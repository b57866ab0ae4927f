"""What stream endpoints ask of the connection to a node; server/tunnel.py is it."""

from collections.abc import Mapping
from typing import Any, Protocol, Self


class Stream(Protocol):
    """One conversation with an agent, already agreed to by it. Reading and writing go at the
    pace of the slower side; nothing is heaped up in between."""

    async def receive(self) -> bytes | None:
        """None at the end, and when the connection broke."""

    @property
    def broke(self) -> bool:
        """Whether that end is none: the agent died, or could not go on."""

    async def send(self, data: bytes) -> None: ...

    async def close(self) -> None: ...


class Backend(Protocol):
    def check(self, node: str) -> None:
        """Raises InternalError where that node's agent is not connected."""

    async def open(self, node: str, kind: str, params: Mapping[str, Any]) -> Stream:
        """``kind`` is log, exec, attach, portforward... Raises the ApiError that the agent
        answers with, and InternalError ("error dialing backend") where no agent answers in time."""


class Chunks:
    """What an agent sends, as the body of an answer, with a close that ends the agent's side even
    where nothing was ever read (HEAD, a client that is gone): a generator that has not begun has
    no ``finally`` yet."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        data = await self._stream.receive()
        if data is None and self._stream.broke:
            # The client must not take half of it for all.
            raise ConnectionResetError("the connection to the node broke off")
        if data is None:
            raise StopAsyncIteration
        return data

    async def aclose(self) -> None:
        await self._stream.close()
