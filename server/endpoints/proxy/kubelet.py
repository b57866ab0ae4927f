"""What a node's agent answers itself: a GET through a stream of kind http (agent/api/http.py)."""

import asyncio

import orjson

from edgek.api.errors import ApiError, InternalError, ServiceUnavailable
from server.endpoints.subresources.backend import Backend, Chunks, Stream

HEAD_SECONDS = 60.0
MAX_WHOLE = 32 * 1024 * 1024


class KubeletAnswer(Chunks):
    """The body is read once, by iterating; ``aclose`` ends it early."""

    def __init__(self, stream: Stream, head: dict[str, object]) -> None:
        super().__init__(stream)
        self.status = int(str(head.get("status") or 500))
        self.content_type = str(head.get("contentType") or "text/plain")

    async def whole(self) -> bytes:
        """All of the body. Raises InternalError where it is too much, and ServiceUnavailable
        where it broke off."""
        parts, size = [], 0
        try:
            async for piece in self:
                size += len(piece)
                if size > MAX_WHOLE:
                    raise InternalError("the node's answer is too large")
                parts.append(piece)
        except ConnectionResetError as err:
            raise ServiceUnavailable("error trying to reach service: unexpected EOF") from err
        finally:
            await self.aclose()
        return b"".join(parts)


async def ask_kubelet(
    backend: Backend, node: str, path: str, *, query: str = "", method: str = "GET"
) -> KubeletAnswer:
    """Raises ServiceUnavailable where the node does not answer."""
    params = {"method": method, "path": path, "query": query}
    try:
        stream = await backend.open(node, "http", params)
    except ApiError as err:
        raise ServiceUnavailable(f"error trying to reach service: {err.message}") from err
    try:
        async with asyncio.timeout(HEAD_SECONDS):
            head = orjson.loads(await stream.receive() or b"null")
    except (TimeoutError, ValueError):
        head = None
    except BaseException:
        await stream.close()
        raise
    if not isinstance(head, dict):
        await stream.close()
        raise ServiceUnavailable("error trying to reach service: EOF")
    return KubeletAnswer(stream, head)
