"""The library's entry: a node's setup, sandboxes in and out, peers, services, teardown.

Every call blocks (some milliseconds), is idempotent, and may come from any thread; attaches of
different sandboxes run side by side, the caller keeps two calls for one sandbox apart.
``setup`` comes first and adopts what an earlier process left: nothing that works is touched.
"""

import contextlib
import ipaddress
import logging
import socket
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from netplug import attach, names, netns, rules, wire
from netplug.conntrack import Conntrack
from netplug.ipam import LeaseFile, acquire, reconcile, release, retire
from netplug.links import Links
from netplug.model import (
    Attachment,
    HostPort,
    NetplugError,
    NodeConfig,
    Peer,
    SandboxSpec,
    Service,
)
from netplug.nft.nft import KernelNft, Nft, NftError
from netplug.nft.objects import Change, Key
from netplug.nft.sync import TableSync
from netplug.services import plan_elements, stale_affinity, stale_udp

log = logging.getLogger(__name__)

RUN_DIR = Path("/run/edgek/pods")
STATE_DIR = Path("/var/lib/edgek/network")


class Plugin:
    """One node's network. ``run_dir`` holds the sandboxes, ``state_dir`` the leases."""

    def __init__(
        self, *, run_dir: Path = RUN_DIR, state_dir: Path = STATE_DIR, nft: Nft | None = None
    ) -> None:
        self._run_dir = run_dir
        self._leases = LeaseFile(state_dir / "ipam.json")
        self._given_nft = nft
        self._table: TableSync | None = None
        self._conntrack = Conntrack()
        self._node: NodeConfig | None = None
        self._vxlan = self._mtu = 0
        self._peers: frozenset[Peer] | None = None
        self._services: tuple[Service, ...] | None = None
        self._host_ports: tuple[HostPort, ...] = ()
        self._loaded_host_ports: tuple[HostPort, ...] = ()
        self._busy: list[str] = []
        """Names being attached; appended to and removed from atomically."""
        self._lock = threading.Lock()
        """Guards links and tables of the node; sandboxes have none but the lease file's."""

    # -- the node ------------------------------------------------------------------------

    def setup(self, node: NodeConfig) -> None:
        with self._lock, Links() as links:
            self._node, self._peers = node, None
            _allow_forwarding()
            device, mtu = links.underlay(node.node_ip, node.device)
            self._mtu = mtu - names.VXLAN_OVERHEAD
            self._vxlan = links.ensure_vxlan(node_ip=node.node_ip, device=device, mtu=self._mtu)
            _relax_reverse_path(names.VXLAN_LINK)
            links.set_addresses(self._vxlan, [names.router_ip(node.pod_cidr)])
            local = links.ensure_dummy(names.LOCAL_LINK)
            links.set_addresses(local, node.local_addresses)
            # Host processes need some route to a virtual IP before it can be translated.
            links.route(node.service_cidr, local, source=node.node_ip)
            links.remove_sinks(keep=node.pod_cidr)
            links.sink(node.pod_cidr)
            self._remove_leftovers(links)
            self._sync().adopt(rules.table(node))
            self._warn_of_drops()
            if self._services is not None:
                self._apply_elements()

    def _sync(self) -> TableSync:
        if self._table is None:
            note = self._run_dir.parent / "nftables.note"
            nft = self._given_nft or KernelNft()
            self._table = TableSync(nft, note, chain_of=rules.chain_of)
        return self._table

    def _warn_of_drops(self) -> None:
        for chain in self._sync().drops():
            log.warning(
                "this machine's firewall drops by default, pods need an accept rule of their own "
                "there chain=%s",
                chain,
            )

    def _remove_leftovers(self, links: Links) -> None:
        """Half-made sandboxes and links without one go; leases follow what is left.

        An attach may be under way. What is read in this order is never mistaken for a leftover:
        a link seen here is of one still noted as busy, or of one that is whole by now.
        """
        present = links.names()
        busy = set(self._busy)
        found = netns.found(self._run_dir)
        whole = {name for name, base in found.items() if netns.is_whole(base)}
        for name in found.keys() - whole - busy:
            netns.remove(found[name])
        mine = {names.veth(name): name for name in whole | busy}
        for link in filter(names.is_veth, present - mine.keys()):
            links.delete(link)
        alive = {mine[link]: ip for link, ip in wire.host_routes().items() if link in mine}
        with self._leases.locked() as file:
            leases = file.read()
            file.settle(reconcile(leases, alive, whole | busy), was=leases)

    def teardown(self) -> None:
        """Nothing of it is left: links take their routes and neighbours with them."""
        with self._lock, Links() as links:
            for base in netns.found(self._run_dir).values():
                netns.remove(base)
            for link in filter(names.is_veth, links.names()):
                links.delete(link)
            links.delete(names.VXLAN_LINK)
            links.delete(names.LOCAL_LINK)
            links.remove_sinks()
            self._sync().remove(names.TABLE)
            self._leases.remove()
            with contextlib.suppress(OSError):
                self._run_dir.rmdir()
            self._node, self._peers, self._services = None, None, None
            self._host_ports = self._loaded_host_ports = ()

    # -- sandboxes -----------------------------------------------------------------------

    def attach(self, spec: SandboxSpec) -> Attachment:
        node = self._configured()
        self._busy.append(spec.name)
        try:
            with self._leases.locked() as file:
                leases = file.read()
                new, ip = acquire(leases, spec.name, node.pod_cidr)
                if new != leases:
                    file.write(new)
            attach.attach(spec, self._base(spec.name), ip=ip, mtu=self._mtu)
        finally:
            self._busy.remove(spec.name)
        return self._attachment(spec.name, ip)

    def detach(self, name: str, *, keep_address: bool = False) -> None:
        """The address comes free last: nobody gets it while something still leads to it.
        ``keep_address``: who is attached again under that name has it again, if it can be."""
        attach.detach(name, self._base(name))
        with self._leases.locked() as file:
            leases = file.read()
            free = retire if keep_address else release
            file.settle(free(leases, name), was=leases)

    def attachments(self) -> dict[str, Attachment]:
        """Sandboxes that are whole: namespaces, link, route and lease."""
        routes = wire.host_routes()
        held = self._leases.read().held
        return {
            name: self._attachment(name, held[name])
            for name, base in netns.found(self._run_dir).items()
            if netns.is_whole(base) and name in held and routes.get(names.veth(name)) == held[name]
        }

    def open_socket(self, name: str, family: int, kind: int) -> socket.socket:
        """A socket that belongs to the sandbox's network, from whatever thread it is used."""
        return netns.make_socket(self._base(name) / "net", family, kind)

    def check(self, name: str) -> None:
        """Raises NetplugError unless the sandbox is whole."""
        if name not in self.attachments():
            raise NetplugError(f"sandbox {name} is not attached or not whole")

    def _base(self, name: str) -> Path:
        if not name or "/" in name or name in {".", ".."}:
            raise NetplugError(f"not a sandbox name: {name!r}")
        return self._run_dir / name

    def _attachment(self, name: str, ip: str) -> Attachment:
        base = self._base(name)
        net, ipc, uts = (str(base / kind) for kind in netns.KINDS)
        return Attachment(name=name, ip=ip, net=net, ipc=ipc, uts=uts)

    # -- peers and services ----------------------------------------------------------------

    def set_peers(self, peers: Iterable[Peer]) -> None:
        """All other nodes. The first time after ``setup`` the kernel is compared as well."""
        wanted = frozenset(peers)
        with self._lock:
            self._configured()
            if wanted == self._peers:
                return
            with Links() as links:
                self._apply_peers(links, wanted)

    def _apply_peers(self, links: Links, wanted: frozenset[Peer]) -> None:
        known, self._peers = self._peers, None  # until done, what is there is not known
        if known is None:
            links.prune_peers(self._vxlan, wanted)
        else:
            for peer in known - wanted:
                links.remove_peer(self._vxlan, peer)
        # All of them: removing a peer may have taken what one with its range or address needs.
        changed = wanted if known is None or known - wanted else wanted - known
        for peer in sorted(changed, key=lambda p: p.node_ip):
            links.add_peer(self._vxlan, peer)
        self._peers = wanted

    def set_services(self, services: Sequence[Service]) -> None:
        """All virtual IPs and node ports."""
        self._change_elements(services=tuple(services))

    def set_host_ports(self, host_ports: Sequence[HostPort]) -> None:
        """All host ports of this node's sandboxes."""
        self._change_elements(host_ports=tuple(host_ports))

    def _change_elements(
        self,
        *,
        services: tuple[Service, ...] | None = None,
        host_ports: tuple[HostPort, ...] | None = None,
    ) -> None:
        with self._lock:
            self._configured()
            if services is not None:
                self._services = services
            if host_ports is not None:
                self._host_ports = host_ports
            change = self._apply_elements()
        self._conntrack.forget(stale_udp(change.remove, change.add))

    def _apply_elements(self) -> Change:
        node, sync = self._configured(), self._sync()
        desired = plan_elements(self._services or (), self._host_ports, pod_cidr=node.pod_cidr)
        elements = desired.elements
        if self._services is None:
            # Nobody has named the services since the start: those found stay as they are.
            before = plan_elements((), self._loaded_host_ports, pod_cidr=node.pod_cidr).elements
            for name, new in elements.items():
                found = sync.loaded(name).items()
                new.update({k: v for k, v in found if k not in new and k not in before[name]})
        self._loaded_host_ports = self._host_ports
        change = sync.apply(desired.chains, elements)
        self._forget_clients(change, elements)
        return change

    def _forget_clients(self, change: Change, wanted: dict[str, dict[Key, Key]]) -> None:
        if not change.remove.get("sticky") and not change.remove.get("npsticky"):
            sticky = {key[:3] for key in change.remove.get("ep", {})} & wanted["sticky"].keys()
            ports = {key[:2] for key in change.remove.get("npep", {})} & wanted["npsticky"].keys()
            if not sticky and not ports:
                return
        learned = self._sync().learned("aff")
        for key in stale_affinity(learned, wanted):
            # One by one: an entry that timed out meanwhile must not keep the others.
            with contextlib.suppress(NftError):
                self._sync().forget("aff", key)

    def _configured(self) -> NodeConfig:
        if self._node is None:
            raise NetplugError("the node's network is not set up yet")
        return self._node


def valid_peer(node_ip: str, pod_cidr: str) -> Peer | None:
    """A peer from text that others wrote; None where it cannot be one."""
    try:
        ip, cidr = ipaddress.IPv4Address(node_ip), ipaddress.IPv4Network(pod_cidr)
    except ValueError:
        return None
    return Peer(node_ip=str(ip), pod_cidr=str(cidr))


def _allow_forwarding() -> None:
    try:
        netns.write_sysctl("net/ipv4/ip_forward", "1")
    except NetplugError as err:
        # Read-only in some containers; harmless there if it is on already.
        if Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() != "1":
            raise NetplugError(f"packets cannot be forwarded: {err}") from err


def _relax_reverse_path(link: str) -> None:
    """Loose: a peer may answer from its node address, which routes over the underlay."""
    try:
        netns.write_sysctl(f"net/ipv4/conf/{link}/rp_filter", "2")
    except NetplugError as err:
        log.warning("reverse path filter stays as it is link=%s error=%s", link, err)
