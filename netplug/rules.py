"""The rules: written once per node and never changed by a service.

Services, node ports and host ports are elements of maps (services.py). There is one chain per
*number* of endpoints: ``n3`` picks one of three for a virtual IP, ``p3`` for a node port; ``s3``
and ``q3`` are their brothers with client affinity. Numbers up to ``COUNTS`` are always there; the
first service with more makes the table be loaded anew with the next ``COUNTS`` of them.

A packet's way: ``services`` (translate) -> ``learn`` (remember the client's endpoint) ->
``refuse`` (a service address nobody translated) -> ``post`` (masquerade what must come back
through this node). ``oif lo`` is left alone: both ends are this machine.

Not done: another table's drop is not overridden by an accept here, so a host whose FORWARD
policy is drop (Docker does that) needs a rule of its own.
"""

from netplug.model import NodeConfig
from netplug.names import MASQUERADE_MARK, TABLE, VXLAN_PORT
from netplug.nft.objects import Chain, Map, Table

COUNTS = 16
AFFINITY_SECONDS = 10800
"""Kubernetes' default; other times get their chain when first used."""

PORT = "meta l4proto . th dport"
_L4 = "meta l4proto { tcp, udp, sctp }"
_MARK = f"meta mark set meta mark or {MASQUERADE_MARK:#x}"
_ORIGINAL_PORT = "meta l4proto . ct original proto-dst"
_VIP_PORT = "ipv4_addr . inet_proto . inet_service"
_NODE_PORT = "inet_proto . inet_service"

MAPS = (
    Map(name="svc", spec=f"type {_VIP_PORT} : verdict"),
    Map(name="ep", spec=f"typeof ip daddr . {PORT} . numgen random mod 2 : ip daddr . th dport"),
    Map(name="np", spec=f"type {_NODE_PORT} : verdict"),
    Map(name="npep", spec=f"typeof {PORT} . numgen random mod 2 : ip daddr . th dport"),
    Map(name="sticky", spec=f"type {_VIP_PORT} : verdict"),
    Map(name="npsticky", spec=f"type {_NODE_PORT} : verdict"),
    Map(name="hairpin", spec="type ipv4_addr . ipv4_addr"),
    Map(
        name="aff",
        spec=f"type ipv4_addr . {_VIP_PORT} : ipv4_addr . inet_service",
        options=("flags dynamic,timeout", "timeout 3h", "size 65536"),
        learned=True,
    ),
)


def table(node: NodeConfig) -> Table:
    outside = f"ip saddr != {node.cluster_cidr} {_MARK}"
    return Table(
        name=TABLE,
        maps=MAPS,
        chains=(
            Chain(name="outside", rules=(outside,)),
            Chain(name="hostport", rules=(_pick("npep", PORT, 1),)),
            Chain(name="hostport_ip", rules=(_pick("ep", f"ip daddr . {PORT}", 1),)),
            _services_chain(node),
            _hook("pre", "nat hook prerouting priority -100", "jump services"),
            # nft 1.0.6 knows no name for this priority in the output hook.
            _hook("out", "nat hook output priority -100", "jump services"),
            Chain(name="learn", rules=_learn_rules()),
            _hook("learn_pre", "filter hook prerouting priority -95", _LEARN),
            _hook("learn_out", "filter hook output priority -95", _LEARN),
            Chain(name="refuse", rules=_refuse_rules(node)),
            _hook("refuse_pre", "filter hook prerouting priority -90", "jump refuse"),
            _hook("refuse_out", "filter hook output priority -90", "jump refuse"),
            _hook("post", "nat hook postrouting priority 100", *_masquerade_rules(node)),
            # The tunnel's own packets would fill the connection table for nothing.
            _hook("raw_pre", "filter hook prerouting priority -300", _notrack(node, "daddr")),
            _hook("raw_out", "filter hook output priority -300", _notrack(node, "saddr")),
            *_standard_chains(),
        ),
    )


_LEARN = "ct state new ct status dnat jump learn"


def _hook(name: str, hook: str, *rules: str) -> Chain:
    return Chain(name=name, hook=f"type {hook}", rules=rules)


def _services_chain(node: NodeConfig) -> Chain:
    own = tuple(f"ip daddr {ip} return" for ip in node.local_addresses)
    return Chain(
        name="services",
        rules=(
            *own,
            f"ip daddr . {PORT} vmap @svc",
            f"fib daddr type local {PORT} vmap @np",
        ),
    )


def _learn_rules() -> tuple[str, ...]:
    # "ct original proto-dst" in a concatenation wants the protocol named before it.
    return tuple(
        f"meta l4proto {proto} {key} vmap @{name}"
        for proto in ("tcp", "udp")
        for name, key in (
            ("sticky", f"ct original ip daddr . {_ORIGINAL_PORT}"),
            ("npsticky", _ORIGINAL_PORT),
        )
    )


def _refuse_rules(node: NodeConfig) -> tuple[str, ...]:
    # Resets, because the kernel sends only a few "unreachable" a second to one client.
    own = tuple(f"ip daddr {ip} return" for ip in node.local_addresses)
    return (
        f"ip daddr != {node.service_cidr} return",
        *own,
        "meta l4proto tcp reject with tcp reset",
        "reject",
    )


def _masquerade_rules(node: NodeConfig) -> tuple[str, ...]:
    return (
        'oifname "lo" return',
        "ip saddr . ip daddr @hairpin masquerade",
        f"meta mark & {MASQUERADE_MARK:#x} == {MASQUERADE_MARK:#x} masquerade fully-random",
        f"ip saddr {node.pod_cidr} ip daddr != {{ {node.cluster_cidr}, {node.service_cidr} }} "
        "masquerade fully-random",
    )


def _notrack(node: NodeConfig, side: str) -> str:
    return f"ip {side} {node.node_ip} udp dport {VXLAN_PORT} notrack"


def _pick(name: str, key: str, count: int) -> str:
    return f"{_L4} dnat ip to {key} . numgen random mod {count} map @{name}"


def _standard_chains() -> tuple[Chain, ...]:
    endpoints = (endpoint_chain(f"{a}{n}") for a in "nspq" for n in range(1, COUNTS + 1))
    return (*endpoints, affinity_chain(AFFINITY_SECONDS))


def chains_beside(name: str) -> tuple[Chain, ...]:
    """The chain itself and, so that growth needs few reloads, the rest of its block."""
    if name[0] == "t":
        return (chain_of(name),)
    first = (int(name[1:]) - 1) // COUNTS * COUNTS + 1
    return tuple(endpoint_chain(f"{name[0]}{n}") for n in range(first, first + COUNTS))


def chain_of(name: str) -> Chain:
    """The chain that an element's verdict names, if it is one of those made on demand."""
    return affinity_chain(int(name[1:])) if name[0] == "t" else endpoint_chain(name)


def endpoint_chain(name: str) -> Chain:
    """The chain ``name`` stands for: a letter (see the module) and a number of endpoints."""
    letter, count = name[0], int(name[1:])
    affinity = f"{_L4} dnat ip to ip saddr . ip daddr . {PORT} map @aff"
    rules = {
        "n": ("jump outside", _pick("ep", f"ip daddr . {PORT}", count)),
        "s": ("jump outside", affinity, _pick("ep", f"ip daddr . {PORT}", count)),
        "p": (_MARK, _pick("npep", PORT, count)),
        "q": (_MARK, affinity, _pick("npep", PORT, count)),
    }
    return Chain(name=name, rules=rules[letter])


def affinity_chain(seconds: int) -> Chain:
    """Remembers a new connection's endpoint for its client."""
    rules = tuple(
        f"meta l4proto {proto} update @aff {{ ip saddr . ct original ip daddr . {_ORIGINAL_PORT} "
        f"timeout {seconds}s : ip daddr . th dport }}"
        for proto in ("tcp", "udp")
    )
    return Chain(name=f"t{seconds}", rules=rules)
