"""The network over netplug and the DNS server: an asynchronous shell, decisions are elsewhere.

netplug's calls block for some milliseconds, so they run in a few threads of their own. Two
calls for one pod never overlap, not even when the first was given up: its thread ends first.
Services and nodes come as whole states; while one is being applied, only the newest waits.
"""

import asyncio
import functools
import ipaddress
import json
import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TypeVar

from agent.network import translate
from agent.network.dns.resolver import Resolver
from agent.network.dns.server import DnsServer
from agent.network.dns.upstream import ResolvConf, Upstream
from agent.network.dns.zone import Zone
from agent.network.local import connect_local
from agent.network.network import NetworkFailure, NodeNetwork, Sandbox
from edgek.api.meta import Obj
from netplug.model import Attachment, Endpoint, HostPort, NetplugError, NodeConfig, SandboxSpec
from netplug.nft.nft import Nft
from netplug.plugin import RUN_DIR, STATE_DIR, Plugin

log = logging.getLogger(__name__)

T = TypeVar("T")
TIMEOUT = 30.0
THREADS = 4
# Names of calls that exclude each other; a pod's uid is never one of them.
_NODE, _SERVICES, _LIST = "node", "services", "list"


class NetplugNetwork:
    def __init__(
        self,
        *,
        run_dir: Path = RUN_DIR,
        state_dir: Path = STATE_DIR,
        resolv_conf: Path = Path("/etc/resolv.conf"),
        dns_port: int = 53,
        nft: Nft | None = None,
    ) -> None:
        self._plugin = Plugin(run_dir=run_dir, state_dir=state_dir, nft=nft)
        self._host_port_file = run_dir.parent / "hostports.json"
        self._resolv_conf = resolv_conf
        self._dns_port = dns_port
        self._dns: DnsServer | None = None
        self._threads = ThreadPoolExecutor(THREADS, "netplug")
        self._turns: dict[str, _Turn] = {}
        self._node: NodeNetwork | None = None
        self._host_ports: dict[str, list[HostPort]] = {}
        self._services: tuple[Sequence[Obj], Sequence[Obj]] = ((), ())

    # -- the node ------------------------------------------------------------------------

    async def setup(self, node: NodeNetwork) -> None:
        config = NodeConfig(
            node_ip=node.node_ip,
            pod_cidr=node.pod_cidr,
            cluster_cidr=node.cluster_cidr,
            service_cidr=node.service_cidr,
            local_addresses=(node.dns_ip,),
            device=node.device,
        )
        await self._exclusive(_NODE, lambda: self._plugin.setup(config))
        first, self._node = self._node is None, node
        if first:
            await self._leave_old_range(node)
            # So that a pod whose turn has not come yet keeps its ports over a restart.
            self._host_ports = _read_host_ports(self._host_port_file, await self.sandboxes())
            await self._apply_host_ports()
        await self._start_dns(node)

    async def _leave_old_range(self, node: NodeNetwork) -> None:
        """Where the node was given another podCIDR nobody reaches pods of the old one: they lose
        their sandboxes, and so are made anew."""
        network = ipaddress.ip_network(node.pod_cidr)
        for uid, sandbox in (await self.sandboxes()).items():
            if ipaddress.ip_address(sandbox.ip) not in network:
                log.warning("a pod gets another address pod=%s old=%s", uid, sandbox.ip)
                await self.detach(uid)

    async def _start_dns(self, node: NodeNetwork) -> None:
        zone = _zone(node, *self._services)
        if self._dns is not None and self._dns.ip == node.dns_ip:
            self._dns.resolver.zone = zone
            return
        await self._stop_dns()
        upstream = Upstream(ResolvConf(self._resolv_conf, own=(node.dns_ip,)))
        server = DnsServer(Resolver(zone, upstream), node.dns_ip, self._dns_port)
        try:
            await server.start()
        except OSError as err:
            raise NetworkFailure(f"cannot answer DNS on {node.dns_ip}: {err}") from err
        self._dns = server

    async def _stop_dns(self) -> None:
        server, self._dns = self._dns, None
        if server is not None:
            await server.stop()

    async def teardown(self) -> None:
        await self._stop_dns()
        await self._exclusive(_NODE, self._plugin.teardown)
        self._node = None
        self._host_ports, self._services = {}, ((), ())
        self._host_port_file.unlink(missing_ok=True)

    async def close(self) -> None:
        await self._stop_dns()
        self._threads.shutdown(wait=False, cancel_futures=True)

    # -- pods ----------------------------------------------------------------------------

    async def attach(
        self, pod_uid: str, *, hostname: str, sysctls: Mapping[str, str] | None = None
    ) -> Sandbox:
        spec = SandboxSpec(name=pod_uid, hostname=hostname, sysctls=sysctls or {})
        return _sandbox(await self._exclusive(pod_uid, lambda: self._plugin.attach(spec)))

    async def detach(self, pod_uid: str, *, keep_address: bool = False) -> None:
        if pod_uid in self._host_ports:
            await self.set_host_ports(pod_uid, "", ())
        await self._exclusive(
            pod_uid, lambda: self._plugin.detach(pod_uid, keep_address=keep_address)
        )

    async def sandboxes(self) -> dict[str, Sandbox]:
        found = await self._exclusive(_LIST, self._plugin.attachments)
        return {uid: _sandbox(attachment) for uid, attachment in found.items()}

    async def connect(self, pod_uid: str, port: int) -> socket.socket:
        # Not after the pod's other calls: this changes nothing, and hundreds may come at once.
        make = partial(self._plugin.open_socket, pod_uid) if pod_uid else socket.socket
        return await connect_local(port, make=make)

    # -- peers and services ----------------------------------------------------------------

    async def set_nodes(self, nodes: Sequence[Obj]) -> None:
        peers = translate.peers(nodes, own_name=self._configured().node_name)
        await self._exclusive(_NODE, lambda: self._plugin.set_peers(peers))

    async def set_services(self, services: Sequence[Obj], slices: Sequence[Obj]) -> None:
        node = self._configured()
        self._services = wanted = (services, slices)
        if self._dns is not None:
            self._dns.resolver.zone = _zone(node, *wanted)

        def apply() -> None:
            if self._services is wanted:  # else a newer state waits behind this one
                found = translate.services(
                    services, slices, node_name=node.node_name, dns_ip=node.dns_ip
                )
                self._plugin.set_services(found)

        await self._exclusive(_SERVICES, apply)

    async def set_host_ports(self, pod_uid: str, ip: str, ports: Sequence[Obj]) -> None:
        self._configured()
        wanted = translate.host_ports(ip, ports)
        if wanted == self._host_ports.get(pod_uid, []):
            return
        if wanted:
            self._host_ports[pod_uid] = wanted
        else:
            self._host_ports.pop(pod_uid, None)
        await self._apply_host_ports()

    async def _apply_host_ports(self) -> None:
        by_pod = {uid: list(ports) for uid, ports in sorted(self._host_ports.items())}

        def apply() -> None:
            self._plugin.set_host_ports([port for ports in by_pod.values() for port in ports])
            _write_host_ports(self._host_port_file, by_pod)

        await self._exclusive(_SERVICES, apply)

    def _configured(self) -> NodeNetwork:
        if self._node is None:
            raise NetworkFailure("the node's network is not set up yet")
        return self._node

    # -- threads ---------------------------------------------------------------------------

    async def _exclusive(self, key: str, work: Callable[[], T]) -> T:
        """Runs ``work`` in a thread, after all earlier ones of that key have *ended*."""
        turn = self._turns.setdefault(key, _Turn())
        turn.users += 1
        try:
            async with asyncio.timeout(TIMEOUT):
                await turn.lock.acquire()
        except BaseException as err:
            self._leave(key, turn)
            if isinstance(err, TimeoutError):
                raise _late(key) from err
            raise
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        future.add_done_callback(functools.partial(self._ended, key, turn))
        try:
            # Shielded: a thread cannot be stopped, so who gives up leaves it to end.
            async with asyncio.timeout(TIMEOUT):
                return await asyncio.shield(future)
        except TimeoutError as err:
            raise _late(key) from err
        except (NetplugError, OSError) as err:
            raise NetworkFailure(str(err)) from err

    def _ended(self, key: str, turn: "_Turn", future: "asyncio.Future[T]") -> None:
        turn.lock.release()
        self._leave(key, turn)
        if not future.cancelled():
            future.exception()  # seen here in case the caller was cancelled

    def _leave(self, key: str, turn: "_Turn") -> None:
        turn.users -= 1
        if not turn.users:
            del self._turns[key]


class _Turn:
    """Who works under one key; forgotten with its last user."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


def _late(key: str) -> NetworkFailure:
    return NetworkFailure(f"network: {key} not done within {TIMEOUT:.0f} s")


def _zone(node: NodeNetwork, services: Sequence[Obj], slices: Sequence[Obj]) -> Zone:
    return Zone(
        domain=node.cluster_domain,
        dns_ip=node.dns_ip,
        networks=(node.cluster_cidr, node.service_cidr),
        services=services,
        slices=slices,
    )


def _sandbox(attachment: Attachment) -> Sandbox:
    return Sandbox(
        pod_uid=attachment.name,
        ip=attachment.ip,
        net=attachment.net,
        ipc=attachment.ipc,
        uts=attachment.uts,
    )


def _read_host_ports(path: Path, sandboxes: dict[str, Sandbox]) -> dict[str, list[HostPort]]:
    """Those of pods that still have their sandbox; a torn file counts as empty."""
    try:
        data = json.loads(path.read_text())
        return {
            uid: [_host_port(each) for each in ports]
            for uid, ports in data.items()
            if uid in sandboxes
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        log.warning("host ports of before are lost path=%s error=%s", path, err)
        return {}


def _host_port(data: Obj) -> HostPort:
    ip, port = data["endpoint"]
    endpoint = Endpoint(str(ipaddress.IPv4Address(ip)), int(port))
    return HostPort(
        protocol=str(data["protocol"]),
        port=int(data["port"]),
        endpoint=endpoint,
        host_ip=str(data["host_ip"]),
    )


def _write_host_ports(path: Path, by_pod: dict[str, list[HostPort]]) -> None:
    data = {uid: [asdict(port) for port in ports] for uid, ports in by_pod.items()}
    scratch = path.with_suffix(".new")
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch.write_text(json.dumps(data))
    scratch.replace(path)
