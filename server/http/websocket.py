"""Connections that become WebSockets, served by aiohttp from the request to upgrade on.

aiohttp is imported when the first of them comes: a server that nobody dials needs none of it.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson

from edgek.api import errors
from server.filters.errors import error_response
from server.http.answer import request_of
from server.http.connection import close_stream
from server.http.parser import Message, joined
from server.http.watch_socket import watch_upgrade
from server.request.messages import NORMAL, Messages
from server.request.model import Handler, Response, Upgrade

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger(__name__)

MAX_MESSAGE = 4 * 1024 * 1024
_NO_WEBSOCKET = "this is no WebSocket; ask without Upgrade"


class Upgrader:
    """``ended`` is told each transport that was taken over, when it is of no use any more."""

    def __init__(
        self, handle: Handler, *,
        ended: Callable[[asyncio.Transport | None], None] = lambda transport: None,
    ) -> None:  # fmt: skip
        self._handle, self._ended = handle, ended
        self._server: web.Server | None = None  # type: ignore[type-arg, unused-ignore]

    def take_over(self, transport: asyncio.Transport, message: Message, rest: bytes) -> None:
        """From here on the transport is aiohttp's, which reads the same request again."""
        from aiohttp import web

        if self._server is None:
            self._server = web.Server(self._serve, access_log=None, handler_cancellation=True)
        protocol = self._server()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(_head_of(message) + rest)

    async def close(self, seconds: float) -> None:
        if self._server is not None:
            await self._server.shutdown(seconds)

    async def _serve(self, incoming: "web.BaseRequest") -> "web.StreamResponse":
        transport = incoming.transport
        try:
            response = await self._response(incoming)
            if response.upgrade is not None:
                return await _upgrade(incoming, response.upgrade)
            return _refuse(response)
        finally:
            self._ended(transport)

    async def _response(self, incoming: "web.BaseRequest") -> Response:
        transport = incoming.transport
        tls = transport.get_extra_info("ssl_object") if transport is not None else None
        headers = _headers_of(incoming)
        message = Message(method=incoming.method, target=incoming.raw_path, headers=headers)
        try:
            request = request_of(
                message,
                peer_certificate=tls.getpeercert(binary_form=True) if tls is not None else None,
                remote=incoming.remote or "",
            )
        except errors.ApiError as err:
            return error_response(err)
        response = await self._handle(request)
        if response.watch is not None:
            protocols = request.header("sec-websocket-protocol")
            return Response(upgrade=watch_upgrade(response.watch, protocols))
        if response.stream is not None:
            await close_stream(response.stream)
            return error_response(errors.BadRequest(_NO_WEBSOCKET))
        if response.raw_upgrade is not None:  # a proxied path, written as Parser does not know it
            await response.raw_upgrade.abandon()
            return error_response(errors.BadRequest(_NO_WEBSOCKET))
        return response


def _headers_of(incoming: "web.BaseRequest") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in incoming.headers.items():
        key = name.lower()
        found[key] = joined(key, found[key], value) if key in found else value
    return found


def _head_of(message: Message) -> bytes:
    lines = [f"{message.method} {message.target} HTTP/{message.version}"]
    lines += [f"{name}: {v}" for name, value in message.headers.items() for v in value.split("\n")]
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def _refuse(response: Response) -> "web.Response":
    from aiohttp import web

    body = response.body if response.body is not None else orjson.dumps(response.obj)
    headers = {**response.headers, "Content-Type": response.content_type}
    out = web.Response(status=response.status, headers=headers, body=body)
    out.force_close()
    return out


class _Socket(Messages):
    """The server's side of a WebSocket."""

    async def close(self, code: int = NORMAL) -> None:
        await self._socket.close(code=code)


async def _upgrade(incoming: "web.BaseRequest", upgrade: Upgrade) -> "web.StreamResponse":
    from aiohttp import web

    protocols = (upgrade.protocol,) if upgrade.protocol else ()
    socket = web.WebSocketResponse(
        protocols=protocols, max_msg_size=MAX_MESSAGE, autoping=True, compress=False
    )
    try:
        await socket.prepare(incoming)
    except web.HTTPException as err:
        await upgrade.abandon()
        return _refuse(error_response(errors.BadRequest(f"no WebSocket handshake: {err.text}")))
    except BaseException:
        await upgrade.abandon()
        raise
    try:
        await upgrade.serve(_Socket(socket))
    except ConnectionResetError:
        log.debug("websocket peer went away path=%s", incoming.path)
    finally:
        await socket.close()
    return socket
