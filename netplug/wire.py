"""The netlink messages that wire one sandbox, as bytes, and the socket they go through in one go.

links.py has pyroute2 for all that is done once or seldom. A sandbox is wired whenever a pod starts,
and there pyroute2 took 6 ms of CPU of a pod's start for ten short messages. Numbers are those of
linux/rtnetlink.h, if_link.h, if_addr.h and neighbour.h; all are in the machine's byte order.
"""

import contextlib
import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from netplug import names
from netplug.model import NetplugError

SECONDS = 10.0
"""The kernel answers while it is told; this is for a kernel that hangs."""
_REQUEST, _ACK, _REPLACE, _EXCL, _CREATE = 0x1, 0x4, 0x100, 0x200, 0x400
_NEW_LINK, _DEL_LINK, _NEW_ADDRESS, _NEW_ROUTE, _NEW_NEIGHBOUR = 16, 17, 20, 24, 28
_ERROR = 2
_IFF_UP, _NUD_PERMANENT, _ONLINK = 0x1, 0x80, 0x4
_TABLE_MAIN, _PROTOCOL_STATIC, _UNICAST = 254, 4, 1
_SCOPE_UNIVERSE, _SCOPE_LINK = 0, 253
_IFLA_ADDRESS, _IFLA_NAME, _IFLA_MTU, _IFLA_LINK_INFO, _IFLA_NET_NS_FD = 1, 3, 4, 18, 28
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_HEADER = struct.Struct("=IHHII")


@dataclass(frozen=True, kw_only=True)
class Message:
    """``what`` for the error; ``ok``: errno values that are none."""

    what: str
    kind: int
    flags: int = 0
    body: bytes
    ok: Collection[int] = ()


# -- messages ----------------------------------------------------------------------------------


def make_veth(name: str, *, ip: str, host_link: str, host_ns: int, mtu: int) -> Message:
    """For within the sandbox: ``name`` here, its other end in ``host_ns``."""
    peer = (
        _link()
        + _name(host_link)
        + _attribute(_IFLA_MTU, _number(mtu))
        + _attribute(_IFLA_ADDRESS, _mac(names.host_mac(ip)))
        + _attribute(_IFLA_NET_NS_FD, _number(host_ns))
    )
    kind = _attribute(_INFO_KIND, b"veth")
    data = _attribute(_INFO_DATA, _attribute(_VETH_PEER, peer))
    body = (
        _link()
        + _name(name)
        + _attribute(_IFLA_MTU, _number(mtu))
        + _attribute(_IFLA_ADDRESS, _mac(names.pod_mac(ip)))
        + _attribute(_IFLA_LINK_INFO, kind + data)
    )
    return Message(what=f"make link {host_link}", kind=_NEW_LINK, flags=_CREATE | _EXCL, body=body)


def delete(name: str) -> Message:
    """No error where there is none of that name."""
    body = _link() + _name(name)
    return Message(what=f"delete link {name}", kind=_DEL_LINK, body=body, ok={errno.ENODEV})


def up(index: int) -> Message:
    return Message(what=f"link {index} up", kind=_NEW_LINK, body=_link(index, up=True))


def address(ip: str, index: int) -> Message:
    packed = _ip(ip)
    body = struct.pack("=BBBBi", socket.AF_INET, 32, 0, _SCOPE_UNIVERSE, index)
    body += _attribute(1, packed) + _attribute(2, packed)
    return Message(
        what=f"add address {ip}", kind=_NEW_ADDRESS, flags=_CREATE | _EXCL, body=body,
        ok={errno.EEXIST},
    )  # fmt: skip


def neighbour(ip: str, mac: str, index: int) -> Message:
    body = struct.pack("=BxxxiHBB", socket.AF_INET, index, _NUD_PERMANENT, 0, 0)
    body += _attribute(1, _ip(ip)) + _attribute(2, _mac(mac))
    return Message(what=f"neighbour {ip}", kind=_NEW_NEIGHBOUR, flags=_CREATE | _REPLACE, body=body)


def route(ip: str, index: int) -> Message:
    """To one address that is right behind the link."""
    body = _route(32, _SCOPE_LINK) + _attribute(1, _ip(ip)) + _attribute(4, _number(index))
    return Message(what=f"route {ip}/32", kind=_NEW_ROUTE, flags=_CREATE | _REPLACE, body=body)


def default_route(gateway: str, index: int) -> Message:
    body = _route(0, _SCOPE_UNIVERSE, _ONLINK)
    body += _attribute(4, _number(index)) + _attribute(5, _ip(gateway))
    return Message(what="default route", kind=_NEW_ROUTE, flags=_CREATE | _REPLACE, body=body)


def _link(index: int = 0, *, up: bool = False) -> bytes:
    flags = _IFF_UP if up else 0
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, flags)


def _route(length: int, scope: int, flags: int = 0) -> bytes:
    return struct.pack(
        "=BBBBBBBBI", socket.AF_INET, length, 0, 0, _TABLE_MAIN, _PROTOCOL_STATIC, scope, _UNICAST,
        flags,
    )  # fmt: skip


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def _name(name: str) -> bytes:
    return _attribute(_IFLA_NAME, name.encode() + b"\0")


def _number(value: int) -> bytes:
    return struct.pack("=I", value)


def _mac(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _ip(ip: str) -> bytes:
    return ipaddress.IPv4Address(ip).packed


# -- the kernel --------------------------------------------------------------------------------


def send(*messages: Message) -> None:
    """In the namespace of the calling thread, in this order. Raises NetplugError with what the
    kernel refused first; those after it were tried as well."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    try:
        with socket.socket(socket.AF_NETLINK, kind, 0) as netlink:
            netlink.settimeout(SECONDS)
            netlink.send(b"".join(_packed(each, n) for n, each in enumerate(messages)))
            codes = [_code(netlink.recv(65536)) for _ in messages]
    except OSError as err:
        raise NetplugError(f"{messages[0].what}: {err}") from err
    for message, code in zip(messages, codes, strict=True):
        if code and code not in message.ok:
            raise NetplugError(f"{message.what}: {os.strerror(code)}")


def _packed(message: Message, number: int) -> bytes:
    length = _HEADER.size + len(message.body)
    flags = message.flags | _REQUEST | _ACK
    return _HEADER.pack(length, message.kind, flags, number, 0) + message.body


def _code(answer: bytes) -> int:
    """An answer is an error, of which 0 is none."""
    kind = _HEADER.unpack_from(answer)[1]
    if kind != _ERROR:
        raise OSError(errno.EPROTO, "netlink answered with something else")
    return -int(struct.unpack_from("=i", answer, _HEADER.size)[0])


def index_of(name: str) -> int | None:
    """Of a link in the namespace of the calling thread."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def need(name: str) -> int:
    index = index_of(name)
    if index is None:
        raise NetplugError(f"link {name} is gone")
    return index


def host_routes() -> dict[str, str]:
    """The /32 routes of sandboxes in the calling thread's namespace: link name -> address."""
    try:
        lines = Path("/proc/thread-self/net/route").read_text().splitlines()[1:]
    except OSError as err:
        raise NetplugError(f"look up routes: {err}") from err
    return dict(found for line in lines if (found := _host_route(line.split())) is not None)


def _host_route(fields: list[str]) -> tuple[str, str] | None:
    """As fib_route_seq_show writes one: link, destination, gateway, flags, three counts, mask."""
    with contextlib.suppress(IndexError, ValueError):
        if fields[7] == "FFFFFFFF" and names.is_veth(fields[0]):
            packed = struct.pack("=I", int(fields[1], 16))
            return fields[0], str(ipaddress.IPv4Address(packed))
    return None
