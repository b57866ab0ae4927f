"""HTTP/1.1 requests from bytes, with bounds on head and body; llhttp does the reading.

A message that breaks a bound still comes out of ``ready``, with the refusal to answer; nothing
after it is read. Bytes that are no HTTP raise ``HttpParserError`` out of ``feed``.
"""

import re
from collections import deque
from dataclasses import dataclass, field

import httptools

from edgek.api.errors import ApiError, BadRequest, RequestEntityTooLarge

MAX_HEAD = 64 * 1024
MAX_BODY = 3 * 1024 * 1024
"""As apiserver's MaxRequestBodyBytes."""
MAX_BYTES = MAX_HEAD + 2 * MAX_BODY
"""Of a whole message as it is sent: chunks have headers, and trailers may follow them."""


@dataclass(kw_only=True, slots=True)
class Message:
    """One request as it came. Header names are lower case; repeated ones are joined by commas,
    those of impersonation by line feeds, which no value can hold."""

    method: str = ""
    target: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    version: str = "1.1"
    keep_alive: bool = False
    websocket: bool = False
    refusal: ApiError | None = None


_PROXIED = re.compile(r"/api/v1/namespaces/[^/?]+/(pods|services)/[^/?]+/proxy[/?]")


def is_proxied(target: str) -> bool:
    """Whether another server answers: an upgrade is then agreed with that one, and the bytes
    after it are passed on unread. What a node's agent answers itself is ours."""
    return _PROXIED.match(target) is not None


def joined(key: str, before: str, text: str) -> str:
    """The value of a header that repeats. A group's name may hold commas, and which groups they
    are decides what is allowed."""
    between = "\n" if key.startswith("impersonate-") else ", "
    return f"{before}{between}{text}"


class Parser:
    """``ready``: complete messages in order. ``partial``: one has begun and is not complete."""

    def __init__(self) -> None:
        self.ready: deque[Message] = deque()
        self.partial = False
        self.closed = False
        self.wants_continue = False
        self.rest = b""
        """What came behind a request to upgrade: no longer HTTP."""
        self.upgrading = False
        self._http = httptools.HttpRequestParser(self)
        self._message = Message()
        self._target: list[bytes] = []
        self._body: list[bytes] = []
        self._size = 0
        self._sent = 0
        self._in_head = False

    def feed(self, data: bytes) -> None:
        if self.closed:
            if self.upgrading:
                self.rest += data
            return
        try:
            self._http.feed_data(data)
        except httptools.HttpParserUpgrade as err:
            self.closed = self.upgrading = True
            self.rest = data[err.args[0] :]
            return
        if self._in_head:
            self._size += len(data)
            if self._size > MAX_HEAD:
                self._refuse(BadRequest("the head of the request is too large"))
        elif self.partial:
            self._sent += len(data)
            if self._sent > MAX_BYTES:
                self._refuse(_too_large())

    def _refuse(self, error: ApiError) -> None:
        if not self.closed:
            self._message.refusal = error
            self._message.keep_alive = False
            self._finish()
            self.closed = True

    def _finish(self) -> None:
        self.ready.append(self._message)
        self.partial = False
        self.wants_continue = False

    # --- called by httptools -------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._message = Message()
        self._target, self._body, self._size, self._sent = [], [], 0, 0
        self.partial = self._in_head = True

    def on_url(self, url: bytes) -> None:
        self._target.append(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer: it comes too late to mean anything
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers = self._message.headers
        headers[key] = joined(key, headers[key], text) if key in headers else text

    def on_headers_complete(self) -> None:
        message, http = self._message, self._http
        self._in_head, self._size = False, 0
        message.method = http.get_method().decode("latin-1")
        message.target = b"".join(self._target).decode("latin-1")
        message.version = http.get_http_version()
        message.keep_alive = http.should_keep_alive()
        if http.should_upgrade():
            wanted = message.headers.get("upgrade", "").lower() == "websocket"
            message.websocket = wanted and not is_proxied(message.target)
            message.keep_alive = False
        if int(message.headers.get("content-length", "0")) > MAX_BODY:
            self._refuse(_too_large())
        else:
            self.wants_continue = message.headers.get("expect", "").lower() == "100-continue"

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > MAX_BODY:
            self._body.clear()
            self._refuse(_too_large())
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if not self.closed:
            self._message.body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._finish()


def _too_large() -> ApiError:
    return RequestEntityTooLarge(f"Request entity too large: limit is {MAX_BODY}")
