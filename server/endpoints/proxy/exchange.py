"""One HTTP/1.1 request over a byte stream, and its answer as it comes; llhttp does the reading.

What is read from the stream is handed on before more is read, so a slow client slows the pod.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import httptools

MAX_HEAD = 64 * 1024
HEAD_SECONDS = 600.0
"""For an answer to begin: some wait for something to happen. What streams then may take as long as
it likes."""
WRITE_SECONDS = 30.0


class Bytes(Protocol):
    """RawStream is it, and TlsStream around one."""

    async def read(self) -> bytes: ...

    async def write(self, data: bytes) -> None: ...

    async def close(self) -> None: ...


class NoAnswer(Exception):
    """The other side broke off, or speaks no HTTP; the text is for the client."""


Headers = Sequence[tuple[str, str]]


class Answer:
    """``status`` and ``headers`` hold once ``ask`` has returned. ``upgraded``: the bytes from here
    on, beginning with ``rest``, are no HTTP."""

    def __init__(self, stream: Bytes) -> None:
        self.stream = stream
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.upgraded = False
        self.rest = b""
        self._http = httptools.HttpResponseParser(self)
        self._ready: deque[bytes] = deque()
        self._head = self._complete = False

    async def read_head(self) -> None:
        """Raises NoAnswer."""
        size = 0
        while not self._head:
            data = await self._receive()
            size += len(data)
            if not data or size > MAX_HEAD:
                raise NoAnswer("EOF" if not data else "the head of the answer is too large")
            self._feed(data)

    async def _receive(self) -> bytes:
        try:
            return await self.stream.read()
        except OSError as err:
            raise NoAnswer(str(err) or "unexpected EOF") from err

    def _feed(self, data: bytes) -> None:
        try:
            self._http.feed_data(data)
        except httptools.HttpParserUpgrade as err:
            self.upgraded, self.rest = True, data[err.args[0] :]
        except httptools.HttpParserError as err:
            raise NoAnswer("malformed HTTP response") from err

    async def chunk(self) -> bytes:
        """The next piece of the body, ``b""`` at its end. Raises NoAnswer."""
        while not self._ready and not self._complete:
            data = await self._receive()
            if data:
                self._feed(data)
            elif self._lasts():
                raise NoAnswer("unexpected EOF")
            else:
                self._complete = True
        return self._ready.popleft() if self._ready else b""

    def _lasts(self) -> bool:
        """Whether the body says itself where it ends; else it ends with the connection."""
        names = {name.lower() for name, _ in self.headers}
        return bool(names & {"content-length", "transfer-encoding"})

    def header(self, wanted: str) -> str:
        return next((v for name, v in self.headers if name.lower() == wanted), "")

    # --- called by httptools -----------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head:
            self.headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.status = self._http.get_status_code()
        self._head = self.status >= 200 or self.status == 101  # 100 and 103 come before it

    def on_body(self, body: bytes) -> None:
        self._ready.append(body)

    def on_message_complete(self) -> None:
        self._complete = self._head


async def ask(
    stream: Bytes, method: str, target: str, *, headers: Headers, body: bytes = b""
) -> Answer:
    """The answer's head. Raises NoAnswer."""
    lines = [f"{method} {target} HTTP/1.1"]
    # Capitals as Go writes them: there are servers that look for them.
    lines += [f"{name.title()}: {_clean(value)}" for name, value in headers]
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    answer = Answer(stream)
    try:
        async with asyncio.timeout(WRITE_SECONDS + HEAD_SECONDS):
            await stream.write("\r\n".join((*lines, "", "")).encode("latin-1", "replace"))
            if body:
                await stream.write(body)
            await answer.read_head()
    except TimeoutError as err:
        raise NoAnswer("context deadline exceeded") from err
    except OSError as err:
        raise NoAnswer(str(err) or "connection reset by peer") from err
    return answer


def _clean(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ")
