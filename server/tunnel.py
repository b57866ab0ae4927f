"""Tunnels: how the server reaches agents that only dial out.

    agent ── GET /edgek/v1/tunnel/NODE (WebSocket, kept) ──> control: one per node
    server ── {"id", "kind", "params"} on it ─────────────> the agent
    agent ── GET /edgek/v1/tunnel/NODE/ID (WebSocket) ────> dial: one per stream
    agent ── {"status": 200} or a Status, first message ──> then the stream's own messages

One connection a stream, so nothing is multiplexed: a slow reader slows its own stream by TCP and
no other. Ids are unguessable, used once, and only their own node may take them up.
"""

import asyncio
import json
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgek.api.errors import BadRequest, Forbidden, InternalError, NotFound, from_status
from server.endpoints.subresources.backend import Stream
from server.request.model import Request, Response, Upgrade, WebSocket

log = logging.getLogger(__name__)

PREFIX = "/edgek/v1/tunnel/"
DIAL_SECONDS = 10.0
ANSWER_SECONDS = 60.0
"""For what the stream needs at its node before it can begin: a few hundred commands that are asked
for at once are started one after the other."""
SEND_SECONDS = 3600.0
"""How long a command may leave its input unread."""


@dataclass(frozen=True, kw_only=True)
class _Call:
    """A stream that was asked for and that the agent has not dialled yet."""

    node: str
    control: WebSocket
    dialled: "asyncio.Future[_Stream]"


class Tunnels:
    def __init__(self) -> None:
        self._controls: dict[str, WebSocket] = {}
        self._calls: dict[str, _Call] = {}

    def connected(self, node: str) -> bool:
        return node in self._controls

    def check(self, node: str) -> None:
        if node not in self._controls:
            raise InternalError(f'error dialing backend: node "{node}" is not connected')

    async def handle(self, request: Request) -> Response:
        """Both paths below PREFIX."""
        parts = request.path.removeprefix(PREFIX).split("/")
        if not request.path.startswith(PREFIX) or len(parts) > 2 or not all(parts):
            raise NotFound.path()
        return await (self.control(request) if len(parts) == 1 else self.dial(request))

    async def control(self, request: Request) -> Response:
        node = _own_node(request)

        async def serve(socket: WebSocket) -> None:
            old = self._controls.get(node)
            self._controls[node] = socket
            log.info("agent connected node=%s", node)
            if old is not None:  # the agent came back before its old connection was seen to break
                await old.close()
            try:
                while await socket.receive() is not None:
                    pass  # agents say nothing here
            finally:
                if self._controls.get(node) is socket:
                    del self._controls[node]
                    log.info("agent disconnected node=%s", node)
                self._give_up(node, socket)

        return Response(upgrade=Upgrade(protocol="", serve=serve))

    def _give_up(self, node: str, control: WebSocket) -> None:
        """Nobody will dial for what was asked over a connection that is gone."""
        error = InternalError(f'error dialing backend: node "{node}": the agent broke off')
        for call in self._calls.values():
            if call.control is control and not call.dialled.done():
                call.dialled.set_exception(error)

    async def dial(self, request: Request) -> Response:
        node = _own_node(request)
        call = self._calls.get(request.path.rpartition("/")[2])
        if call is None or call.node != node or call.dialled.done():
            raise NotFound("no such stream; it may have been given up")

        async def serve(socket: WebSocket) -> None:
            if call.dialled.done():
                return
            stream = _Stream(socket)
            call.dialled.set_result(stream)
            await stream.closed.wait()

        return Response(upgrade=Upgrade(protocol="", serve=serve))

    async def open(self, node: str, kind: str, params: Mapping[str, Any]) -> Stream:
        self.check(node)
        control = self._controls[node]
        stream: _Stream | None = None
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                stream = await self._dialled(control, node, kind, params)
            async with asyncio.timeout(ANSWER_SECONDS):
                header = await stream.header()
        except TimeoutError as err:
            seconds = DIAL_SECONDS
            if stream is not None:
                seconds = ANSWER_SECONDS
                await stream.close()
            raise InternalError(
                f'error dialing backend: node "{node}" did not answer within {seconds:.0f}s'
            ) from err
        except BaseException:
            if stream is not None:
                await stream.close()
            raise
        if header.get("status") == 200:
            return stream
        await stream.close()
        raise from_status(header)

    async def _dialled(
        self, control: WebSocket, node: str, kind: str, params: Mapping[str, Any]
    ) -> "_Stream":
        call_id = secrets.token_urlsafe(16)
        dialled: asyncio.Future[_Stream] = asyncio.get_running_loop().create_future()
        self._calls[call_id] = _Call(node=node, control=control, dialled=dialled)
        message = json.dumps({"id": call_id, "kind": kind, "params": dict(params)})
        try:
            await control.send(message)
            return await dialled
        except (OSError, RuntimeError) as err:
            raise InternalError(f'error dialing backend: node "{node}": {err}') from err
        except asyncio.CancelledError:
            # Too late for whoever asked: an agent that dialled in this very moment hangs up.
            if dialled.done() and not dialled.cancelled() and not dialled.exception():
                dialled.result().closed.set()
            raise
        finally:
            del self._calls[call_id]
            if not dialled.cancel() and not dialled.cancelled():
                dialled.exception()  # nobody else may look at it any more


class _Stream:
    """``closed`` is what the connection's handler waits for."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self.closed = asyncio.Event()

    async def header(self) -> dict[str, Any]:
        message = await self._socket.receive()
        try:
            header = json.loads(message or "")
        except ValueError:
            header = None
        if not isinstance(header, dict):
            raise InternalError("error dialing backend: the agent broke off")
        return header

    async def receive(self) -> bytes | None:
        message = await self._socket.receive()
        return message.encode() if isinstance(message, str) else message

    @property
    def broke(self) -> bool:
        return self._socket.broke

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(SEND_SECONDS):
            await self._socket.send(data)

    async def close(self) -> None:
        self.closed.set()
        await self._socket.close()


def _own_node(request: Request) -> str:
    """The node in the path, which must be the one that asks."""
    node = request.path.removeprefix(PREFIX).partition("/")[0]
    if request.user.name != f"system:node:{node}":
        raise Forbidden(f'user "{request.user.name}" cannot open the tunnel of node "{node}"')
    if request.header("upgrade").lower() != "websocket":
        raise BadRequest("this path is for WebSockets only")
    return node
