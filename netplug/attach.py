"""One sandbox's link: a routed veth, /32 at both ends, neighbours known beforehand.

No bridge and no ARP: inside, the default route leads to an address that exists nowhere but in
a permanent neighbour entry; on the host, a /32 route leads to the sandbox. MACs derive from
the address. Works on one sandbox and decides nothing about addresses.
"""

import contextlib
from pathlib import Path

from netplug import names, netns
from netplug.links import Links
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
    with Links() as links:
        links.make_veth(name, ip=ip, host_link=host_link, host_ns=host_ns, mtu=mtu)
        eth0 = links.need(name)
        links.set_addresses(eth0, [ip])
        links.up(links.need("lo"))
        links.up(eth0)
        links.neighbour(eth0, names.GATEWAY, names.host_mac(ip))
        links.default_route(eth0, names.GATEWAY)


def wire_outside(links: Links, ip: str, host_link: str) -> None:
    index = links.need(host_link)
    links.up(index)
    links.neighbour(index, ip, names.pod_mac(ip))
    links.route(f"{ip}/32", index)


def attach(spec: SandboxSpec, base: Path, *, ip: str, mtu: int) -> None:
    """Makes what is missing of the sandbox at ``base``; leaves alone what is whole."""
    link = names.veth(spec.name)
    with Links() as links:
        if netns.is_whole(base):
            if links.host_routes().get(link) == ip:
                wire_outside(links, ip, link)
                return
            # Link, route or address are not what they should be: wire the namespaces anew.
            links.delete(link)
            netns.enter(base / "net", lambda host: wire_inside(ip, link, mtu, host))
        else:
            netns.remove(base)
            # A dead namespace goes away later than its last holder: its link may linger.
            links.delete(link)
            netns.make(
                base,
                hostname=spec.hostname,
                sysctls=spec.sysctls,
                inside=lambda host: wire_inside(ip, link, mtu, host),
            )
        wire_outside(links, ip, link)


def detach(name: str, base: Path) -> None:
    with Links() as links:
        links.delete(names.veth(name))
    netns.remove(base)
