"""Watches of one client over one WebSocket: the other end of edgek/client/shared_watches.py.

Each is a request of its own to the whole chain of filters, with the credentials that the WebSocket
was asked for with: authenticated, authorized, counted and audited as if it had come by itself. A
client that does not read holds up all of its watches, which then fall behind and are cut off.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import orjson

from edgek.aio.tasks import Tasks
from edgek.api.errors import ApiError, BadRequest, InternalError, from_status
from edgek.client.shared_watches import PATH
from server.request.model import Handler, Request, Response, Upgrade, Watch, WebSocket

__all__ = ["PATH", "SharedWatches"]

log = logging.getLogger(__name__)

MAX_WATCHES = 2048
MESSAGE = 256 * 1024
_OF_THE_UPGRADE = ("connection", "upgrade", "accept")


class SharedWatches:
    """``handle`` is the API that the watches are asked of; set before the first comes."""

    def __init__(self) -> None:
        self.handle_watch: Handler | None = None

    async def handle(self, request: Request) -> Response:
        async def serve(socket: WebSocket) -> None:
            assert self.handle_watch is not None
            async with Tasks("watches", on_error=lambda name, err: None) as tasks:
                await _Session(self.handle_watch, request, socket, tasks).run()

        return Response(upgrade=Upgrade(protocol="", serve=serve))


class _Session:
    def __init__(self, handle: Handler, origin: Request, socket: WebSocket, tasks: Tasks) -> None:
        self._handle, self._origin, self._socket, self._tasks = handle, origin, socket, tasks
        self._running: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until the client goes, or says what nobody understands."""
        while (message := await self._socket.receive()) is not None:
            try:
                order = orjson.loads(message)
                self._follow(int(order["id"]), order)
            except (ValueError, KeyError, TypeError):
                await self._socket.close(1002)
                return

    def _follow(self, number: int, order: dict[str, Any]) -> None:
        if "path" not in order:
            if (task := self._running.pop(number, None)) is not None:
                task.cancel()
            return
        if number in self._running or len(self._running) >= MAX_WATCHES:
            raise ValueError("a number twice, or too many")
        request = self._request(str(order["path"]), order.get("query") or {})
        run = self._watch(number, request)
        self._running[number] = self._tasks.spawn(run, name=f"watch-{number}")

    def _request(self, path: str, query: dict[str, Any]) -> Request:
        query = {str(k): str(v) for k, v in query.items()} | {"watch": "true"}
        headers = self._origin.headers.items()
        return Request(
            method="GET",
            path=path,
            query=query,
            raw_query=urlencode(query),
            headers={
                k: v for k, v in headers
                if k not in _OF_THE_UPGRADE and not k.startswith("sec-websocket-")
            },
            peer_certificate=self._origin.peer_certificate,
            remote=self._origin.remote,
        )  # fmt: skip

    async def _watch(self, number: int, request: Request) -> None:
        mark = b"%d " % number
        with contextlib.suppress(OSError, RuntimeError):  # the client has gone
            try:
                watch = _watch_of(await self._answer(request))
                try:
                    async for batch in watch:
                        for lines in _in_pieces(line for _, line in batch):
                            await self._socket.send(mark + lines)
                finally:
                    if (close := getattr(watch, "aclose", None)) is not None:
                        await close()
            except Exception as err:
                if not isinstance(err, ApiError):
                    log.exception("watch failed path=%s", request.path)
                    err = InternalError("the watch failed; see the server's log")
                event = {"type": "ERROR", "object": err.to_status()}
                await self._socket.send(mark + orjson.dumps(event) + b"\n")
            self._running.pop(number, None)
            await self._socket.send(mark)

    async def _answer(self, request: Request) -> Response:
        if not request.path.startswith(("/api/", "/apis/")):
            raise BadRequest("only resources can be watched here")
        return await self._handle(request)


def _watch_of(response: Response) -> Watch:
    """Raises the ApiError that the answer is otherwise."""
    if response.watch is not None:
        return response.watch
    if response.status >= 400:
        said = response.obj if response.obj is not None else orjson.loads(response.body or b"{}")
        raise from_status(said, code=response.status)
    raise InternalError("the answer is no watch")


def _in_pieces(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Joined, but not to messages that the other side would have to refuse."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        piece.append(line)
        size += len(line)
        if size >= MESSAGE:
            yield b"".join(piece)
            piece, size = [], 0
    if piece:
        yield b"".join(piece)
