"""HttpTransport: the Transport over HTTP, for all that is not in the server itself.

Connections (connection.py) are kept for the next call while few are idle. Nothing here retries or
reconnects: a failed call raises, a broken watch raises, and the informer decides. Only where a
kept connection turns out to have been closed meanwhile the request goes out once more. A watch
reads on only when its reader asks for the next event, so a slow reader is slowed by TCP and costs
no memory.
"""

import asyncio
import os
import re
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import orjson

import edgek
from edgek.api.errors import (
    ApiError,
    Forbidden,
    InternalError,
    NotFound,
    ServiceUnavailable,
    Timeout,
    from_status,
)
from edgek.api.meta import Obj
from edgek.client.connection import Answer, Connection
from edgek.client.pool import CONNECT_SECONDS, BadAddress, Pool
from edgek.client.shared_watches import PATH as SHARED_PATH
from edgek.client.shared_watches import SharedWatches
from edgek.client.transport import Call, WatchEvent
from edgek.client.websocket import BROKEN_OFF, NORMAL, Handshake, WebSocket

MAX_EVENT = 16 * 1024 * 1024
SWITCHING = 101
_REPEATABLE = ("GET", "HEAD", "PUT", "DELETE")
"""Requests that do no harm when the server gets them twice."""
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
    """A ``Transport`` with two extras for logs and exec: ``stream`` and ``websocket``. With
    ``share_watches`` all watches go over one connection, which edgek's servers only know."""

    def __init__(
        self,
        access: Access,
        *,
        on_warning: Callable[[str], None] | None = None,
        share_watches: bool = False,
    ) -> None:
        self._access = access
        self._share_watches = share_watches
        self._shared = SharedWatches(lambda: self.websocket(SHARED_PATH))
        self._on_warning = on_warning
        self._pool: Pool | None = None
        self._token_file = _FileText(access.token_file)
        self._closed = False

    @property
    def access(self) -> Access:
        return self._access

    async def replace(self, access: Access) -> None:
        """Goes on with other credentials (a renewed certificate). Open watches break and are
        opened again by their informers."""
        await self._shared.close()
        old, self._pool = self._pool, None
        self._access = access
        self._token_file = _FileText(access.token_file)
        if old is not None:
            old.close()

    async def close(self) -> None:
        self._closed = True
        await self._shared.close()
        if self._pool is not None:
            self._pool.close()

    async def call(self, call: Call) -> Obj:
        with self._errors():
            async with asyncio.timeout(call.timeout), self._answer(call) as (answer, connection):
                body = await connection.read_all()
                self._warn(answer)
        return _decode(answer.status, body)

    def watch(self, call: Call) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent]]:
        return self._watch(call)

    @asynccontextmanager
    async def _watch(self, call: Call) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        async with AsyncExitStack() as stack:
            yield _events(await self._open_watch(stack, call))

    async def _open_watch(self, stack: AsyncExitStack, call: Call) -> AsyncIterator[bytes]:
        if self._share_watches:
            try:
                return await stack.enter_async_context(self._shared.watch(call))
            except (Forbidden, NotFound):  # a server from before watches could be shared
                self._share_watches = False
        return await stack.enter_async_context(self.stream(call))

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[AsyncIterator[bytes]]:
        """The answer's body as it comes; ``call.timeout`` bounds only the wait for its start."""
        async with AsyncExitStack() as stack:
            with self._errors():
                async with asyncio.timeout(call.timeout):
                    answer, connection = await stack.enter_async_context(self._answer(call))
                    if answer.status >= 400:
                        _decode(answer.status, await connection.read_all())
            keep_alive(connection.transport.get_extra_info("socket"))
            yield self._chunks(connection)

    async def _chunks(self, connection: Connection) -> AsyncIterator[bytes]:
        with self._errors():
            while chunk := await connection.read():
                yield chunk

    @asynccontextmanager
    async def websocket(
        self,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        protocols: tuple[str, ...] = (),
        heartbeat: float | None = None,
    ) -> AsyncIterator[WebSocket]:
        """An open WebSocket (exec, attach, port-forward, the agent's tunnel). ``heartbeat``
        seconds apart the peer is pinged, and the socket closes where it does not answer."""
        target = f"{path}?{urlencode(query)}" if query else path
        handshake = Handshake(protocols)
        with self._errors():
            pool = self._open()
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await pool.connect()
                try:
                    headers = {**pool.headers, **self._headers(), **handshake.headers}
                    answer = await connection.ask("GET", target, headers)
                    if answer.status != SWITCHING:
                        raise _refusal(answer.status, await connection.read_all())
                    protocol = handshake.check(answer)
                except BaseException:
                    pool.release(connection)
                    raise
        keep_alive(connection.transport.get_extra_info("socket"))
        socket_ = WebSocket(connection, protocol=protocol, heartbeat=heartbeat, max_size=MAX_EVENT)
        code = BROKEN_OFF
        try:
            yield socket_
            code = NORMAL
        finally:
            try:
                await socket_.close(code)
            finally:
                pool.release(connection)

    @asynccontextmanager
    async def _answer(self, call: Call) -> AsyncIterator[tuple[Answer, Connection]]:
        """The head of an answer, and the connection to read the rest from. Errors are not ours
        yet."""
        pool = self._open()
        headers = pool.headers | self._headers() | {"Accept": call.accept}
        body = None
        if call.body is not None:
            headers["Content-Type"] = call.content_type
            body = orjson.dumps(call.body)
        target = f"{call.path}?{urlencode(call.query)}" if call.query else call.path
        connection = await pool.take()
        try:
            try:
                answer = await connection.ask(call.method, target, headers, body)
            except OSError:
                if not (connection.used and call.method in _REPEATABLE):
                    raise
                pool.release(connection)
                connection = await pool.connect()
                answer = await connection.ask(call.method, target, headers, body)
            yield answer, connection
        finally:
            pool.release(connection)

    def _headers(self) -> dict[str, str]:
        headers = {"User-Agent": f"edgek/{edgek.__version__}"}
        token = self._token_file.read() or self._access.token
        return headers | ({"Authorization": f"Bearer {token}"} if token else {})

    def _open(self) -> Pool:
        if self._closed:
            raise ServiceUnavailable("the connection to the server has been closed")
        if self._pool is None:
            access = self._access
            self._pool = Pool(
                access.server, tls=lambda: tls_context(access), server_name=access.server_name
            )
        return self._pool

    def _warn(self, answer: Answer) -> None:
        if self._on_warning is None:
            return
        for header in answer.all("warning"):
            _, _, text = header.partition('"')  # 299 - "quoted text"
            self._on_warning(re.sub(r"\\(.)", r"\1", text.removesuffix('"')) or header)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """The one place where the errors of sockets become ours."""
        try:
            yield
        except TimeoutError as err:
            raise Timeout(f"the server {self._address} did not answer in time") from err
        except ssl.SSLCertVerificationError as err:
            raise ServiceUnavailable(_certificate_text(self._address, err)) from err
        except ssl.SSLError as err:
            raise ServiceUnavailable(f"no TLS with the server {self._address}: {err}") from err
        except BadAddress as err:
            raise ServiceUnavailable(f"{self._access.server!r} is no server URL") from err
        except OSError as err:
            raise ServiceUnavailable(_connection_text(self._address, err)) from err

    @property
    def _address(self) -> str:
        return self._access.server.split("://")[-1].rstrip("/")


def _refusal(status: int, body: bytes) -> ApiError:
    try:
        _decode(status, body)
    except ApiError as said:
        if body:
            return said
    return from_status({"message": f"Invalid response status ({status})"}, code=status)


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
    if sock is None or sock.family == socket.AF_UNIX:
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


def _certificate_text(address: str, err: ssl.SSLCertVerificationError) -> str:
    why = err.verify_message or str(err)
    return f"the certificate of the server {address} is not trusted: {why}"


def _connection_text(address: str, err: OSError) -> str:
    if isinstance(err, ConnectionRefusedError):
        return (
            f"The connection to the server {address} was refused - "
            "did you specify the right host or port?"
        )
    if isinstance(err, socket.gaierror):
        return f"the server's name in {address} cannot be resolved: {err.strerror}"
    why = err.strerror or str(err) or type(err).__name__
    return f"the connection to the server {address} broke: {why}"
