"""Names and numbers of everything netplug leaves in the kernel, so teardown finds it all."""

import hashlib
import ipaddress

VXLAN_LINK = "edgek-vx"
LOCAL_LINK = "edgek-dns"
VETH_PREFIX = "ek"
TABLE = "edgek"
VNI = 77
VXLAN_PORT = 8472
VXLAN_OVERHEAD = 50
GATEWAY = "169.254.1.1"
"""Next hop inside every sandbox; assigned nowhere, a permanent neighbour stands for it."""
SINK_METRIC = 0xFFFFFF00
"""Last choice within the node's own range: addresses nobody has are unreachable at once."""
MASQUERADE_MARK = 0x4000


def veth(name: str) -> str:
    """The host's end of a sandbox's link; at most 15 characters, the kernel's limit."""
    return VETH_PREFIX + hashlib.sha256(name.encode()).hexdigest()[:12]


def cni_veth(name: str) -> str:
    """The same for sandboxes of others, wired by the CNI program: never taken for ours."""
    return "ec" + hashlib.sha256(name.encode()).hexdigest()[:12]


def is_veth(link: str) -> bool:
    rest = link.removeprefix(VETH_PREFIX)
    return rest != link and len(rest) == 12 and all(c in "0123456789abcdef" for c in rest)


def mac(ip: str, tag: int) -> str:
    """Derived from the address, so that nobody has to announce it."""
    packed = ipaddress.IPv4Address(ip).packed
    return f"{tag:02x}:58:" + ":".join(f"{byte:02x}" for byte in packed)


def node_mac(node_ip: str) -> str:
    return mac(node_ip, 0x0A)


def host_mac(ip: str) -> str:
    return mac(ip, 0x0A)


def pod_mac(ip: str) -> str:
    return mac(ip, 0x0E)


def router_ip(pod_cidr: str) -> str:
    """The node's own address on the tunnel: the range's first, never given to a sandbox."""
    return str(ipaddress.IPv4Network(pod_cidr)[0])
