"""Addresses and networks: ip, isIP, cidr, isCIDR (apiserver pkg/cel/library/ip.go, cidr.go).

Strict as upstream: no leading zeros, no zones, no IPv4 inside IPv6.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_address,
    ip_interface,
)
from typing import Any, ClassVar

from server.cel.errors import CelError
from server.cel.overload import Overload, overload
from server.cel.values import Opaque

IP, CIDR = "net.IP", "net.CIDR"


@dataclass(frozen=True, kw_only=True)
class Ip(Opaque):
    type_name: ClassVar[str] = IP
    address: IPv4Address | IPv6Address


@dataclass(frozen=True, kw_only=True)
class Cidr(Opaque):
    """``interface`` keeps the address as it was written; masked() drops its host bits."""

    type_name: ClassVar[str] = CIDR
    interface: IPv4Interface | IPv6Interface


def parse_ip(text: str) -> Ip:
    try:
        address = ip_address(text)
    except ValueError:
        raise CelError(
            f'IP Address "{text}" parse error during conversion from string: unable to parse IP'
        ) from None
    if "%" in text:
        raise CelError(f'IP address "{text}" with zone value is not allowed')
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        raise CelError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return Ip(address=address)


def parse_cidr(text: str) -> Cidr:
    _, slash, bits = text.partition("/")
    try:
        if not slash or not bits.isdecimal() or str(int(bits)) != bits or "%" in text:
            raise ValueError
        interface = ip_interface(text)
    except ValueError:
        raise CelError(
            "network address parse error during conversion from string: "
            f'netip.ParsePrefix("{text}")'
        ) from None
    if isinstance(interface, IPv6Interface) and interface.ip.ipv4_mapped is not None:
        raise CelError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return Cidr(interface=interface)


def _succeeds(parse: Callable[[str], Any]) -> Callable[[str], bool]:
    def test(text: str) -> bool:
        try:
            parse(text)
        except CelError:
            return False
        return True

    return test


def _is_global_unicast(ip: Ip) -> bool:
    a = ip.address
    special = a.is_multicast or a.is_loopback or a.is_unspecified or a.is_link_local
    return not (special or str(a) == "255.255.255.255")


def _is_link_local_multicast(ip: Ip) -> bool:
    a = ip.address
    if isinstance(a, IPv4Address):
        return str(a).startswith("224.0.0.")
    return a.packed[0] == 0xFF and a.packed[1] & 0x0F == 0x02


def _contains_ip(cidr: Cidr, ip: Ip) -> bool:
    return ip.address.version == cidr.interface.version and ip.address in cidr.interface.network


def _contains_cidr(cidr: Cidr, other: Cidr) -> bool:
    outer, inner = cidr.interface.network, other.interface.network
    return _contains_ip(cidr, Ip(address=other.interface.ip)) and (
        outer.prefixlen <= inner.prefixlen
    )


def _canonical(text: str) -> bool:
    return str(parse_ip(text).address) == text


def _masked(cidr: Cidr) -> Cidr:
    return Cidr(interface=ip_interface(str(cidr.interface.network)))


OVERLOADS: tuple[Overload, ...] = (
    overload(f"ip(string) -> {IP}", parse_ip),
    overload("isIP(string) -> bool", _succeeds(parse_ip)),
    overload("isCanonical(string) -> bool", _canonical, namespace="ip"),
    overload(f"{IP}.family() -> int", lambda ip: ip.address.version),
    overload(f"{IP}.isUnspecified() -> bool", lambda ip: ip.address.is_unspecified),
    overload(f"{IP}.isLoopback() -> bool", lambda ip: ip.address.is_loopback),
    overload(f"{IP}.isLinkLocalMulticast() -> bool", _is_link_local_multicast),
    overload(f"{IP}.isLinkLocalUnicast() -> bool", lambda ip: ip.address.is_link_local),
    overload(f"{IP}.isGlobalUnicast() -> bool", _is_global_unicast),
    overload(f"string({IP}) -> string", lambda ip: str(ip.address)),
    overload(f"cidr(string) -> {CIDR}", parse_cidr),
    overload("isCIDR(string) -> bool", _succeeds(parse_cidr)),
    overload(f"{CIDR}.containsIP({IP}) -> bool", _contains_ip),
    overload(
        f"{CIDR}.containsIP(string) -> bool", lambda cidr, ip: _contains_ip(cidr, parse_ip(ip))
    ),
    overload(f"{CIDR}.containsCIDR({CIDR}) -> bool", _contains_cidr),
    overload(
        f"{CIDR}.containsCIDR(string) -> bool",
        lambda cidr, other: _contains_cidr(cidr, parse_cidr(other)),
    ),
    overload(f"{CIDR}.ip() -> {IP}", lambda cidr: Ip(address=cidr.interface.ip)),
    overload(f"{CIDR}.masked() -> {CIDR}", _masked),
    overload(f"{CIDR}.prefixLength() -> int", lambda cidr: cidr.interface.network.prefixlen),
    overload(f"string({CIDR}) -> string", lambda cidr: str(cidr.interface)),
)
