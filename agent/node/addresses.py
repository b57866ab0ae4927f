"""The node's addresses: given by option, or found from the route to the server and followed as
DHCP changes them. Pure but for ``find_addresses``, which asks the kernel's routing table.

As nodestatus.NodeAddress: one InternalIP a family, the ExternalIPs given, and the Hostname.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgek.api.meta import Obj


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """The first of ``internal`` is what other nodes and pods use."""

    internal: tuple[str, ...] = ()
    external: tuple[str, ...] = ()
    hostname: str = ""

    @property
    def ip(self) -> str:
        return self.internal[0] if self.internal else ""

    def objects(self) -> list[Obj]:
        """As node.status.addresses has them."""
        return [
            *({"type": "InternalIP", "address": ip} for ip in self.internal),
            *({"type": "ExternalIP", "address": ip} for ip in self.external),
            {"type": "Hostname", "address": self.hostname},
        ]


def find_addresses(
    given: Sequence[str], *, external: Sequence[str], hostname: str, route: Callable[[], str]
) -> Addresses:
    """``given`` rules; without it, what ``route`` finds ("" while there is no link)."""
    found = tuple(given) or tuple(filter(None, (route(),)))
    return Addresses(internal=found, external=tuple(external), hostname=hostname)
