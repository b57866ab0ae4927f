"""Messages of aiohttp's WebSockets, the server's and the client's side alike.

They are known by their shape here: aiohttp is imported by server/http/websocket.py and
server/webhooks/door.py only, and late.
"""

from typing import Any

NORMAL = 1000


class Messages:
    """``receive`` and ``send`` of the WebSocket protocol in server/request/model.py."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self.broke = False

    async def receive(self) -> bytes | str | None:
        message = await self._socket.receive()
        if message.type.name in ("BINARY", "TEXT"):
            data: bytes | str = message.data
            return data
        self.broke = message.type.name != "CLOSE" or message.data != NORMAL
        return None

    async def send(self, message: bytes | str) -> None:
        if isinstance(message, str):
            await self._socket.send_str(message)
        else:
            await self._socket.send_bytes(message)
