"""The contract: what the rest of the agent asks of the network.

Pods ask for sandboxes (namespaces with an address); controllers of services and peers hand in
the whole desired state and this makes it so. ``kernel.NetplugNetwork`` is the real one,
``fake.FakeNetwork`` keeps it in memory.
"""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from edgek.api.meta import Obj


class NetworkFailure(Exception):
    """The kernel refused; its text is fit for a pod's event (FailedCreatePodSandBox)."""


@dataclass(frozen=True, kw_only=True)
class NodeNetwork:
    """What this node's network is made from. CIDRs and addresses as text."""

    node_name: str
    node_ip: str
    pod_cidr: str
    cluster_cidr: str
    service_cidr: str
    dns_ip: str
    cluster_domain: str = "cluster.local"
    device: str = ""
    """The underlay's link; "" finds the one that has ``node_ip``."""


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """Pinned namespaces of one pod; they outlive every container of it."""

    pod_uid: str
    ip: str
    net: str
    ipc: str
    uts: str


class Network(Protocol):
    """Idempotent throughout: every call may be repeated, also after a restart of the agent."""

    async def setup(self, node: NodeNetwork) -> None:
        """VXLAN device, nftables base, DNS address; repairs what is missing or differs."""

    async def attach(
        self, pod_uid: str, *, hostname: str, sysctls: Mapping[str, str] | None = None
    ) -> Sandbox:
        """Namespaces and an address for a pod; gives back the same ones when they exist."""

    async def detach(self, pod_uid: str, *, keep_address: bool = False) -> None:
        """Everything of that pod is gone afterwards; no error where nothing was.
        ``keep_address``: it may come back, and is to have its address then."""

    async def sandboxes(self) -> dict[str, Sandbox]:
        """Those that exist and are whole, by pod uid."""

    async def connect(self, pod_uid: str, port: int) -> socket.socket:
        """A TCP connection to localhost in the pod's namespace, or on the node itself where
        ``pod_uid`` is "". IPv4 is tried before IPv6."""

    async def set_nodes(self, nodes: Sequence[Obj]) -> None:
        """All Node objects: peers for routes and tunnels."""

    async def set_services(self, services: Sequence[Obj], slices: Sequence[Obj]) -> None:
        """All Services and EndpointSlices: virtual IPs and node ports."""

    async def set_host_ports(self, pod_uid: str, ip: str, ports: Sequence[Obj]) -> None:
        """The pod's container ports with a hostPort; an empty sequence takes them away."""

    async def teardown(self) -> None:
        """Removes every link, route, table, namespace and file that edgek made on this node."""

    async def close(self) -> None:
        """Ends what runs in this process (DNS, threads); the kernel's state stays."""
