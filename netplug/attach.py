"""One sandbox's link: a routed veth, /32 at both ends, neighbours known beforehand.

No bridge and no ARP: inside, the default route leads to an address that exists nowhere but in
a permanent neighbour entry; on the host, a /32 route leads to the sandbox. MACs derive from
the address. Works on one sandbox and decides nothing about addresses.
"""

import contextlib
from pathlib import Path

from netplug import names, netns, wire
from netplug.model import NetplugError, SandboxSpec

SYSCTLS = {
    # As containerd's CRI plugin: what a container may do in a network of its own anyway.
    "net.ipv4.ip_unprivileged_port_start": "0",
    "net.ipv4.ping_group_range": "0 2147483647",
}


def wire_inside(ip: str, host_link: str, mtu: int, host_ns: int, name: str = "eth0") -> None:
    for key, value in SYSCTLS.items():
        # A machine may keep /proc/sys read-only; a pod can do without these.
        with contextlib.suppress(NetplugError):
            netns.write_sysctl(key, value)
    veth = wire.make_veth(name, ip=ip, host_link=host_link, host_ns=host_ns, mtu=mtu)
    wire.send(veth, wire.up(wire.need("lo")))
    eth0 = wire.need(name)
    wire.send(
        wire.up(eth0),
        wire.address(ip, eth0),
        wire.neighbour(names.GATEWAY, names.host_mac(ip), eth0),
        wire.default_route(names.GATEWAY, eth0),
    )


def wire_outside(ip: str, host_link: str) -> None:
    index = wire.need(host_link)
    wire.send(
        wire.up(index),
        wire.neighbour(ip, names.pod_mac(ip), index),
        wire.route(ip, index),
    )


def attach(spec: SandboxSpec, base: Path, *, ip: str, mtu: int) -> None:
    """Makes what is missing of the sandbox at ``base``; leaves alone what is whole."""
    link = names.veth(spec.name)
    if netns.is_whole(base):
        if wire.host_routes().get(link) == ip:
            wire_outside(ip, link)
            return
        # Link, route or address are not what they should be: wire the namespaces anew.
        wire.send(wire.delete(link))
        netns.enter(base / "net", lambda host: wire_inside(ip, link, mtu, host))
    else:
        netns.remove(base)
        # A dead namespace goes away later than its last holder: its link may linger.
        wire.send(wire.delete(link))
        netns.make(
            base,
            hostname=spec.hostname,
            sysctls=spec.sysctls,
            inside=lambda host: wire_inside(ip, link, mtu, host),
        )
    wire_outside(ip, link)


def detach(name: str, base: Path) -> None:
    wire.send(wire.delete(names.veth(name)))
    netns.remove(base)
