"""Door: the HTTP requests that the server makes; the only module here that knows aiohttp's client.

Import it late: aiohttp is not needed by a server that calls nobody. Connections are pooled and
bounded; each waits its turn within its caller's deadline, which is the caller's to set. Names of
Services are looked up in the store, all others by the system; pods are reached through the tunnels
of their nodes. Redirects are not followed: whoever answers must not choose whom we call next.
"""

import asyncio
import io
import random
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

import edgek
from edgek.client.http import keep_alive
from server.request.messages import Messages
from server.webhooks.failures import connection_text
from server.webhooks.pods import PodDialer, PodSockets
from server.webhooks.trust import Trust, context_of
from server.webhooks.where import Address, Unroutable

IDLE_SECONDS = 30.0
CONNECT_SECONDS = 10.0
LARGE = 256 * 1024
MAX_MESSAGE = 4 * 1024 * 1024
Lookup = Callable[[str, int], "list[Address] | None"]
"""Addresses of a host and port, None for "ask the system". Raises Unroutable."""


class Unreachable(Exception):
    """No answer: the text says why, in Go's words. ``dialled``: the request may have been sent."""

    def __init__(self, text: str, *, dialled: bool = False) -> None:
        super().__init__(text)
        self.dialled = dialled


class HandshakeRefused(Unreachable):
    """The peer answers, but with something else than the WebSocket asked for."""

    def __init__(self, status: int) -> None:
        super().__init__(f"websocket: bad handshake (status {status})")
        self.status = status


class TooLarge(Exception):
    """The answer's body is over the limit."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One request. ``again``: it may be sent a second time where a kept connection turns out to
    be closed."""

    method: str
    url: str
    trust: Trust
    headers: Sequence[tuple[str, str]] = ()
    body: bytes | None = None
    again: bool = False


class Door:
    """``connections`` in all, of them ``to_one`` to any one peer (0: no bound of its own)."""

    def __init__(
        self,
        lookup: Lookup,
        *,
        connections: int,
        to_one: int = 0,
        dialer: PodDialer | None = None,
    ) -> None:
        self._lookup = lookup
        self._pods = PodSockets(dialer) if dialer is not None else None
        self._connections = connections
        self._to_one = to_one
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        if self._pods is not None:
            await self._pods.close()

    async def open(self, ask: Ask) -> "Answer":
        """The answer's head; its body is still to be read and must be closed. Raises Unreachable,
        Unroutable, ServiceUnavailable (of certificates that cannot be read)."""
        try:
            return await self._once(ask)
        except Unreachable as err:
            if not (ask.again and err.dialled):
                raise
        return await self._once(ask)

    async def _once(self, ask: Ask) -> "Answer":
        seen = SimpleNamespace(reused=False)
        with _translated(ask.url, seen):
            response = await self._open().request(
                ask.method,
                URL(ask.url, encoded=True),
                data=_body(ask.body),
                headers=_headers(ask),
                skip_auto_headers=_NOT_OURS,
                ssl=context_of(ask.trust),
                allow_redirects=False,
                trace_request_ctx=seen,
            )
        connection = response.connection
        if connection is not None and connection.transport is not None:
            keep_alive(connection.transport.get_extra_info("socket"))
        return Answer(response, ask.url)

    async def websocket(self, ask: Ask, protocols: tuple[str, ...]) -> "Socket":
        """Raises Unreachable, also where the peer answers with something else than an upgrade."""
        with _translated(ask.url, SimpleNamespace(reused=False)):
            socket_ = await self._open().ws_connect(
                URL(ask.url, encoded=True),
                protocols=protocols,
                headers=_headers(ask),
                ssl=context_of(ask.trust),
                max_msg_size=MAX_MESSAGE,
                compress=0,
            )
        keep_alive(socket_.get_extra_info("socket"))
        return Socket(socket_)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = _Connector(
                self._lookup,
                self._pods,
                resolver=_Resolver(self._lookup),
                use_dns_cache=False,
                limit=self._connections,
                limit_per_host=self._to_one,
                keepalive_timeout=IDLE_SECONDS,
            )
            trace = aiohttp.TraceConfig()
            trace.on_connection_reuseconn.append(_note_reuse)
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                trace_configs=[trace],
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


class Answer:
    """What came back. ``chunks`` or ``read`` once, then ``close``."""

    def __init__(self, response: aiohttp.ClientResponse, url: str) -> None:
        self._response = response
        self._url = url
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def read(self, limit: int) -> bytes:
        """All of the body. Raises TooLarge, Unreachable."""
        parts, size = [], 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size > limit:
                self.close()
                raise TooLarge(f"response body exceeded the limit of {limit} bytes")
            parts.append(chunk)
        return b"".join(parts)

    async def chunks(self) -> AsyncIterator[bytes]:
        """As they come; a reader that waits makes the peer wait."""
        with _translated(self._url, SimpleNamespace(reused=False)):
            async for chunk in self._response.content.iter_any():
                yield chunk

    def close(self) -> None:
        """A body that was read to its end gave its connection back; any other ends it. At once: TLS
        would read on for as long as the peer likes to send."""
        connection = self._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        self._response.close()


class Socket(Messages):
    """The client's side of a WebSocket."""

    def __init__(self, socket_: "aiohttp.ClientWebSocketResponse[bool]") -> None:
        super().__init__(socket_)
        self.protocol = socket_.protocol or ""

    async def close(self) -> None:
        await self._socket.close()


class _Connector(aiohttp.TCPConnector):
    """Takes addresses of pods to their nodes' tunnels. As aiohttp's own, it is asked once for each
    address until one works; that there is no public place for this, a test knows."""

    def __init__(self, lookup: Lookup, pods: PodSockets | None, **how: Any) -> None:
        super().__init__(**how)
        self._lookup = lookup
        self._pods = pods

    async def _wrap_create_connection(
        self, *args: Any, addr_infos: list[Any], req: Any, timeout: Any, **how: Any
    ) -> Any:
        pod = self._pod_at(req.url.raw_host or "", req.port or 0, addr_infos[0][4])
        if pod is None or self._pods is None:
            return await super()._wrap_create_connection(
                *args, addr_infos=addr_infos, req=req, timeout=timeout, **how
            )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                how["sock"] = await self._pods.connect(pod)
        except OSError as err:
            raise aiohttp.ClientConnectorError(req.connection_key, err) from err
        try:
            return await self._wrap_existing_connection(*args, req=req, timeout=timeout, **how)
        except BaseException:
            how["sock"].close()
            raise

    def _pod_at(self, host: str, port: int, where: tuple[Any, ...]) -> Address | None:
        if self._pods is None:
            return None
        for address in self._lookup(host, port) or ():
            if (address.host, address.port) == where[:2] and self._pods.leads_to(address):
                return address
        return None


class _Resolver(AbstractResolver):
    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._system = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = self._lookup(host, port)
        if found is None:
            return await self._system.resolve(host, port, family=family)
        results: list[ResolveResult] = []
        for address in random.sample(found, len(found)):  # each endpoint its share
            results += await self._result(host, address)
        return results

    async def _result(self, host: str, address: Address) -> list[ResolveResult]:
        if not address.host.replace(".", "").isdigit() and ":" not in address.host:
            return await self._system.resolve(address.host, address.port)  # an ExternalName
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        return [
            ResolveResult(
                hostname=host, host=address.host, port=address.port, family=family, proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]  # fmt: skip

    async def close(self) -> None:
        await self._system.close()


_NOT_OURS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
"""Headers that aiohttp would add; bodies are handed on as they are, so nobody must compress."""


def _body(data: bytes | None) -> bytes | io.BytesIO | None:
    """What is large is sent piece by piece."""
    return io.BytesIO(data) if data is not None and len(data) > LARGE else data


def _headers(ask: Ask) -> list[tuple[str, str]]:
    names = {name.lower() for name, _ in ask.headers}
    own = [] if "user-agent" in names else [("User-Agent", f"edgek/{edgek.__version__}")]
    return [*own, *ask.headers]


async def _note_reuse(session: object, context: Any, params: object) -> None:
    if context.trace_request_ctx is not None:
        context.trace_request_ctx.reused = True


@contextmanager
def _translated(url: str, seen: Any) -> Any:
    """The one place where aiohttp's errors become ours."""
    try:
        yield
    except aiohttp.WSServerHandshakeError as err:
        raise HandshakeRefused(err.status) from err
    except aiohttp.ServerDisconnectedError as err:
        raise Unreachable("EOF", dialled=seen.reused) from err
    except aiohttp.ClientPayloadError as err:
        raise Unreachable("unexpected EOF") from err
    except (aiohttp.ClientConnectionError, OSError) as err:
        parsed = URL(url)
        text = connection_text(err, host=parsed.host or "", port=parsed.port or 443)
        raise Unreachable(text, dialled=seen.reused) from err
    except (aiohttp.ClientError, ValueError) as err:
        raise Unreachable(f"malformed HTTP response: {type(err).__name__}") from err


__all__ = [
    "Answer", "Ask", "Door", "HandshakeRefused", "Lookup", "Socket", "TooLarge", "Trust",
    "Unreachable", "Unroutable",
]  # fmt: skip
