"""Which cluster IPs and node ports are taken, and which is next: pure, no I/O.

The registry asks when a Service is written, inside the write, so that no two Services can
get the same address; after a start it fills ``used`` from the Services it finds. A part of
each range is left to explicit asks as long as there is another choice: the static band of
KEP-3070 and KEP-3668, so that hand-picked values (cluster DNS) rarely meet drawn ones.
"""

import random
from collections.abc import Iterable
from ipaddress import ip_address, ip_network


class AllocationError(ValueError):
    """Why nothing was allocated, in the words of upstream's allocators."""


class Band:
    """A set of integers out of ``first..last``; ``reserved`` is the size of the static band.

    The draw is random, as upstream's: a value freed by one Service is not at once the next
    one's, while nodes may still hold rules of the first.
    """

    def __init__(self, first: int, last: int, *, reserved: int, rng: random.Random | None = None):
        self.first, self.last = first, last
        self._reserved = reserved
        self._used: set[int] = set()
        self._rng = rng or random.Random()

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last

    def __len__(self) -> int:
        return len(self._used)

    def free(self) -> int:
        return self.last - self.first + 1 - len(self._used)

    def taken(self, number: int) -> bool:
        return number in self._used

    def take(self, number: int) -> None:
        self._used.add(number)

    def release(self, number: int) -> None:
        self._used.discard(number)

    def take_any(self) -> int | None:
        """A free number, the static band last; None when there is none."""
        start = self.first + self._reserved
        found = self._draw(start, self.last)
        if found is None:
            found = self._draw(self.first, start - 1)
        if found is not None:
            self._used.add(found)
        return found

    def _draw(self, low: int, high: int) -> int | None:
        if low > high:
            return None
        start = self._rng.randint(low, high)
        for number in range(start, high + 1):
            if number not in self._used:
                return number
        return next((n for n in range(low, start) if n not in self._used), None)


def static_band(size: int, *, least: int, most: int, step: int) -> int:
    """As ipallocator and portallocator calculateRangeOffset: a share, within bounds."""
    if size <= least:
        return 0
    return min(max(size // step, least), most)


class IpAllocator:
    """Cluster IPs of one service CIDR, as text in and out."""

    def __init__(
        self, cidr: str, used: Iterable[str] = (), *, rng: random.Random | None = None
    ) -> None:
        self.network = ip_network(cidr)
        # The network's own address and, in IPv4, its broadcast address are nobody's.
        first = int(self.network.network_address) + 1
        last = int(self.network.broadcast_address) - (1 if self.network.version == 4 else 0)
        reserved = static_band(last - first + 1, least=16, most=256, step=16)
        self._band = Band(first, last, reserved=reserved, rng=rng)
        for address in used:
            self._band.take(int(ip_address(address)))

    def first(self) -> str:
        """The address of the ``kubernetes`` Service."""
        return self._text(self._band.first)

    def has(self, address: str) -> bool:
        return self._band.taken(int(ip_address(address)))

    def allocate_next(self) -> str:
        found = self._band.take_any()
        if found is None:
            raise AllocationError("range is full")
        return self._text(found)

    def allocate(self, address: str) -> str:
        """Takes the very ``address``; raises AllocationError when it is taken or outside."""
        number = self._number(address)
        if self._band.taken(number):
            raise AllocationError("provided IP is already allocated")
        self._band.take(number)
        return address

    def release(self, address: str) -> None:
        """Frees the address; nothing happens when it was free."""
        self._band.release(int(ip_address(address)))

    def _number(self, address: str) -> int:
        parsed = ip_address(address)
        if parsed.version != self.network.version or int(parsed) not in self._band:
            raise AllocationError(
                f"the provided IP ({address}) is not in the valid range. "
                f"The range of valid IPs is {self.network}"
            )
        return int(parsed)

    def _text(self, number: int) -> str:
        return str(type(self.network.network_address)(number))


class PortAllocator:
    """Node ports out of ``30000-32767`` or another range written so.

    NB: one Service may have the same node port for several protocols; that is one allocation,
    and the caller's to know.
    """

    def __init__(
        self, ports: str, used: Iterable[int] = (), *, rng: random.Random | None = None
    ) -> None:
        low, _, high = ports.partition("-")
        self._ports = ports
        first, last = int(low), int(high or low)
        reserved = static_band(last - first + 1, least=16, most=128, step=32)
        self._band = Band(first, last, reserved=reserved, rng=rng)
        for port in used:
            self._band.take(port)

    def has(self, port: int) -> bool:
        return self._band.taken(port)

    def allocate_next(self) -> int:
        found = self._band.take_any()
        if found is None:
            raise AllocationError("range is full")
        return found

    def allocate(self, port: int) -> int:
        if port not in self._band:
            raise AllocationError(
                "provided port is not in the valid range. "
                f"The range of valid ports is {self._ports}"
            )
        if self._band.taken(port):
            raise AllocationError("provided port is already allocated")
        self._band.take(port)
        return port

    def release(self, port: int) -> None:
        self._band.release(port)
