"""A request to a pod, and its answer as it comes. Upgrades (WebSockets too) become bare bytes.

As apimachinery util/proxy/upgradeaware.go. Each request is a connection of its own through the
tunnel: agents are dialled in a millisecond, and none is left open.
"""

from contextlib import suppress
from typing import Self

from edgek.aio.tasks import until_one_ends
from edgek.api.errors import ApiError, ServiceUnavailable
from edgek.api.meta import uid
from server.endpoints.proxy.exchange import Answer, Bytes, NoAnswer, ask
from server.endpoints.proxy.rewrite import MAX_HTML, Way, packed, unpacked
from server.endpoints.proxy.target import Place
from server.endpoints.proxy.tls import TlsStream
from server.endpoints.subresources.backend import Backend
from server.endpoints.subresources.raw import RawStream
from server.request.forwarding import (
    answered_headers,
    forwarded_for,
    passed_headers,
    query_of,
    quote_path,
)
from server.request.model import ByteStream, RawUpgrade, Request, Response

WHOLE = 1024 * 1024
"""Answers up to this size are read before they are passed on, so that the connection stays."""
_CORS = (
    "access-control-allow-credentials", "access-control-allow-headers",
    "access-control-allow-methods", "access-control-allow-origin",
    "access-control-expose-headers", "access-control-max-age",
)  # fmt: skip
"""Would let other sites read what only the user may (transport.go corsRemovingTransport)."""


def prefix_of(request: Request) -> str:
    """Our own part of the path: up to and with ``/proxy``."""
    # /api/v1/nodes/NAME/proxy or /api/v1/namespaces/NS/RESOURCE/NAME/proxy
    left = 7 if request.info.namespace else 5
    parts = request.path.split("/")
    for at, part in enumerate(parts):
        left -= bool(part)  # slashes may be doubled
        if left == 0:
            return "/".join(parts[: at + 1])
    return request.path


def to_directory(request: Request) -> Response | None:
    """Without a path of the pod's own, relative links would miss: so the client must ask with a
    slash at the end."""
    if request.path != prefix_of(request):
        return None
    query = query_of(request)
    location = f"{quote_path(request.path)}/" + (f"?{query}" if query else "")
    return Response(status=301, headers={"Location": location}, body=b"")


async def forward(request: Request, place: Place, backend: Backend) -> Response:
    """Raises ServiceUnavailable where the pod does not answer."""
    protocol = upgrade_wanted(request)
    if not protocol and (redirect := to_directory(request)) is not None:
        return redirect
    way = Way(
        scheme="https", host=request.header("host"), prefix=prefix_of(request), source=place.host
    )
    stream = await _dial(place, backend)
    try:
        answer = await ask(
            stream,
            request.method,
            _target(request, way),
            headers=_headers(request, way, place, protocol),
            body=request.raw_body,
        )
        if answer.upgraded and not protocol:
            raise NoAnswer("an upgrade that nobody has asked for")
        return await _response(request, answer, way)
    except NoAnswer as err:
        await stream.close()
        raise _unreachable(str(err)) from err
    except BaseException:
        await stream.close()
        raise


def upgrade_wanted(request: Request) -> str:
    named = [token.strip() for token in request.header("connection").lower().split(",")]
    return request.header("upgrade") if "upgrade" in named else ""


async def _dial(place: Place, backend: Backend) -> Bytes:
    params = {"podUID": uid(place.pod), "port": place.port}
    try:
        raw = RawStream(await backend.open(place.node, "dial", params))
    except ApiError as err:
        raise _unreachable(err.message) from err
    if place.scheme != "https":
        return raw
    stream = TlsStream(raw)
    try:
        await stream.open()
    except BaseException as err:
        await raw.close()
        if isinstance(err, OSError):
            raise _unreachable(str(err)) from err
        raise
    return stream


def _unreachable(why: str) -> ApiError:
    return ServiceUnavailable(f"error trying to reach service: {why}")


def _target(request: Request, way: Way) -> str:
    path = quote_path(request.path.removeprefix(way.prefix)) or "/"
    query = query_of(request)
    return f"{path}?{query}" if query else path


def _headers(request: Request, way: Way, place: Place, protocol: str) -> list[tuple[str, str]]:
    upgrade = [("Connection", "Upgrade"), ("Upgrade", protocol)] if protocol else []
    return [
        ("Host", place.host),
        *passed_headers(request.headers),
        *forwarded_for(request),
        ("X-Forwarded-Host", way.host),
        ("X-Forwarded-Proto", way.scheme),
        ("X-Forwarded-Uri", quote_path(request.path)),
        *(upgrade or [("Connection", "close")]),
    ]


async def _response(request: Request, answer: Answer, way: Way) -> Response:
    headers = answered_headers(answer.headers, without=_CORS)
    if "Location" in headers:
        headers["Location"] = way.link(headers["Location"])
    if answer.upgraded:
        return Response(raw_upgrade=_upgrade(answer, headers))
    response = Response(
        status=answer.status,
        headers=headers,
        content_type=answer.header("content-type") or "application/octet-stream",
    )
    if request.method == "HEAD" or answer.status in (204, 304):
        await answer.stream.close()
        response.body = b""
        return response
    length = answer.header("content-length")
    size = int(length) if length.isascii() and length.isdigit() else None
    html = response.content_type.partition(";")[0].strip().lower() == "text/html"
    if html and (size is None or size <= MAX_HTML):
        await _rewritten(response, answer, way)
    elif request.in_process or (size is not None and size <= WHOLE):
        response.body = await _whole(answer)
    else:
        response.stream = _Body(answer)
    return response


async def _whole(answer: Answer) -> bytes:
    parts = []
    while chunk := await answer.chunk():
        parts.append(chunk)
    await answer.stream.close()
    return b"".join(parts)


async def _rewritten(response: Response, answer: Answer, way: Way) -> None:
    """A page that is too large, or cannot be read, goes on as it is."""
    parts, size = [], 0
    while size <= MAX_HTML and (chunk := await answer.chunk()):
        parts.append(chunk)
        size += len(chunk)
    body, encoding = b"".join(parts), answer.header("content-encoding").lower()
    if size > MAX_HTML:
        response.stream = _Body(answer, first=body)
        return
    await answer.stream.close()
    page = unpacked(body, encoding)
    response.body = packed(way.html(page), encoding) if page is not None else body


class _Body:
    """With a close that ends the pod's side even where nothing was ever read."""

    def __init__(self, answer: Answer, *, first: bytes = b"") -> None:
        self._answer, self._first = answer, first

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        try:
            chunk = await self._answer.chunk()
        except NoAnswer as err:  # too late for a Status: the client sees it break off
            raise ConnectionResetError(str(err)) from err
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        await self._answer.stream.close()


def _upgrade(answer: Answer, headers: dict[str, str]) -> RawUpgrade:
    peer = answer.stream

    async def serve(client: ByteStream) -> None:
        async def to_pod() -> None:
            while data := await client.read():
                await peer.write(data)

        async def to_client() -> None:
            if answer.rest:
                await client.write(answer.rest)
            while data := await peer.read():
                await client.write(data)

        try:
            with suppress(OSError):
                await until_one_ends(to_pod(), to_client())
        finally:
            await peer.close()
            await client.close()

    protocol = answer.header("upgrade")
    return RawUpgrade(protocol=protocol, headers=headers, serve=serve, abandon=peer.close)
