"""One HTTP GET for a probe or a hook: a status code and the beginning of a body.

As pkg/probe/http: no certificate is checked, redirects are followed while they stay on the same
host, at most 10 KiB of the body are read. A connection of its own each time; httptools parses.
Errors are worded as Go's client words them, because they end up in events.
"""

import asyncio
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from urllib.parse import urljoin, urlsplit

from edgek.api.meta import Obj
from edgek.kinds.pods import port_number

MAX_BODY = 10 * 1024
MAX_HEAD = 64 * 1024
MAX_REDIRECTS = 10
REDIRECTS = (301, 302, 303, 307, 308)
VERSION = "1.37"


class HttpError(Exception):
    """No answer; the text is fit for an event."""


class PortNotFound(ValueError):
    """A port's name that no container of the pod has."""


@dataclass(frozen=True, kw_only=True)
class Request:
    scheme: str
    host: str
    port: int
    target: str
    """Path and query."""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def url(self) -> str:
        return f"{self.scheme}://{joined(self.host, self.port)}{self.target}"


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    body: str
    location: str = ""


def make_request(get: Obj, container: Obj, *, pod_ip: str, purpose: str = "probe") -> Request:
    """For an httpGet action. Raises PortNotFound."""
    path = str(get.get("path") or "")
    return Request(
        scheme=str(get.get("scheme") or "HTTP").lower(),
        host=str(get.get("host") or pod_ip),
        port=find_port(container, get["port"]),
        target=_target(path),
        headers=_headers(get.get("httpHeaders") or (), purpose),
    )


def find_port(container: Obj, port: int | str) -> int:
    number = port_number({"spec": {"containers": [container]}}, port)
    if number is None and str(port).isdecimal():
        number = int(port)
    if number is None:
        raise PortNotFound(f"couldn't find port: {port}")
    return number


def _target(path: str) -> str:
    """The request line's part of the URL; the fragment stays here."""
    path = path.partition("#")[0].replace(" ", "%20")
    return path if path.startswith("/") else f"/{path}"


def _headers(wanted: Iterable[Obj], purpose: str) -> tuple[tuple[str, str], ...]:
    given = [(str(h["name"]), str(h.get("value") or "")) for h in wanted]
    names = {name.lower() for name, _ in given}
    if "user-agent" not in names:
        given.append(("User-Agent", f"kube-{purpose}/{VERSION}"))
    if "accept" not in names:
        given.append(("Accept", "*/*"))
    return tuple((k, v) for k, v in given if v or k.lower() != "accept")


async def http_get(request: Request) -> Answer:
    """Follows redirects on the same host. Raises HttpError, TimeoutError is the caller's."""
    current = request
    for _ in range(MAX_REDIRECTS):
        try:
            answer = await _exchange(current)
        except (OSError, HttpError, ValueError) as err:
            raise HttpError(f'Get "{current.url}": {_worded(err, current)}') from err
        if answer.status not in REDIRECTS or not answer.location:
            return answer
        following = _redirected(current, answer.location)
        if following is None or following.host != request.host:
            return answer
        current = following
    raise HttpError(f'Get "{current.url}": stopped after {MAX_REDIRECTS} redirects')


def _redirected(request: Request, location: str) -> Request | None:
    try:
        url = urlsplit(urljoin(request.url, location))
        port = url.port or (443 if url.scheme == "https" else 80)
    except ValueError:
        return None
    if url.scheme not in ("http", "https") or not url.hostname:
        return None
    target = _target(url.path + (f"?{url.query}" if url.query else ""))
    return replace(request, scheme=url.scheme, host=url.hostname, port=port, target=target)


async def _exchange(request: Request) -> Answer:
    loop = asyncio.get_running_loop()
    context = _unverified() if request.scheme == "https" else None
    transport, reading = await loop.create_connection(
        _Reading, request.host, request.port, ssl=context
    )
    try:
        transport.write(_head(request))
        return await reading.answer
    finally:
        transport.abort()


def _head(request: Request) -> bytes:
    host = next((v for k, v in request.headers if k.lower() == "host" and v), "")
    default = 443 if request.scheme == "https" else 80
    own = joined(request.host, request.port if request.port != default else 0)
    lines = [f"GET {request.target} HTTP/1.1", f"Host: {host or own}"]
    lines += [f"{k}: {v}" for k, v in request.headers if k.lower() != "host"]
    text = "\r\n".join([*lines, "Connection: close", "", ""])
    return text.encode("utf-8")


class _Reading(asyncio.Protocol):
    """Reads one response; ``answer`` is done once its body has ended or is long enough."""

    def __init__(self) -> None:
        import httptools

        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._error = httptools.HttpParserError
        self._body = bytearray()
        self._location = ""
        self._size = 0
        self._headed = False

    # Called by asyncio.

    def data_received(self, data: bytes) -> None:
        self._size += len(data)
        if self.answer.done():
            return
        try:
            self._parser.feed_data(data)
        except self._error:
            said = data[:40].decode("latin-1")
            self._fail(HttpError(f'malformed HTTP response "{said.splitlines()[0]}"'))
        if not self._headed and self._size > MAX_HEAD:
            self._fail(HttpError("net/http: server response headers exceeded limit"))
        elif len(self._body) >= MAX_BODY:
            self._end()

    def connection_lost(self, err: Exception | None) -> None:
        if self._headed and err is None:
            self._end()  # a body without a length ends with the connection
        else:
            self._fail(err or HttpError("EOF"))

    # Called by httptools.

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"location":
            self._location = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._headed = self._parser.get_status_code() >= 200

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._headed:  # 100 Continue and the like come before the answer
            self._end()

    def _end(self) -> None:
        if not self.answer.done():
            body = bytes(self._body[:MAX_BODY]).decode(errors="replace")
            status = self._parser.get_status_code()
            self.answer.set_result(Answer(status=status, body=body, location=self._location))

    def _fail(self, err: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(err)


@cache
def _unverified() -> ssl.SSLContext:
    """As the kubelet: probes check no certificate. Made once: it costs more than a probe."""
    return ssl._create_unverified_context()


def _worded(err: Exception, request: Request) -> str:
    if isinstance(err, ssl.SSLError):
        return f"tls: {err.reason or err}"
    if isinstance(err, OSError) and not isinstance(err, ConnectionResetError):
        return dial_error(err, request.host, request.port)
    return "connection reset by peer" if isinstance(err, OSError) else str(err)


def dial_error(err: OSError, host: str, port: int) -> str:
    """As Go says that a connection cannot be made."""
    # asyncio puts words of its own into strerror.
    said = os.strerror(err.errno) if err.errno and err.errno > 0 else str(err)
    said = said[:1].lower() + said[1:]
    return f"dial tcp {joined(host, port)}: connect: {said}"


def joined(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{port}" if port else shown
