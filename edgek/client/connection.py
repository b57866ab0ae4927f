"""One HTTP/1.1 connection to a server: a request, its answer, and then the next one.

httptools reads the answers. A body is taken piece by piece as its reader asks for it; while more
than ``HIGH_WATER`` waits the socket is not read, so a slow reader is slowed by TCP. After a 101
the same bytes, in and out, are those of the other protocol. Who may use a connection, and how
errors are worded, is http.py's.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import httptools

from edgek.aio.vanished import has_vanished

if TYPE_CHECKING:
    import zlib

HIGH_WATER = 256 * 1024
LOOK_SECONDS = 30.0
"""A write that waits this long looks whether the server is still there."""
MAX_HEAD = 256 * 1024
_SWITCHING = 101


class BrokenAnswer(ConnectionError):
    """The other side went away, or says what is no HTTP."""


class Answer:
    """Status and headers; names of headers are lower case, and repeated ones are kept apart."""

    def __init__(self, status: int, headers: tuple[tuple[str, str], ...]) -> None:
        self.status, self.headers = status, headers

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def header(self, name: str) -> str:
        return next(iter(self.all(name)), "")


class Connection(asyncio.Protocol):
    """``reusable`` once an answer has been read to its end and the server keeps it open."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser: Any = None
        self._fields: list[tuple[str, str]] = []
        self._head_size = 0
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._ended = self._switched = self._paused = False
        self._keep = False
        self._lost: BaseException | None = None
        self._answer: Answer | None = None
        self._inflater: zlib._Decompress | None = None
        self._news: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self.transport: asyncio.Transport
        self.used = False
        """Whether an answer has come over it before."""
        self.idle_since = 0.0

    @property
    def reusable(self) -> bool:
        return self._ended and self._keep and self._lost is None and not self._switched

    @property
    def finished(self) -> bool:
        """Nothing more is to come that this side knows of."""
        return self._ended or self._switched

    @property
    def unread(self) -> bool:
        return bool(self._pieces)

    # -- asking ----------------------------------------------------------------------------

    async def ask(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Answer:
        """The head of the answer. Raises OSError."""
        self._parser = httptools.HttpResponseParser(self)
        self._fields, self._head_size = [], 0
        self._answer, self._inflater = None, None
        self._ended, self._keep = False, False
        lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.transport.write("\r\n".join((*lines, "", "")).encode("latin-1") + (body or b""))
        answer = await self._head()
        self.used = True
        return answer

    async def _head(self) -> Answer:
        while True:
            if self._answer is not None:
                return self._answer
            await self._wait()

    async def read(self) -> bytes:
        """The next piece of the body, ``b""`` at its end. Raises OSError where it breaks off."""
        while not self._pieces:
            if self._ended:
                return b""
            await self._wait()
        data = b"".join(self._pieces) if len(self._pieces) > 1 else self._pieces[0]
        self._pieces.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        return data

    async def read_all(self) -> bytes:
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    async def write(self, data: bytes) -> None:
        """After a switch of protocols. Waits while the server does not read."""
        if self._lost is not None:
            raise BrokenAnswer(str(self._lost) or "connection lost")
        self.transport.write(data)
        while self._writable is not None:
            done, _ = await asyncio.wait({self._writable}, timeout=LOOK_SECONDS)
            if not done and has_vanished(self.transport.get_extra_info("socket")):
                self.abort()
                raise BrokenAnswer("the server is gone")
        if self._lost is not None:
            raise BrokenAnswer(str(self._lost) or "connection lost")

    def close(self) -> None:
        self.transport.close()

    def abort(self) -> None:
        self.transport.abort()

    async def _wait(self) -> None:
        if self._lost is not None:
            if isinstance(self._lost, OSError):
                raise self._lost
            raise BrokenAnswer(str(self._lost))
        self._news = self._loop.create_future()
        try:
            await self._news
        finally:
            self._news = None

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    # -- the loop calls --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._switched:
            self._keep_piece(data)
        elif self._parser is None or self._ended:
            self._lose(BrokenAnswer("the server answers what was not asked"))
        else:
            self._parse(data)
        self._tell()

    def eof_received(self) -> None:
        """None: the transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        # A body without a length ends with its connection.
        if exc is None and self._answer is not None and self._by_close(self._answer):
            self._ended = True
        if self._switched and exc is None:
            self._ended = True
        self._lost = self._lost or exc or BrokenAnswer("Server disconnected")
        self._tell()
        self.resume_writing()

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # -- httptools calls -------------------------------------------------------------------

    def _parse(self, data: bytes) -> None:
        self._head_size += len(data) if self._answer is None else 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as err:
            rest = data[err.args[0] :]
            if rest:
                self._keep_piece(rest)
        except (httptools.HttpParserError, ValueError, OSError) as err:
            self._lose(BrokenAnswer(f"the server's answer is no HTTP: {err}"))
        if self._answer is None and self._head_size > MAX_HEAD:
            self._lose(BrokenAnswer("the head of the server's answer has no end"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name.decode("latin-1").lower(), value.decode("utf-8", "replace")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != _SWITCHING:
            return
        self._answer = Answer(status, tuple(self._fields))
        self._switched = status == _SWITCHING
        if self._answer.header("content-encoding") in ("gzip", "x-gzip"):
            import zlib

            self._inflater = zlib.decompressobj(wbits=31)

    def on_body(self, body: bytes) -> None:
        if self._inflater is not None:
            import zlib

            try:
                body = self._inflater.decompress(body)
            except zlib.error as err:
                raise ValueError(str(err)) from err
        if body:
            self._keep_piece(body)

    def on_message_complete(self) -> None:
        if self._answer is None or self._switched:  # after a "100 Continue" the answer comes
            self._fields = []
            return
        self._ended = True
        self._keep = self._parser.should_keep_alive()

    def _keep_piece(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size > HIGH_WATER and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def _by_close(self, answer: Answer) -> bool:
        chunked = "chunked" in answer.header("transfer-encoding").lower()
        return not chunked and not answer.all("content-length")

    def _lose(self, why: BaseException) -> None:
        self._lost = self._lost or why
        self.transport.abort()
