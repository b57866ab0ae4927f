"""HttpTransport: API calls over HTTP/1.1 and TLS; the only user of aiohttp's client for the API.

aiohttp is imported on first use, so that a CLI which only prints help stays small. Nothing here
retries or reconnects: a failed call raises, a broken watch raises, and the informer decides.
A watch reads the next chunk only when its reader asks for the next event, so a slow reader is
slowed by TCP and costs no memory.
"""

import asyncio
import os
import re
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

import edgek
from edgek.api.errors import ApiError, InternalError, ServiceUnavailable, Timeout, from_status
from edgek.api.meta import Obj
from edgek.client.transport import Call, WatchEvent

if TYPE_CHECKING:
    import aiohttp

MAX_EVENT = 16 * 1024 * 1024
CONNECT_TIMEOUT = 10.0
MAX_CONNECTIONS = 512
_KEEPALIVE = (
    ("SO_KEEPALIVE", socket.SOL_SOCKET, 1),
    ("TCP_KEEPIDLE", socket.IPPROTO_TCP, 30),
    ("TCP_KEEPINTVL", socket.IPPROTO_TCP, 10),
    ("TCP_KEEPCNT", socket.IPPROTO_TCP, 3),
)


@dataclass(frozen=True, kw_only=True)
class Access:
    """Where a server is, whom to trust, and who we are. Secrets never show in ``repr``.

    ``ca`` is PEM ("" trusts the system's authorities); ``client_cert``/``client_key`` are PEM;
    ``token_file`` is read again whenever it changed.
    """

    server: str
    ca: bytes = b""
    client_cert: bytes = b""
    client_key: bytes = field(default=b"", repr=False)
    token: str = field(default="", repr=False)
    token_file: str = ""
    insecure: bool = False
    server_name: str = ""


class HttpTransport:
    """A ``Transport`` with two extras for logs and exec: ``stream`` and ``websocket``."""

    def __init__(self, access: Access, *, on_warning: Callable[[str], None] | None = None) -> None:
        self._access = access
        self._on_warning = on_warning
        self._session: aiohttp.ClientSession | None = None
        self._token_file = _FileText(access.token_file)
        self._closed = False
        self._streaming: set[aiohttp.ClientResponse] = set()

    @property
    def access(self) -> Access:
        return self._access

    async def replace(self, access: Access) -> None:
        """Goes on with other credentials (a renewed certificate). Open watches break and are
        opened again by their informers."""
        old, self._session = self._session, None
        self._access = access
        self._token_file = _FileText(access.token_file)
        for response in list(self._streaming):
            response.close()  # aborting its TLS connection alone would not tell its reader
        if old is not None:
            await old.close()

    async def close(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()

    async def call(self, call: Call) -> Obj:
        with self._errors():
            async with asyncio.timeout(call.timeout):
                async with self._request(call) as response:
                    body = await response.read()
                    self._warn(response)
        return _decode(response.status, body)

    def watch(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        return self._watch(call)

    @asynccontextmanager
    async def _watch(self, call: Call) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        async with self.stream(call) as chunks:
            yield _events(chunks)

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[AsyncIterator[bytes]]:
        """The answer's body as it comes; ``call.timeout`` bounds only the wait for its start."""
        with self._errors():
            request = self._request(call)
            async with asyncio.timeout(call.timeout):
                response = await request.__aenter__()
        self._streaming.add(response)
        try:
            if response.status >= 400:
                with self._errors():
                    async with asyncio.timeout(call.timeout):
                        _decode(response.status, await response.read())
            transport = response.connection.transport if response.connection else None
            keep_alive(transport.get_extra_info("socket") if transport else None)
            yield self._chunks(response)
        finally:
            self._streaming.discard(response)
            response.close()  # not released: the rest of an endless body is of no use

    async def _chunks(self, response: "aiohttp.ClientResponse") -> AsyncIterator[bytes]:
        with self._errors():
            async for chunk in response.content.iter_any():
                yield chunk

    @asynccontextmanager
    async def websocket(
        self,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        protocols: tuple[str, ...] = (),
        heartbeat: float | None = None,
    ) -> "AsyncIterator[aiohttp.ClientWebSocketResponse]":
        """An open WebSocket (exec, attach, port-forward, the agent's tunnel). ``heartbeat``
        seconds apart the peer is pinged, and the socket closes where it does not answer."""
        import aiohttp

        try:
            with self._errors():
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    socket_ = await self._open().ws_connect(
                        self._access.server.rstrip("/") + path,
                        params=list(query),
                        protocols=protocols,
                        heartbeat=heartbeat,
                        headers=self._headers(),
                        max_msg_size=MAX_EVENT,
                        server_hostname=self._access.server_name or None,
                    )
        except aiohttp.WSServerHandshakeError as err:
            raise _refusal(err) from err
        keep_alive(socket_.get_extra_info("socket"))
        try:
            yield socket_
        finally:
            await socket_.close()

    def _request(self, call: Call) -> "aiohttp.client._RequestContextManager":
        headers = self._headers() | {"Accept": call.accept}
        data = None
        if call.body is not None:
            headers["Content-Type"] = call.content_type
            data = orjson.dumps(call.body)
        return self._open().request(
            call.method,
            self._access.server.rstrip("/") + call.path,
            params=dict(call.query),
            data=data,
            headers=headers,
            server_hostname=self._access.server_name or None,
            allow_redirects=False,
        )

    def _headers(self) -> dict[str, str]:
        headers = {"User-Agent": f"edgek/{edgek.__version__}"}
        token = self._token_file.read() or self._access.token
        return headers | ({"Authorization": f"Bearer {token}"} if token else {})

    def _open(self) -> "aiohttp.ClientSession":
        import aiohttp

        if self._closed:
            raise ServiceUnavailable("the connection to the server has been closed")
        if self._session is None:
            connector = aiohttp.TCPConnector(
                ssl=tls_context(self._access), limit=MAX_CONNECTIONS, keepalive_timeout=90
            )
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT)
            trace = aiohttp.TraceConfig()
            trace.on_request_end.append(_keep_refusal)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=timeout, trace_configs=[trace]
            )
        return self._session

    def _warn(self, response: "aiohttp.ClientResponse") -> None:
        if self._on_warning is None:
            return
        for header in response.headers.getall("Warning", ()):
            _, _, text = header.partition('"')  # 299 - "quoted text"
            self._on_warning(re.sub(r"\\(.)", r"\1", text.removesuffix('"')) or header)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """The one place where aiohttp's errors become ours."""
        import aiohttp

        try:
            yield
        except (ApiError, aiohttp.WSServerHandshakeError):
            raise
        except TimeoutError as err:
            raise Timeout(f"the server {self._address} did not answer in time") from err
        except aiohttp.ClientConnectorCertificateError as err:
            raise ServiceUnavailable(_certificate_text(self._address, err)) from err
        except aiohttp.ClientSSLError as err:
            raise ServiceUnavailable(f"no TLS with the server {self._address}: {err}") from err
        except aiohttp.InvalidURL as err:
            raise ServiceUnavailable(f"{self._access.server!r} is no server URL") from err
        except (aiohttp.ClientError, OSError) as err:
            raise ServiceUnavailable(_connection_text(self._address, err)) from err
        except RuntimeError as err:  # aiohttp: "Session is closed", while closing or replacing
            raise ServiceUnavailable(f"the connection to {self._address} closed: {err}") from err

    @property
    def _address(self) -> str:
        return self._access.server.split("://")[-1].rstrip("/")


_REFUSED: ContextVar[bytes] = ContextVar("refused", default=b"")


async def _keep_refusal(session: object, context: object, end: Any) -> None:
    """aiohttp drops the body of an answer that refuses a WebSocket, where the server says why;
    here, in the task that asked, it can still be read."""
    if "Upgrade" in end.headers and end.response.status >= 400:
        _REFUSED.set(await end.response.read())


def _refusal(err: "aiohttp.WSServerHandshakeError") -> ApiError:
    body = _REFUSED.get()
    _REFUSED.set(b"")
    try:
        _decode(err.status, body)
    except ApiError as said:
        if body:
            return said
    return from_status({"message": f"{err.message} ({err.status})"}, code=err.status)


class _FileText:
    """A file's text, read again when the file changed (projected tokens are rotated)."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._text = ""

    def read(self) -> str:
        if not self._path:
            return ""
        try:
            info = os.stat(self._path)
            if self._stamp != (info.st_mtime_ns, info.st_ino):
                self._text = Path(self._path).read_text().strip()
                self._stamp = (info.st_mtime_ns, info.st_ino)
        except OSError as err:
            raise ServiceUnavailable(f"cannot read the token: {err}") from err
        return self._text


def _decode(status: int, body: bytes) -> Obj:
    try:
        decoded = orjson.loads(body) if body.strip() else {}
    except ValueError:
        decoded = {"message": body[:1024].decode(errors="replace").strip()}
        if status < 400:
            raise InternalError("the server's answer is not JSON") from None
    if status >= 400:
        raise from_status(decoded if isinstance(decoded, dict) else {}, code=status)
    return decoded if isinstance(decoded, dict) else {"items": decoded}


async def _events(chunks: AsyncIterator[bytes]) -> AsyncIterator[WatchEvent]:
    """Watch events from a body of JSON lines; an ERROR event is raised."""
    async for line in _lines(chunks):
        try:
            event = orjson.loads(line)
            kind, obj = event["type"], event["object"]
        except (ValueError, KeyError, TypeError) as err:
            raise InternalError("the server sent a watch event that is not JSON") from err
        if kind == "ERROR":
            raise from_status(obj)
        yield WatchEvent(kind, obj)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """aiohttp's own readline refuses lines over its buffer's limit; objects are larger."""
    pending: list[bytes] = []
    size = 0
    async for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            line = b"".join([*pending, part])
            pending, size = [], 0
            if line.strip():
                yield line
        if rest:
            pending.append(rest)
            size += len(rest)
        if size > MAX_EVENT:
            raise InternalError("the server sent a watch event over 16 MiB")


def keep_alive(sock: socket.socket | None) -> None:
    """A watch may be silent for ever, so only the kernel can tell that the peer is gone."""
    if sock is None:
        return
    for name, level, value in _KEEPALIVE:
        if hasattr(socket, name):  # macOS lacks some
            sock.setsockopt(level, getattr(socket, name), value)


def tls_context(access: Access) -> ssl.SSLContext:
    """The client side of TLS. Raises ServiceUnavailable where a certificate cannot be read."""
    try:
        context = ssl.create_default_context(cadata=access.ca.decode() or None)
        if access.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if access.client_cert:
            with _as_file(access.client_cert + b"\n" + access.client_key) as path:
                context.load_cert_chain(path)
    except (ssl.SSLError, ValueError) as err:
        raise ServiceUnavailable(f"cannot use the certificates given: {err}") from err
    return context


@contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """ssl reads certificates from files only; memory where the system has memfd, so that keys
    never touch a disk."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("edgek-tls")
        try:
            os.write(fd, data)
            yield f"/proc/self/fd/{fd}"
        finally:
            os.close(fd)
        return
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file.name


def _certificate_text(address: str, err: Any) -> str:
    why = getattr(err.certificate_error, "verify_message", "") or str(err.certificate_error)
    return f"the certificate of the server {address} is not trusted: {why}"


def _connection_text(address: str, err: BaseException) -> str:
    cause: BaseException | None = err
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError):
            return (
                f"The connection to the server {address} was refused - "
                "did you specify the right host or port?"
            )
        cause = cause.__cause__
    if isinstance(err, socket.gaierror):
        return f"the server's name in {address} cannot be resolved: {err.strerror}"
    os_error = getattr(err, "os_error", None)  # aiohttp's own text repeats the address
    why = getattr(os_error, "strerror", None) or str(err) or type(err).__name__
    return f"the connection to the server {address} broke: {why}"
