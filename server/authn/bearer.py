"""The bearer token of a request: in its header, or, for browsers, among its WebSocket protocols.

As apiserver pkg/authentication/request/websocket: a browser cannot set the header of a WebSocket,
so it offers a protocol that carries the token beside the one it means to speak.
"""

import base64
import binascii

from server.authn.authenticator import TokenAuthenticator, TokenOwner
from server.request.model import Request

MAX_LENGTH = 16 * 1024
_PROTOCOL = "base64url.bearer.authorization.k8s.io."


async def bearer_owner(request: Request, tokens: TokenAuthenticator) -> TokenOwner | None:
    """Whose token the request carries; None where it has none, or none that ``tokens`` knows.
    Raises Unauthorized."""
    token = bearer_token(request)
    return await tokens.authenticate_token(token, ()) if token else None


def bearer_token(request: Request) -> str:
    """ "" where there is none, or one too long to be ours."""
    scheme, _, token = request.header("authorization").partition(" ")
    if not scheme:
        return _among_protocols(request)
    token = token.strip()
    return token if scheme.lower() == "bearer" and len(token) <= MAX_LENGTH else ""


def _among_protocols(request: Request) -> str:
    offered = request.header("sec-websocket-protocol")
    if _PROTOCOL not in offered or len(offered) > 2 * MAX_LENGTH:
        return ""
    tokens = [p.strip() for p in offered.split(",") if p.strip().startswith(_PROTOCOL)]
    text = tokens[0].removeprefix(_PROTOCOL) if len(tokens) == 1 else ""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
