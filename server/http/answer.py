"""What a Response looks like on the wire: status line, headers, and the gzip decision. Pure."""

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

from edgek.api.errors import BadRequest
from server.http.parser import Message
from server.http.warning import bounded
from server.request.model import Request, Response

GZIP_FROM = 128 * 1024
_NO_QUERY: dict[str, str] = {}


def request_of(message: Message, *, peer_certificate: bytes | None, remote: str) -> Request:
    """Raises BadRequest where the URL cannot be read."""
    raw_path, _, raw_query = message.target.partition("?")
    try:
        path = unquote(raw_path, errors="strict") if "%" in raw_path else raw_path
        query = _query(raw_query) if raw_query else _NO_QUERY
    except ValueError as err:
        raise BadRequest("the URL cannot be read") from err
    return Request(
        method=message.method,
        path=path,
        query=query,
        raw_query=raw_query,
        headers=message.headers,
        raw_body=message.body,
        peer_certificate=peer_certificate,
        remote=remote,
    )


def _query(raw: str) -> dict[str, str]:
    """Of a parameter that repeats, the first: as Go's url.Values.Get."""
    pairs = parse_qsl(raw, keep_blank_values=True, max_num_fields=256)
    return dict(reversed(pairs))


def wants_gzip(message: Message, response: Response, body: bytes) -> bool:
    return (
        len(body) >= GZIP_FROM
        and "gzip" in message.headers.get("accept-encoding", "")
        and "Content-Encoding" not in response.headers
    )


def head(
    message: Message,
    response: Response,
    *,
    warnings: list[str],
    length: int | None,
    keep_alive: bool,
    gzipped: bool = False,
) -> bytes:
    """Everything before the body. ``length`` None: the body comes in chunks, or ends with the
    connection where the client is too old for chunks."""
    lines = [
        f"HTTP/{message.version} ",
        _start(response.status, response.content_type, int(time.time())),
    ]
    if length is not None:
        lines.append(f"Content-Length: {length}\r\n")
    elif message.version != "1.0":
        lines.append("Transfer-Encoding: chunked\r\n")
    if gzipped:
        lines.append("Content-Encoding: gzip\r\n")
    if "Cache-Control" not in response.headers:
        lines.append("Cache-Control: no-cache, private\r\n")
    for name, value in response.headers.items():
        # Cookies cannot be joined by commas, so they come joined by line feeds.
        values = value.split("\n") if name == "Set-Cookie" else (value,)
        lines += [f"{name}: {_clean(part)}\r\n" for part in values]
    for warning in bounded(warnings):
        text = warning.replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'Warning: 299 - "{_clean(text)}"\r\n')
    if not keep_alive:
        lines.append("Connection: close\r\n")
    elif message.version == "1.0":
        lines.append("Connection: keep-alive\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("utf-8", errors="replace")


@lru_cache(maxsize=64)
def _start(status: int, content_type: str, second: int) -> str:
    """What is behind the version: most answers of one second begin alike."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    # What a 304 says of the content replaces what the client's cache knows of it.
    typed = "" if status == 304 else f"Content-Type: {content_type}\r\n"
    return f"{status} {phrase}\r\nDate: {formatdate(second, usegmt=True)}\r\n{typed}"


def _clean(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ")
