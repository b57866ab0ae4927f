"""The thin adapter between aiohttp and ``handle``: bytes in, bytes out, nothing decided.

aiohttp's low-level server is used: routing is ours, from RequestInfo, and a request costs what
parsing HTTP costs. TLS verifies client certificates against our client CA when one is shown;
who that is, and whether one is needed, is the authenticators' business.
"""

import asyncio
import gzip
import logging
import ssl
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson
from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.web_protocol import RequestHandler
from multidict import MultiDict

from edgek.api import errors
from server.filters.errors import error_response
from server.request.model import Handler, Request, Response, Upgrade, Watch

log = logging.getLogger(__name__)

MAX_BODY = 3 * 1024 * 1024
"""As apiserver's MaxRequestBodyBytes."""
BODY_SECONDS = 60.0
GZIP_FROM = 128 * 1024
MAX_MESSAGE = 4 * 1024 * 1024
GRACE_SECONDS = 1.0
_NO_QUERY: MultiDict[str] = MultiDict()
_BASE_HEADERS = {"Cache-Control": "no-cache, private"}


class _Connection(RequestHandler):
    """aiohttp's, but what is no HTTP is answered with a Status, and logged in one line where
    aiohttp would let anyone fill the log with tracebacks."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        log.info("not HTTP remote=%s error=%s", request.remote, type(exc).__name__)
        why = (message or "").partition("\n")[0].strip() or "the request is not HTTP"
        response = error_response(errors.BadRequest(why[:200]))
        answer = _send_body(request, request_less(request), response, None)
        answer.force_close()
        return answer


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class HttpServer:
    """Listens until closed. ``handle`` is the whole chain of filters."""

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._runner: web.ServerRunner | None = None

    async def listen(self, host: str, port: int, context: ssl.SSLContext | None) -> int:
        """The port listened on. Raises OSError where it cannot be had."""
        server = _Server(
            self._serve, access_log=None, keepalive_timeout=300, handler_cancellation=True
        )
        self._runner = web.ServerRunner(
            server, handle_signals=False, shutdown_timeout=GRACE_SECONDS
        )
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, host, port, ssl_context=context, backlog=1024, reuse_address=True
        )
        await site.start()
        address: tuple[Any, ...] = self._runner.addresses[0]
        return int(address[1])

    async def close(self) -> None:
        """Ends every connection; watches and streams get ``GRACE_SECONDS`` to notice."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, incoming: web.BaseRequest) -> web.StreamResponse:
        try:
            request = await _read(incoming)
        except errors.ApiError as err:
            return _send_body(incoming, request_less(incoming), error_response(err), None)
        response = await self._handle(request)
        if response.upgrade is not None:
            return await _upgrade(incoming, response.upgrade)
        if response.watch is not None:
            return await _stream(incoming, request, response, _lines(response.watch))
        if response.stream is not None:
            return await _stream(incoming, request, response, response.stream)
        body = response.body if response.body is not None else orjson.dumps(response.obj)
        packed = await _pack(incoming, body)
        return _send_body(incoming, request, response, packed, body)


def request_less(incoming: web.BaseRequest) -> Request:
    """Stands for a request that could not be read."""
    return Request(method=incoming.method, path=incoming.path)


async def _read(incoming: web.BaseRequest) -> Request:
    raw_path, _, raw_query = incoming.raw_path.partition("?")
    try:
        path = unquote(raw_path, errors="strict") if "%" in raw_path else raw_path
        query = (
            MultiDict(parse_qsl(raw_query, keep_blank_values=True, max_num_fields=256))
            if raw_query
            else _NO_QUERY
        )
    except ValueError as err:
        raise errors.BadRequest("the URL cannot be read") from err
    return Request(
        method=incoming.method,
        path=path,
        query=query,
        raw_query=raw_query,
        headers=incoming.headers,
        raw_body=await _body(incoming) if incoming.body_exists else b"",
        peer_certificate=_peer_certificate(incoming),
        remote=incoming.remote or "",
    )


async def _body(incoming: web.BaseRequest) -> bytes:
    too_large = errors.RequestEntityTooLarge(f"Request entity too large: limit is {MAX_BODY}")
    if (incoming.content_length or 0) > MAX_BODY:
        raise too_large
    chunks, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in incoming.content.iter_any():
                size += len(chunk)
                if size > MAX_BODY:
                    raise too_large
                chunks.append(chunk)
    except TimeoutError as err:
        raise errors.BadRequest(f"the body did not arrive within {BODY_SECONDS:.0f} s") from err
    return b"".join(chunks)


def _peer_certificate(incoming: web.BaseRequest) -> bytes | None:
    transport = incoming.transport
    tls = transport.get_extra_info("ssl_object") if transport is not None else None
    der: bytes | None = tls.getpeercert(binary_form=True) if tls is not None else None
    return der


async def _pack(incoming: web.BaseRequest, body: bytes) -> bytes | None:
    """The body gzipped off the loop, where it is large and the client takes it."""
    if len(body) < GZIP_FROM or "gzip" not in incoming.headers.get("Accept-Encoding", ""):
        return None
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, lambda: gzip.compress(body, 1, mtime=0))


def _send_body(
    incoming: web.BaseRequest,
    request: Request,
    response: Response,
    packed: bytes | None,
    body: bytes | None = None,
) -> web.Response:
    if body is None:
        body = response.body if response.body is not None else orjson.dumps(response.obj)
    headers = _headers(request, response)
    if response.status == 304:
        # What a 304 says of the content replaces what the client's cache knows of it.
        del headers["Content-Type"]
        return web.Response(status=304, headers=headers)
    if packed is not None:
        headers["Content-Encoding"] = "gzip"
    return web.Response(
        status=response.status, headers=headers, body=packed if packed is not None else body
    )


def _headers(request: Request, response: Response) -> MultiDict[str]:
    headers = MultiDict(_BASE_HEADERS)
    headers["Content-Type"] = response.content_type
    headers.update(response.headers)
    for warning in request.warnings:
        text = warning.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        headers.add("Warning", f'299 - "{text}"')
    return headers


async def _lines(watch: Watch) -> AsyncIterator[bytes]:
    """A watch as lines; an error inside it becomes its last event."""
    try:
        async for chunk in watch:
            yield b"".join([line for _, line in chunk])
    except errors.ApiError as err:
        yield b'{"type":"ERROR","object":%s}\n' % orjson.dumps(err.to_status())
    finally:
        await _close(watch)


async def _close(stream: Any) -> None:
    if (close := getattr(stream, "aclose", None)) is not None:
        await close()


async def _stream(
    incoming: web.BaseRequest, request: Request, response: Response, chunks: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Writes as fast as the client reads: the drain of each write is the backpressure.

    A quiet stream learns that its client has gone by being cancelled (handler_cancellation).
    """
    out = web.StreamResponse(status=response.status, headers=_headers(request, response))
    try:
        await out.prepare(incoming)
        if incoming.method == "HEAD":  # has no body that could be waited for
            return out
        async for chunk in chunks:
            await out.write(chunk)
        await out.write_eof()
    except ConnectionResetError:
        log.debug("client went away path=%s", incoming.path)
    finally:
        await _close(chunks)
    return out


class _Socket:
    """aiohttp's WebSocket as the WebSocket protocol of server/request/model.py."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def receive(self) -> bytes | str | None:
        message = await self._socket.receive()
        if message.type in (WSMsgType.BINARY, WSMsgType.TEXT):
            data: bytes | str = message.data
            return data
        return None

    async def send(self, message: bytes | str) -> None:
        if isinstance(message, str):
            await self._socket.send_str(message)
        else:
            await self._socket.send_bytes(message)

    async def close(self, code: int = WSCloseCode.OK) -> None:
        await self._socket.close(code=code)


async def _upgrade(incoming: web.BaseRequest, upgrade: Upgrade) -> web.StreamResponse:
    protocols = (upgrade.protocol,) if upgrade.protocol else ()
    socket = web.WebSocketResponse(
        protocols=protocols, max_msg_size=MAX_MESSAGE, autoping=True, compress=False
    )
    try:
        await socket.prepare(incoming)
    except web.HTTPException as err:
        response = error_response(errors.BadRequest(f"no WebSocket handshake: {err.text}"))
        return _send_body(incoming, request_less(incoming), response, None)
    try:
        await upgrade.serve(_Socket(socket))
    except ConnectionResetError:
        log.debug("websocket peer went away path=%s", incoming.path)
    finally:
        await socket.close()
    return socket
