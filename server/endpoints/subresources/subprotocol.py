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
SPDY = "unable to upgrade: SPDY is not supported by this server; use kubectl 1.30 or later"


def wants_websocket(request: Request) -> bool:
    """NB: an Upgrade without the Connection that names it is none (RFC 9110), and is not taken
    for one by the listener either."""
    named = [token.strip() for token in request.header("connection").lower().split(",")]
    return request.header("upgrade").lower() == "websocket" and "upgrade" in named


def offered(request: Request, supported: Sequence[str]) -> str:
    """The first that the client names and we know; "" where it names none."""
    names = [p.strip() for p in request.header("sec-websocket-protocol").split(",")]
    for protocol in names:
        if protocol in supported:
            return protocol
    raise BadRequest(
        f"unable to upgrade: unable to negotiate protocol: client supports {names}, "
        f"server accepts {[p for p in supported if p]}"
    )


def require_websocket(request: Request) -> None:
    if wants_websocket(request):
        return
    if request.header("upgrade").lower().startswith("spdy/"):
        raise BadRequest(SPDY)
    raise BadRequest("Upgrade request required")


@dataclass(frozen=True)
class Dialect:
    protocol: str

    def to_agent(self, message: bytes | str) -> bytes | None:
        """A client's message as v5 has it; None for what means nothing in its protocol."""
        data = self._decode(message)
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
        if "base64" in self.protocol:
            return f"{data[0]}{base64.b64encode(data[1:]).decode()}"
        return data

    def _decode(self, message: bytes | str) -> bytes:
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
