"""Virtual IPs, node ports and host ports -> elements of the node's maps. Pure.

Keys are unique by construction of the maps; where two claim one port, the earlier wins, and
node ports win over host ports. A service without endpoints has no element: the rules refuse
what nobody translated.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from netplug.conntrack import Flow
from netplug.model import HostPort, Service
from netplug.nft.objects import Chain, Content, Elements, Key
from netplug.rules import chains_beside

NAMES = ("svc", "ep", "np", "npep", "sticky", "npsticky", "hairpin")


@dataclass(frozen=True, kw_only=True)
class Desired:
    chains: dict[str, Chain]
    elements: dict[str, dict[Key, Key]]


def plan_elements(
    services: Iterable[Service], host_ports: Sequence[HostPort], *, pod_cidr: str
) -> Desired:
    desired = Desired(chains={}, elements={name: {} for name in NAMES})
    for service in services:
        if service.endpoints:
            _virtual_ip(desired, service)
            _node_port(desired, service)
    for host_port in host_ports:
        _host_port(desired, host_port)
    _hairpins(desired, pod_cidr)
    return desired


def _virtual_ip(desired: Desired, service: Service) -> None:
    key: Key = (service.ip, service.protocol, service.port)
    if not service.ip or key in desired.elements["svc"]:
        return
    letter = "s" if service.affinity_seconds else "n"
    desired.elements["svc"][key] = _goto(desired, letter, service)
    for index, endpoint in enumerate(service.endpoints):
        desired.elements["ep"][(*key, index)] = tuple(endpoint)
    if service.affinity_seconds:
        desired.elements["sticky"][key] = _goto_affinity(desired, service)


def _node_port(desired: Desired, service: Service) -> None:
    key: Key = (service.protocol, service.node_port)
    if not service.node_port or key in desired.elements["np"]:
        return
    letter = "q" if service.affinity_seconds else "p"
    desired.elements["np"][key] = _goto(desired, letter, service)
    for index, endpoint in enumerate(service.endpoints):
        desired.elements["npep"][(*key, index)] = tuple(endpoint)
    if service.affinity_seconds:
        desired.elements["npsticky"][key] = _goto_affinity(desired, service)


def _host_port(desired: Desired, host_port: HostPort) -> None:
    port: Key = (host_port.protocol, host_port.port)
    if host_port.host_ip:
        names, key, chain = ("svc", "ep"), (host_port.host_ip, *port), "hostport_ip"
    else:
        names, key, chain = ("np", "npep"), port, "hostport"
    verdicts, endpoints = (desired.elements[name] for name in names)
    if key not in verdicts:
        verdicts[key] = ("goto", chain)
        endpoints[(*key, 0)] = tuple(host_port.endpoint)


def _hairpins(desired: Desired, pod_cidr: str) -> None:
    """A sandbox that reaches itself must see another source, or it answers itself directly."""
    network = ipaddress.IPv4Network(pod_cidr)
    used = {value[0] for name in ("ep", "npep") for value in desired.elements[name].values()}
    for ip in used:
        if ipaddress.IPv4Address(ip) in network:
            desired.elements["hairpin"][(ip, ip)] = ()


def _goto(desired: Desired, letter: str, service: Service) -> Key:
    return _to_chain(desired, f"{letter}{len(service.endpoints)}")


def _goto_affinity(desired: Desired, service: Service) -> Key:
    return _to_chain(desired, f"t{service.affinity_seconds}")


def _to_chain(desired: Desired, name: str) -> Key:
    if name not in desired.chains:
        desired.chains.update({chain.name: chain for chain in chains_beside(name)})
    return ("goto", name)


def stale_udp(removed: Elements, added: Elements) -> list[Flow]:
    """UDP flows that led to endpoints which a change took away from their port."""
    flows: set[tuple[str, int, str]] = set()
    for name in ("ep", "npep"):
        still = {(*key[:-1], *value[:1]) for key, value in added.get(name, {}).items()}
        for key, value in removed.get(name, {}).items():
            *ip, protocol, port, _index = key
            if protocol == "udp" and (*key[:-1], value[0]) not in still:
                flows.add((str(ip[0]) if ip else "", int(port), str(value[0])))
    return [Flow(ip=ip, port=port, endpoint=endpoint) for ip, port, endpoint in sorted(flows)]


def stale_affinity(learned: Content, wanted: Elements) -> dict[Key, Key]:
    """Remembered endpoints that are no longer among those of their port."""
    valid = {(*key[:-1], *value) for key, value in wanted["ep"].items()}
    node_valid = {(*key[:-1], *value) for key, value in wanted["npep"].items()}
    sticky, node_sticky = wanted["sticky"], wanted["npsticky"]
    stale: dict[Key, Key] = {}
    for key, value in learned.items():
        _client, ip, protocol, port = key
        by_ip, by_port = (ip, protocol, port), (protocol, port)
        keeps = by_ip in sticky and (*by_ip, *value) in valid
        keeps |= by_port in node_sticky and (*by_port, *value) in node_valid
        if not keeps:
            stale[key] = value
    return stale
