"""How webhooks and API servers that run in pods are reached: a stream of kind dial, as the proxy's.

What server/webhooks/pods.py asks for, out of what server/tunnel.py gives.
"""

from edgek.api.errors import ApiError
from server.endpoints.subresources.backend import Backend
from server.endpoints.subresources.raw import RawStream


class PodReach:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def leads_to(self, node: str) -> bool:
        try:
            self._backend.check(node)
        except ApiError:
            return False
        return True

    async def dial(self, node: str, pod_uid: str, port: int) -> RawStream:
        """Raises ApiError."""
        params = {"podUID": pod_uid, "port": port}
        return RawStream(await self._backend.open(node, "dial", params))
