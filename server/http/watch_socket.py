"""A watch over a WebSocket: one text message an event. As apiserver handlers/watch.go HandleWS.

What the client says is not listened to, but its going ends the watch.
"""

import orjson

from edgek.aio.tasks import until_one_ends
from edgek.api import errors
from server.http.connection import close_stream
from server.request.model import Upgrade, Watch, WebSocket

_TOKEN = "base64url.bearer.authorization.k8s.io."


def watch_upgrade(watch: Watch, offered: str) -> Upgrade:
    """``offered`` are the client's subprotocols: a single one is agreed to, whatever it is."""
    names = [name.strip() for name in offered.split(",")]
    names = [name for name in names if name and not name.startswith(_TOKEN)]

    async def serve(socket: WebSocket) -> None:
        try:
            await until_one_ends(_send(watch, socket), _until_gone(socket))
        finally:
            await close_stream(watch)

    async def abandon() -> None:
        await close_stream(watch)

    return Upgrade(protocol=names[0] if len(names) == 1 else "", serve=serve, abandon=abandon)


async def _send(watch: Watch, socket: WebSocket) -> None:
    try:
        async for batch in watch:
            for _, line in batch:
                await socket.send(line.decode().rstrip("\n"))
    except errors.ApiError as err:
        await socket.send(orjson.dumps({"type": "ERROR", "object": err.to_status()}).decode())


async def _until_gone(socket: WebSocket) -> None:
    while await socket.receive() is not None:
        pass
