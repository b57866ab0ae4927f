"""Proxy: passes a request on to the server that its APIService names, and the answer back.

Everything streams: a watch's lines come as they are sent, and a slow client slows the sender.
WebSockets are passed message by message. As kube-aggregator handler_proxy.go.
"""

import asyncio
from typing import TYPE_CHECKING, Self

import orjson

from edgek.aio.tasks import until_one_ends
from edgek.api.errors import ServiceUnavailable, from_status
from edgek.api.meta import Obj
from server.aggregation.backend import Backend, unavailable, user_headers
from server.aggregation.services import ApiServices, GroupVersion, is_available
from server.request.forwarding import (
    answered_headers,
    forwarded_for,
    passed_headers,
    target_of,
)
from server.request.model import Filter, Handler, Request, Response, Upgrade, WebSocket

if TYPE_CHECKING:
    from server.webhooks.door import Answer, Ask, Socket

ANSWER_SECONDS = 60.0
"""For an answer to begin; what streams then may take as long as it likes."""
SEND_SECONDS = 30.0
"""For a side of a WebSocket to take a message; one that does not ends both."""
WHOLE = 1024 * 1024
"""Answers up to this size are read before they are passed on, so that both connections stay."""
REDIRECT = b"the backend attempted to redirect this request, which is not permitted"
UNAVAILABLE = "the server is currently unable to handle the request"
_TOKEN_PROTOCOL = "base64url.bearer.authorization.k8s.io."


def aggregation(services: ApiServices, proxy: "Proxy") -> Filter:
    """The innermost filter. A server without APIServices of others pays one comparison."""

    def wrap(handler: Handler) -> Handler:
        async def handle(request: Request) -> Response:
            remote = services.remote()
            service = remote.get(_asked(request)) if remote else None
            if service is None:
                return await handler(request)
            return await proxy.forward(request, service)

        return handle

    return wrap


def _asked(request: Request) -> GroupVersion:
    info = request.info
    if info.is_resource:
        return GroupVersion(info.group, info.version)
    parts = [p for p in request.path.split("/") if p]
    if len(parts) == 3 and parts[0] == "apis":
        return GroupVersion(parts[1], parts[2])
    return GroupVersion("", "")


class Proxy:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def forward(self, request: Request, service: Obj) -> Response:
        """Raises ServiceUnavailable where the server is known not to answer, or does not."""
        if not is_available(service):
            raise ServiceUnavailable(UNAVAILABLE)
        if request.header("upgrade").lower() == "websocket":
            return await self._websocket(request, service)
        ask = self._ask(request, service)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self._backend.open(ask)
        except TimeoutError as err:
            raise unavailable("context deadline exceeded") from err
        return await _passed_on(request, answer)

    def _ask(self, request: Request, service: Obj) -> "Ask":
        body: bytes | None = request.raw_body or None
        if request.body is not None:
            body = orjson.dumps(request.body)
        headers = [
            *(h for h in passed_headers(request.headers) if not h[0].startswith("sec-websocket-")),
            *user_headers(request.user),
            *forwarded_for(request),
        ]
        return self._backend.ask(
            service, request.method, target_of(request), headers=headers, body=body
        )

    async def _websocket(self, request: Request, service: Obj) -> Response:
        from server.webhooks.door import HandshakeRefused

        offered = request.header("sec-websocket-protocol").split(",")
        protocols = [p.strip() for p in offered if p.strip()]
        protocols = [p for p in protocols if not p.startswith(_TOKEN_PROTOCOL)]
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                peer = await self._backend.websocket(self._ask(request, service), tuple(protocols))
        except TimeoutError as err:
            raise unavailable("context deadline exceeded") from err
        except HandshakeRefused as err:
            code = err.status if err.status >= 400 else 502
            raise from_status({"message": str(err)}, code=code) from err

        async def serve(socket: WebSocket) -> None:
            await _join(socket, peer)

        upgrade = Upgrade(protocol=peer.protocol, serve=serve, abandon=peer.close)
        return Response(upgrade=upgrade)


async def _join(client: WebSocket, peer: "Socket") -> None:
    """Until either side ends; the other is closed then."""

    async def to_peer() -> None:
        while (message := await client.receive()) is not None:
            async with asyncio.timeout(SEND_SECONDS):
                await peer.send(message)

    async def to_client() -> None:
        while (message := await peer.receive()) is not None:
            async with asyncio.timeout(SEND_SECONDS):
                await client.send(message)

    try:
        await until_one_ends(to_peer(), to_client())
    finally:
        await peer.close()
        await client.close()


async def _passed_on(request: Request, answer: "Answer") -> Response:
    if 300 <= answer.status <= 399 and answer.headers.get("Location"):
        # Clients would follow it with their credentials. As upgradeaware.go
        # RejectForwardingRedirects.
        answer.close()
        return Response(status=502, content_type="text/plain; charset=utf-8", body=REDIRECT)
    response = Response(
        status=answer.status,
        headers=answered_headers(answer.headers.items()),
        content_type=answer.headers.get("Content-Type", "application/octet-stream"),
    )
    length = answer.headers.get("Content-Length", "")
    whole = request.in_process or (length.isdigit() and int(length) <= WHOLE)
    if whole or answer.status in (204, 304) or request.method == "HEAD":
        response.body = await _read(answer)
    else:
        response.stream = _Body(answer)
    return response


async def _read(answer: "Answer") -> bytes:
    from server.webhooks.door import TooLarge, Unreachable

    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await answer.read(64 * WHOLE)
    except (TimeoutError, TooLarge, Unreachable) as err:
        raise unavailable(str(err) or "context deadline exceeded") from err
    finally:
        answer.close()


class _Body:
    """With a close that ends the other side even where nothing was ever read."""

    def __init__(self, answer: "Answer") -> None:
        self._answer = answer
        self._chunks = answer.chunks()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        from server.webhooks.door import Unreachable

        try:
            return await anext(self._chunks)
        except Unreachable as err:  # too late for a Status: the client sees it break off
            raise ConnectionResetError(str(err)) from err

    async def aclose(self) -> None:
        self._answer.close()
