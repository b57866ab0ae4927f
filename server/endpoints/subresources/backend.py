"""What stream endpoints ask of the connection to a node; server/tunnel.py is it."""

from collections.abc import Mapping
from typing import Any, Protocol


class Stream(Protocol):
    """One conversation with an agent, already agreed to by it. Reading and writing go at the
    pace of the slower side; nothing is heaped up in between."""

    async def receive(self) -> bytes | None:
        """None at the end, and when the connection broke."""

    async def send(self, data: bytes) -> None: ...

    async def close(self) -> None: ...


class Backend(Protocol):
    def check(self, node: str) -> None:
        """Raises InternalError where that node's agent is not connected."""

    async def open(self, node: str, kind: str, params: Mapping[str, Any]) -> Stream:
        """``kind`` is log, exec, attach, portforward... Raises the ApiError that the agent
        answers with, and InternalError ("error dialing backend") where no agent answers in time."""
