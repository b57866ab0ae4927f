"""Streams of kind http: what a kubelet answers at its port, asked for through the tunnel.

The first message back is the head as JSON, ``{"status", "contentType"}``; the body follows in
pieces. What there is to ask is a table of paths (kubelet.py). Only reading is offered: a GET or a
HEAD without a body.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from agent.api.stream import Handler, Socket
from edgek.api.errors import ApiError, BadRequest

PIECE = 64 * 1024
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class Ask:
    """``rest`` is the path below the endpoint's own, without a leading slash."""

    method: str
    path: str
    rest: str = ""
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """``stream`` in place of ``body``: another kind of stream whose bytes are the body, with its
    parameters."""

    status: int = 200
    content_type: str = TEXT
    body: bytes = b""
    stream: tuple[Handler, Mapping[str, Any]] | None = None


Endpoint = Callable[[Ask], Awaitable[Reply]]
"""May raise an ApiError: it becomes a plain text answer, as a kubelet gives it."""


def json_reply(value: Any) -> Reply:
    body = json.dumps(value, separators=(",", ":")).encode()
    return Reply(content_type="application/json", body=body)


def http_handler(endpoints: Sequence[tuple[str, Endpoint]]) -> Handler:
    """``endpoints``: (path, endpoint), the first that fits; a path that ends with a slash fits
    what is below it too."""

    async def handle(params: Mapping[str, Any], socket: Socket) -> None:
        reply = await answer(endpoints, params)
        headed = _Headed(socket, reply)
        if reply.stream is not None:
            handler, about = reply.stream
            await handler(about, headed)
            return
        await headed.accept()
        for at in range(0, len(reply.body) if params.get("method") != "HEAD" else 0, PIECE):
            await headed.send(reply.body[at : at + PIECE])

    return handle


class _Headed:
    """A stream that begins with the head of a reply."""

    def __init__(self, socket: Socket, reply: Reply) -> None:
        self._socket, self._reply = socket, reply
        self.receive, self.send, self.refuse = socket.receive, socket.send, socket.refuse
        self.accepted = False

    async def accept(self) -> None:
        self.accepted = True
        head = {"status": self._reply.status, "contentType": self._reply.content_type}
        await self._socket.accept()
        await self._socket.send(json.dumps(head).encode())


async def answer(endpoints: Sequence[tuple[str, Endpoint]], params: Mapping[str, Any]) -> Reply:
    method, path = str(params.get("method") or "GET"), str(params.get("path") or "/")
    query = dict(reversed(parse_qsl(str(params.get("query") or ""), keep_blank_values=True)))
    for own, endpoint in endpoints:
        if path.rstrip("/") == own.rstrip("/") or (own.endswith("/") and path.startswith(own)):
            if method not in ("GET", "HEAD"):
                return Reply(status=405, body=b"405: Method Not Allowed")
            ask = Ask(method=method, path=path, rest=path[len(own) :], query=query)
            try:
                return await endpoint(ask)
            except ApiError as err:
                return Reply(status=err.code, body=err.message.encode())
    return Reply(status=404, body=b"404 page not found\n")


def integer(query: Mapping[str, str], name: str) -> int | None:
    """Raises BadRequest."""
    text = query.get(name, "")
    if not text:
        return None
    if not text.isdecimal() or len(text) > 18:
        raise BadRequest(f'strconv.ParseInt: parsing "{text[:40]}": invalid syntax')
    return int(text)
