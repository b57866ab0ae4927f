"""The network in memory: addresses without namespaces, and what was asked is readable."""

import ipaddress
import socket
from collections.abc import Mapping, Sequence

from agent.network.local import connect_local
from agent.network.network import NetworkFailure, NodeNetwork, Sandbox
from edgek.api.meta import Obj


class FakeNetwork:
    def __init__(self) -> None:
        self.node: NodeNetwork | None = None
        self.nodes: Sequence[Obj] = ()
        self.services: Sequence[Obj] = ()
        self.slices: Sequence[Obj] = ()
        self.host_ports: dict[str, tuple[str, Sequence[Obj]]] = {}
        self.fail_with = ""
        self.sysctls: dict[str, Mapping[str, str]] = {}
        self._sandboxes: dict[str, Sandbox] = {}
        self._next = 0
        self._kept: dict[str, str] = {}

    def _check(self) -> None:
        if self.fail_with:
            raise NetworkFailure(self.fail_with)

    async def setup(self, node: NodeNetwork) -> None:
        self._check()
        self.node = node

    async def attach(
        self, pod_uid: str, *, hostname: str, sysctls: Mapping[str, str] | None = None
    ) -> Sandbox:
        self._check()
        self.sysctls[pod_uid] = sysctls or {}
        if self.node is None:
            raise NetworkFailure("the node's network is not set up yet")
        if pod_uid not in self._sandboxes:
            self._next += 1
            new = str(ipaddress.IPv4Network(self.node.pod_cidr)[self._next])
            self._sandboxes[pod_uid] = Sandbox(
                pod_uid=pod_uid,
                ip=self._kept.pop(pod_uid, new),
                net=f"/run/edgek/pods/{pod_uid}/net",
                ipc=f"/run/edgek/pods/{pod_uid}/ipc",
                uts=f"/run/edgek/pods/{pod_uid}/uts",
            )
        return self._sandboxes[pod_uid]

    async def detach(self, pod_uid: str, *, keep_address: bool = False) -> None:
        self._check()
        gone = self._sandboxes.pop(pod_uid, None)
        if gone is not None and keep_address:
            self._kept[pod_uid] = gone.ip
        self.host_ports.pop(pod_uid, None)

    def attached(self) -> list[str]:
        """Uids of the pods that have a sandbox."""
        return sorted(self._sandboxes)

    async def sandboxes(self) -> dict[str, Sandbox]:
        return dict(self._sandboxes)

    async def connect(self, pod_uid: str, port: int) -> socket.socket:
        """To this machine's localhost: pods here have no network of their own."""
        self._check()
        return await connect_local(port, make=socket.socket)

    async def set_nodes(self, nodes: Sequence[Obj]) -> None:
        self.nodes = nodes

    async def set_services(self, services: Sequence[Obj], slices: Sequence[Obj]) -> None:
        self.services, self.slices = services, slices

    async def set_host_ports(self, pod_uid: str, ip: str, ports: Sequence[Obj]) -> None:
        if ports:
            self.host_ports[pod_uid] = (ip, ports)
        else:
            self.host_ports.pop(pod_uid, None)

    async def teardown(self) -> None:
        self._sandboxes.clear()
        self.host_ports.clear()

    async def close(self) -> None:
        pass
