"""The door, made with the first call, from which names of Services lead to their endpoints."""

from typing import TYPE_CHECKING

from server.request.reader import Reader
from server.webhooks.where import Address, addresses_of, service_of

if TYPE_CHECKING:
    from server.webhooks.door import Door
    from server.webhooks.pods import PodDialer


class RoutedDoor:
    """Costs nothing before ``open``. ``connections`` and ``to_one`` are the door's bounds.
    ``dialer``: how pods are reached, None where there is a route to them."""

    def __init__(
        self,
        reader: Reader,
        *,
        connections: int,
        to_one: int = 0,
        dialer: "PodDialer | None" = None,
    ) -> None:
        self._reader = reader
        self._dialer = dialer
        self._connections = connections
        self._to_one = to_one
        self._door: Door | None = None

    def open(self) -> "Door":
        from server.webhooks.door import Door

        if self._door is None:
            self._door = Door(
                self._find,
                connections=self._connections,
                to_one=self._to_one,
                dialer=self._dialer,
            )
        return self._door

    async def close(self) -> None:
        door, self._door = self._door, None
        if door is not None:
            await door.close()

    def _find(self, host: str, port: int) -> list[Address] | None:
        """Of Services from the store; of the rest of the world the system knows."""
        service = service_of(host)
        return addresses_of(self._reader, service, port) if service is not None else None
