"""Request and Response: what ``handle`` takes and gives, free of aiohttp.

An HTTP request brings ``raw_body`` bytes; an in-process one brings ``body`` decoded. A Response
is exactly one of: an object (encoded late, or handed over as it is in process), ready bytes,
a byte stream, a watch, or an upgrade (to a WebSocket, or to bare bytes).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from edgek.api.meta import Obj
from edgek.client.transport import WatchEvent
from server.request.info import RequestInfo


@dataclass(frozen=True, kw_only=True)
class User:
    """Who asks. ``extra`` as in authentication/v1 UserInfo."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def user_info(user: User) -> Obj:
    """As authentication/v1 UserInfo has it, empty fields left out."""
    info = {
        "username": user.name,
        "uid": user.uid,
        "groups": list(user.groups),
        "extra": {key: list(values) for key, values in user.extra.items()},
    }
    return {key: value for key, value in info.items() if value}


_UNREAD = RequestInfo()
ANONYMOUS = User(name="system:anonymous", groups=("system:unauthenticated",))


@dataclass(kw_only=True, slots=True)
class Request:
    """One request on its way down the filters, which fill in ``info`` and ``user``."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    raw_query: str = ""
    """As in the URL; for the rare parameter that repeats (exec's ``command``)."""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw_body: bytes = b""
    body: Any = None
    """The decoded body; None until someone decodes ``raw_body``. In process: set by the caller."""
    peer_certificate: bytes | None = None
    """DER of a client certificate that TLS has verified against our client CA."""
    remote: str = ""
    in_process: bool = False
    user: User = ANONYMOUS
    info: RequestInfo = _UNREAD
    warnings: list[str] = field(default_factory=list)

    def header(self, name: str) -> str:
        return self.headers.get(name.lower(), "")


class WebSocket(Protocol):
    """The server's side of an upgraded connection: messages in, messages out."""

    broke: bool
    """Whether it ended otherwise than by the peer's word that all is well."""

    async def receive(self) -> bytes | str | None:
        """The next message; None once the peer has closed."""

    async def send(self, message: bytes | str) -> None: ...

    async def close(self, code: int = 1000) -> None: ...


class ByteStream(Protocol):
    """The server's side of a connection that is no HTTP any more. ``read`` and ``write`` raise
    OSError once it is broken; writing waits while the peer is slow."""

    async def read(self) -> bytes:
        """``b""`` at the end."""

    async def write(self, data: bytes) -> None: ...

    async def close(self) -> None: ...


async def nothing_to_abandon() -> None:
    """Of an upgrade for which nothing was opened yet."""


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """Accept a WebSocket: ``serve`` runs until the conversation ends. ``protocol`` is the
    subprotocol chosen from those the client offered, "" for none. Where the WebSocket does not
    come about, ``abandon`` is called in place of ``serve``."""

    protocol: str
    serve: Callable[[WebSocket], Awaitable[None]]
    abandon: Callable[[], Awaitable[None]] = nothing_to_abandon


@dataclass(frozen=True, kw_only=True)
class RawUpgrade:
    """Switch the connection to ``protocol`` (SPDY/3.1) and hand its bytes over."""

    protocol: str
    headers: Mapping[str, str] = field(default_factory=dict)
    serve: Callable[[ByteStream], Awaitable[None]]
    abandon: Callable[[], Awaitable[None]] = nothing_to_abandon


Watch = AsyncIterator[list[tuple[WatchEvent | None, bytes]]]
"""Batches of (decoded event, its line on the wire). The decoded side is None in responses that
only travel as bytes (Tables)."""


@dataclass(kw_only=True, slots=True)
class Response:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    obj: Obj | None = None
    """Shared with the cache: never mutate."""
    body: bytes | None = None
    stream: AsyncIterator[bytes] | None = None
    watch: Watch | None = None
    upgrade: Upgrade | None = None
    raw_upgrade: RawUpgrade | None = None
    """Only for a request that names its protocol in ``Upgrade``, and is no WebSocket."""


Handler = Callable[[Request], Awaitable[Response]]
Filter = Callable[[Handler], Handler]
"""Wraps the rest of the chain. Order is the tuple FILTERS in server/app.py."""

__all__ = [
    "ANONYMOUS", "ByteStream", "Filter", "Handler", "RawUpgrade", "Request", "Response", "Upgrade",
    "User", "Watch", "WebSocket", "replace",
]  # fmt: skip
