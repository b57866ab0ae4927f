"""Which server to trust: its CA is fetched before anything secret is sent.

The connection for it checks no certificate and carries no credential, so a wrong server learns
nothing and what it answers proves nothing, until its hash is found to be the expected one.
"""

import asyncio
import logging

from edgek.api.errors import ApiError, ServiceUnavailable, Timeout
from edgek.client.http import Access, HttpTransport
from edgek.client.transport import Call
from edgek.pki.tokens import JoinToken, ca_hash
from edgek.roles import StartError

log = logging.getLogger(__name__)

MAX_CA = 64 * 1024
FETCH_TIMEOUT = 15.0


async def fetch_ca(server: str, *, token: JoinToken, known: bytes | None) -> bytes:
    """The server's CA (PEM), if it is the one the token pins; with a bare secret, the one we have
    already; failing both, whatever the server shows, with a warning. Raises StartError where it
    is another, ServiceUnavailable or Timeout where nobody answers."""
    transport = HttpTransport(Access(server=server, insecure=True))
    try:
        shown = await _read(transport)
    except (ServiceUnavailable, Timeout):
        raise
    except ApiError as err:
        raise StartError(f"{server} gives out no /cacerts; is it an edgek server?") from err
    finally:
        await transport.close()
    found, expected = ca_hash(shown), token.ca_hash or (ca_hash(known) if known else "")
    if not expected:
        log.warning("token has no CA hash, trusting the server at first sight server=%s ca-hash=%s",
                    server, found)  # fmt: skip
    elif found != expected:
        raise StartError(
            f"the server {server} is not the one the token is from: its CA has the hash "
            f"{found[:12]}..., not {expected[:12]}...; the token was not sent"
        )
    return shown


async def _read(transport: HttpTransport) -> bytes:
    call = Call(method="GET", path="/cacerts", timeout=FETCH_TIMEOUT)
    content = b""
    try:
        async with asyncio.timeout(FETCH_TIMEOUT), transport.stream(call) as chunks:
            async for chunk in chunks:
                content += chunk
                if len(content) > MAX_CA:
                    raise StartError("the server's answer for /cacerts is too long to be a CA")
    except TimeoutError as err:
        raise Timeout("no answer for /cacerts in time") from err
    return content
