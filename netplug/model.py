"""The values that go in and out: frozen, plain text for addresses, no behaviour.

``Protocol`` words are lower case ("tcp", "udp", "sctp"), as nftables prints them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class NetplugError(Exception):
    """The kernel, a file or a tool refused; the text says what was attempted."""


@dataclass(frozen=True, kw_only=True)
class NodeConfig:
    """What this node's part of the network is made from."""

    node_ip: str
    pod_cidr: str
    cluster_cidr: str
    service_cidr: str
    local_addresses: tuple[str, ...] = ()
    """Service addresses this node answers itself (its DNS): local, never translated."""
    device: str = ""
    """The underlay's link; "" finds the one that has ``node_ip``."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Another node: where it is and what it routes."""

    node_ip: str
    pod_cidr: str


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """A sandbox that is wired: its address and the files its namespaces are pinned at."""

    name: str
    ip: str
    net: str
    ipc: str
    uts: str


@dataclass(frozen=True, kw_only=True)
class SandboxSpec:
    """What a sandbox is made with, the first time; later attaches keep what is there."""

    name: str
    hostname: str = ""
    sysctls: Mapping[str, str] = field(default_factory=dict)


class Endpoint(NamedTuple):
    ip: str
    port: int


@dataclass(frozen=True, kw_only=True)
class Service:
    """One port of a virtual IP. Without endpoints, connections are refused."""

    ip: str
    protocol: str
    port: int
    endpoints: tuple[Endpoint, ...] = ()
    node_port: int = 0
    affinity_seconds: int = 0
    """A client's connections keep going to the endpoint it had within this time; 0: any."""


@dataclass(frozen=True, kw_only=True)
class HostPort:
    """A port of this node that leads to one sandbox; the client's address is kept."""

    protocol: str
    port: int
    endpoint: Endpoint
    host_ip: str = ""
    """Only on this address of the node; "" means all of them."""
