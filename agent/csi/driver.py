"""Drivers: what is registered on this node, and the calls a node makes of one.

As pkg/volume/csi/csi_client.go. Every call has an end: a driver that hangs fails its volume only.
"""

import asyncio
from collections.abc import Callable

from agent.csi.messages import csi_messages
from agent.grpc.call import GrpcError, call
from agent.grpc.messages import Message
from agent.pods.volumes.plugin import VolumeError

CALL_SECONDS = 120.0
"""As csiTimeout."""
WAIT_SECONDS = 10.0
"""A pod may be there before its driver: it is waited for a while before that is said."""


async def ask(address: str, path: str, message: Message, *, seconds: float) -> Message:
    """``path`` ends in the method, by which its messages are named. Raises GrpcError."""
    service, _, method = path.rpartition("/")
    request, answer = _names(service, method)
    body = csi_messages().encode(request, message)
    data = await call(address, path, body, seconds=seconds)
    try:
        return csi_messages().decode(answer, data)
    except ValueError as err:
        raise GrpcError("INTERNAL", f"the answer cannot be read: {err}") from err


def _names(service: str, method: str) -> tuple[str, str]:
    if service.endswith(".Registration"):
        return {
            "GetInfo": ("InfoRequest", "PluginInfo"),
            "NotifyRegistrationStatus": ("RegistrationStatus", "RegistrationStatusResponse"),
        }[method]
    return f"{method}Request", f"{method}Response"


class Driver:
    def __init__(self, name: str, endpoint: str) -> None:
        self.name, self.endpoint = name, endpoint
        self._capabilities: frozenset[int] | None = None

    async def node(self, method: str, seconds: float = CALL_SECONDS, **message: object) -> Message:
        """One call of the Node service: ``node("NodeUnstageVolume", volume_id=...)``. Raises
        VolumeError in the driver's words."""
        try:
            address = f"unix://{self.endpoint}"
            return await ask(address, f"/csi.v1.Node/{method}", message, seconds=seconds)
        except GrpcError as err:
            raise VolumeError(str(err)) from err

    async def can(self, capability: int) -> bool:
        if self._capabilities is None:
            answer = await self.node("NodeGetCapabilities")
            self._capabilities = frozenset(
                (c.get("rpc") or {}).get("type", 0) for c in answer.get("capabilities") or ()
            )
        return capability in self._capabilities


class Drivers:
    """By name. ``on_come`` is called after a driver came."""

    def __init__(self) -> None:
        self._known: dict[str, Driver] = {}
        self._came = asyncio.Event()
        self.on_come: Callable[[], None] = lambda: None

    def get(self, name: str) -> Driver:
        found = self._known.get(name)
        if found is None:
            raise VolumeError(f"driver name {name} not found in the list of registered CSI drivers")
        return found

    def has(self, name: str) -> bool:
        return name in self._known

    async def wait(self, name: str, *, seconds: float = WAIT_SECONDS) -> Driver:
        """Raises VolumeError where the driver does not come."""
        try:
            async with asyncio.timeout(seconds):
                while name not in self._known:
                    await self._came.wait()
        except TimeoutError:
            pass
        return self.get(name)

    def add(self, driver: Driver) -> None:
        self._known[driver.name] = driver
        self._came.set()
        self._came = asyncio.Event()
        self.on_come()

    def remove(self, driver: Driver) -> bool:
        """False where another one has taken its name."""
        if self._known.get(driver.name) is not driver:
            return False
        del self._known[driver.name]
        return True
