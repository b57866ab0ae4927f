"""WebSocket subprotocols: which one a client and we agree on, and what differs between them. Pure.

Agents speak v5.channel.k8s.io only: a message is one byte naming the channel, then its data. The
older protocols differ in three ways that ``Dialect`` hides: base64 ones carry text, none but v5
can half-close, and the first ones have plain words on the error channel where later ones have a
Status. As apimachinery pkg/util/httpstream/wsstream.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass

from edgek.api.errors import BadRequest
from server.request.model import Request

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
CHANNELS = (
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
    "",
)
SPDY = "SPDY/3.1"
SPDY_STREAMS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
"""Of exec and attach over SPDY; the client's first that is here."""
STREAM_VERSION = "X-Stream-Protocol-Version"


def wants_websocket(request: Request) -> bool:
    return _wants(request, "websocket")


def wants_spdy(request: Request) -> bool:
    return _wants(request, SPDY.lower())


def _wants(request: Request, protocol: str) -> bool:
    """NB: an Upgrade without the Connection that names it is none (RFC 9110), and is not taken
    for one by the listener either."""
    named = [token.strip() for token in request.header("connection").lower().split(",")]
    return request.header("upgrade").lower() == protocol and "upgrade" in named


def offered(request: Request, supported: Sequence[str]) -> str:
    """The WebSocket subprotocol: the first that the client names and we know; "" where it names
    none."""
    return _agreed(request.header("sec-websocket-protocol"), supported)


def offered_streams(request: Request, supported: Sequence[str]) -> str:
    """The same for streams over SPDY, where one must be named. As httpstream.Handshake."""
    names = request.header(STREAM_VERSION)
    if not names:
        raise BadRequest(f"unable to upgrade: {STREAM_VERSION} is required")
    return _agreed(names, supported)


def _agreed(header: str, supported: Sequence[str]) -> str:
    names = [p.strip() for p in header.split(",")]
    for protocol in names:
        if protocol in supported:
            return protocol
    raise BadRequest(
        f"unable to upgrade: unable to negotiate protocol: client supports {names}, "
        f"server accepts {[p for p in supported if p]}"
    )


def upgrade_required() -> BadRequest:
    return BadRequest("unable to upgrade: missing upgrade headers in request")


@dataclass(frozen=True)
class Dialect:
    protocol: str

    def to_agent(self, message: bytes | str) -> bytes | None:
        """A client's message as v5 has it; None for what means nothing in its protocol."""
        data = self.decode(message)
        if not data or data[0] not in (STDIN, RESIZE, CLOSE):
            return None
        if data[0] == CLOSE and not self.protocol.startswith("v5."):
            return None
        return data

    def to_client(self, data: bytes) -> bytes | str | None:
        if data[:1] == bytes([ERROR]) and not self.protocol.startswith(("v4.", "v5.")):
            words = _failure(data[1:])
            if not words:
                return None
            data = bytes([ERROR]) + words.encode()
        return self.encode(data)

    def encode(self, data: bytes) -> bytes | str:
        """Channel and data as one message."""
        if "base64" in self.protocol:
            return f"{chr(ord('0') + data[0])}{base64.b64encode(data[1:]).decode()}"
        return data

    def decode(self, message: bytes | str) -> bytes:
        """A message as channel and data; empty where it cannot be read."""
        if "base64" not in self.protocol:
            return message.encode() if isinstance(message, str) else message
        raw = message.encode() if isinstance(message, str) else message
        try:
            return bytes([raw[0] - ord("0")]) + base64.b64decode(raw[1:], validate=True)
        except (IndexError, ValueError, binascii.Error):
            return b""


def _failure(status: bytes) -> str:
    """A Status' message; "" for success, of which the first protocols say nothing."""
    try:
        decoded = json.loads(status)
        return "" if decoded.get("status") == "Success" else str(decoded.get("message") or "")
    except (ValueError, AttributeError):
        return status.decode(errors="replace")
