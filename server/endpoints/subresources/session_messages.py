"""What an agent's session says, to its end, in whatever form the client gets it."""

import json
from collections.abc import AsyncIterator

from edgek.api.errors import InternalError
from server.endpoints.subresources.backend import Stream
from server.endpoints.subresources.subprotocol import ERROR

BROKEN = "the connection to the node broke off"


async def session_messages(stream: Stream) -> AsyncIterator[bytes]:
    """Messages of v5.channel.k8s.io. A session without a Status at its end has broken off, and
    gets one here: clients take silence for success."""
    told = False
    while (data := await stream.receive()) is not None:
        told = told or data[:1] == bytes([ERROR])
        if data:
            yield data
    if not told:
        yield bytes([ERROR]) + json.dumps(InternalError(BROKEN).to_status()).encode()
