"""The only user of pyroute2: one netlink socket, spoken to in small idempotent verbs.

``with Links() as links`` opens it in the namespace of the calling thread, and it serves that
thread only. pyroute2's synchronous calls run an event loop of their own, so they must not be
made from a thread that runs one. Errors come out as ``NetplugError``.

pyroute2's package imports all of itself (a database, wireless, a 9p server): 10 MB, of which we
need less than half. So its parts are imported without it.
"""

import errno
import socket
import sys
import threading
from collections.abc import Callable, Collection, Iterable
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from netplug import names, wire
from netplug.model import NetplugError, Peer

if TYPE_CHECKING:
    from pyroute2 import IPRoute

_NTF_SELF, _NUD_PERMANENT_NOARP = 2, 0xC0
_GONE = {errno.ENOENT, errno.ESRCH, errno.ENODEV, errno.EADDRNOTAVAIL}
_UNREACHABLE = 7

_IMPORTING = threading.Lock()


def _part(name: str) -> Any:
    """A module of pyroute2, imported late and alone: meanwhile an empty package stands for
    pyroute2. Whoever imports pyroute2 itself, before or after, gets all of it."""
    name = f"pyroute2.{name}"
    with _IMPORTING:
        if (known := sys.modules.get(name)) is not None:
            return known
        spec = None if "pyroute2" in sys.modules else find_spec("pyroute2")
        if spec is None:
            return import_module(name)
        sys.modules["pyroute2"] = module_from_spec(spec)
        try:
            return import_module(name)
        finally:
            del sys.modules["pyroute2"]


class Links:
    def __init__(self) -> None:
        self._ip: IPRoute = _part("iproute.linux").IPRoute()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._ip.close()

    def _do(
        self, what: str, call: Callable[..., Any], *args: Any, ok: Collection[int] = (), **kw: Any
    ) -> Any:
        try:
            return call(*args, **kw)
        except _part("netlink.exceptions").NetlinkError as err:
            if err.code in ok:
                return None
            raise NetplugError(f"{what}: {err.args[-1]}") from err

    # -- links ---------------------------------------------------------------------------

    def index(self, name: str) -> int | None:
        return wire.index_of(name)

    def need(self, name: str) -> int:
        return wire.need(name)

    def mtu(self, name: str) -> int | None:
        index = self.index(name)
        return None if index is None else int(self._ip.get_links(index)[0].get("mtu"))

    def names(self) -> set[str]:
        return {link.get("ifname") for link in self._ip.get_links()}

    def delete(self, name: str) -> None:
        index = self.index(name)
        if index is not None:
            self._do(f"delete link {name}", self._ip.link, "del", index=index, ok=_GONE)

    def up(self, index: int) -> None:
        self._do(f"link {index} up", self._ip.link, "set", index=index, state="up")

    def underlay(self, node_ip: str, device: str) -> tuple[int, int]:
        """Index and MTU of the link that nodes reach each other on."""
        if device:
            index = self.need(device)
        else:
            found = [a["index"] for a in self._ip.get_addr(family=socket.AF_INET, local=node_ip)]
            if not found:
                raise NetplugError(f"no link of this machine has the node's address {node_ip}")
            index = found[0]
        return index, int(self._ip.get_links(index)[0].get("mtu"))

    def ensure_vxlan(self, *, node_ip: str, device: int, mtu: int) -> int:
        """The tunnel's link; made anew where it differs from what is wanted."""
        wanted: dict[str, Any] = {
            "vxlan_id": names.VNI,
            "vxlan_local": node_ip,
            "vxlan_port": names.VXLAN_PORT,
            "vxlan_link": device,
        }
        index = self.index(names.VXLAN_LINK)
        if index is not None and self._vxlan_differs(index, wanted):
            self.delete(names.VXLAN_LINK)
            index = None
        if index is None:
            self._do(
                "make the VXLAN link", self._ip.link, "add", ifname=names.VXLAN_LINK,
                kind="vxlan", vxlan_learning=False, address=names.node_mac(node_ip), mtu=mtu,
                **wanted,
            )  # fmt: skip
            index = self.need(names.VXLAN_LINK)
        self._do("VXLAN link", self._ip.link, "set", index=index, mtu=mtu, state="up")
        return index

    def _vxlan_differs(self, index: int, wanted: dict[str, Any]) -> bool:
        info = self._ip.get_links(index)[0].get("linkinfo")
        data = info.get("data") if info is not None and info.get("kind") == "vxlan" else None
        if data is None:
            return True
        # The port travels in network order, which pyroute2 has turned for us both ways.
        have = {key: data.get(key) for key in wanted}
        return have != wanted

    def ensure_dummy(self, name: str) -> int:
        """A link that leads nowhere and carries addresses."""
        if self.index(name) is None:
            # A kernel without the dummy driver: a bridge with no ports does the same.
            for kind, ok in (("dummy", {errno.EOPNOTSUPP}), ("bridge", {errno.EEXIST})):
                self._do(f"make link {name}", self._ip.link, "add", ifname=name, kind=kind, ok=ok)
                if self.index(name) is not None:
                    break
        index = self.need(name)
        self.up(index)
        return index

    def set_addresses(self, index: int, wanted: Iterable[str]) -> None:
        """Exactly these /32 addresses (IPv4) on the link."""
        have = {
            (address.get("local") or address.get("address"), address["prefixlen"])
            for address in self._ip.get_addr(family=socket.AF_INET, index=index)
        }
        want = {(address, 32) for address in wanted}
        for ip, length in have - want:
            self._do(
                f"remove address {ip}", self._ip.addr, "del", index=index, address=ip,
                prefixlen=length, ok=_GONE,
            )  # fmt: skip
        for ip, length in want - have:
            self._do(
                f"add address {ip}", self._ip.addr, "add", index=index, address=ip,
                prefixlen=length, ok={errno.EEXIST},
            )  # fmt: skip

    # -- routes --------------------------------------------------------------------------

    def route(self, dst: str, index: int, *, source: str = "") -> None:
        extra: dict[str, Any] = {"prefsrc": source} if source else {}
        self._do(
            f"route {dst}", self._ip.route, "replace", dst=dst, oif=index, scope="link", **extra
        )

    def sink(self, dst: str) -> None:
        """Nobody answers for the rest of ``dst``: say so instead of asking the gateway."""
        self._do(
            f"unreachable {dst}", self._ip.route, "replace", dst=dst, type="unreachable",
            priority=names.SINK_METRIC,
        )  # fmt: skip

    def remove_sinks(self, keep: str = "") -> None:
        for route in self._ip.get_routes(family=socket.AF_INET, type=_UNREACHABLE):
            dst = f"{route.get('dst')}/{route['dst_len']}"
            if route.get("priority") == names.SINK_METRIC and dst != keep:
                self._do(
                    f"remove unreachable {dst}", self._ip.route, "del", dst=dst,
                    type="unreachable", priority=names.SINK_METRIC, ok=_GONE,
                )  # fmt: skip

    # -- peers: one forwarding entry, one neighbour, one route each ------------------------

    def add_peer(self, vxlan: int, peer: Peer) -> None:
        mac, gateway = names.node_mac(peer.node_ip), names.router_ip(peer.pod_cidr)
        # NTF_SELF is set by "add" only; without it the kernel looks for a bridge.
        self._do(
            f"forwarding to {peer.node_ip}", self._ip.fdb, "replace", ifindex=vxlan, lladdr=mac,
            dst=peer.node_ip, flags=_NTF_SELF, state=_NUD_PERMANENT_NOARP,
        )  # fmt: skip
        self.neighbour(vxlan, gateway, mac)
        self._do(
            f"route to {peer.pod_cidr}", self._ip.route, "replace", dst=peer.pod_cidr,
            gateway=gateway, oif=vxlan, flags=["onlink"],
        )  # fmt: skip

    def remove_peer(self, vxlan: int, peer: Peer) -> None:
        gateway = names.router_ip(peer.pod_cidr)
        self._remove_route(vxlan, peer.pod_cidr)
        self._remove_neighbour(vxlan, gateway)
        self._remove_forwarding(vxlan, names.node_mac(peer.node_ip), peer.node_ip)

    def prune_peers(self, vxlan: int, keep: Collection[Peer]) -> None:
        """Removes from the tunnel what belongs to none of ``keep``."""
        ranges = {peer.pod_cidr for peer in keep}
        gateways = {names.router_ip(peer.pod_cidr) for peer in keep}
        nodes = {(names.node_mac(peer.node_ip), peer.node_ip) for peer in keep}
        for route in self._ip.get_routes(family=socket.AF_INET, oif=vxlan, table=254):
            dst = f"{route.get('dst')}/{route['dst_len']}"
            if dst not in ranges:
                self._remove_route(vxlan, dst)
        for neighbour in self._ip.get_neighbours(family=socket.AF_INET, ifindex=vxlan):
            if neighbour.get("dst") not in gateways:
                self._remove_neighbour(vxlan, neighbour.get("dst"))
        for entry in self._ip.fdb("dump", ifindex=vxlan):
            pair = (entry.get("lladdr"), entry.get("dst"))
            if entry["ifindex"] == vxlan and pair[1] and pair not in nodes:
                self._remove_forwarding(vxlan, *pair)

    def _remove_route(self, oif: int, dst: str) -> None:
        self._do(f"remove route {dst}", self._ip.route, "del", dst=dst, oif=oif, ok=_GONE)

    def _remove_neighbour(self, index: int, dst: str) -> None:
        self._do(f"remove neighbour {dst}", self._ip.neigh, "del", dst=dst, ifindex=index, ok=_GONE)

    def _remove_forwarding(self, index: int, mac: str, dst: str) -> None:
        self._do(
            f"remove forwarding {dst}", self._ip.fdb, "del", ifindex=index, lladdr=mac, dst=dst,
            ok=_GONE,
        )  # fmt: skip

    def neighbour(self, index: int, dst: str, mac: str) -> None:
        self._do(
            f"neighbour {dst}", self._ip.neigh, "replace", dst=dst, lladdr=mac, ifindex=index,
            state="permanent",
        )  # fmt: skip
