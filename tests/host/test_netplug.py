"""netplug on real kernel state: two nodes on one switch, sandboxes that answer."""

import contextlib
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from netplug import names
from netplug.model import (
    Attachment,
    Endpoint,
    HostPort,
    NetplugError,
    NodeConfig,
    Peer,
    SandboxSpec,
    Service,
)
from netplug.plugin import Plugin
from tests.support.echo import ask_tcp, ask_udp, echoes, inside
from tests.support.netlab import Lab, Node, enter, lab, sh

pytestmark = pytest.mark.host
VIP = "10.43.0.20"


class Wired:
    """A node with its plugin; ``call`` runs a method in the node's namespace."""

    def __init__(self, node: Node, base: Path) -> None:
        self.node = node
        self.base = base
        self.config = NodeConfig(
            node_ip=node.ip,
            pod_cidr=node.pod_cidr,
            cluster_cidr="10.42.0.0/16",
            service_cidr="10.43.0.0/16",
            local_addresses=("10.43.0.10",),
        )
        self.host = f"/run/netns/{node.name}"
        self.restart()

    def restart(self) -> None:
        """Another process takes over what the kernel has."""
        self.plugin = Plugin(run_dir=self.base / "run/pods", state_dir=self.base / "state")
        self.node.call(self.plugin.setup, self.config)

    def attach(self, name: str) -> Attachment:
        return self.node.call(self.plugin.attach, SandboxSpec(name=name, hostname=name))

    def detach(self, name: str) -> None:
        self.node.call(self.plugin.detach, name)

    def serve(self, *services: Service) -> None:
        self.node.call(self.plugin.set_services, services)

    def as_peer(self) -> Peer:
        return Peer(node_ip=self.node.ip, pod_cidr=self.node.pod_cidr)


@pytest.fixture(scope="module")
def two_spaces() -> Iterator[Lab]:
    with lab(2) as made:
        yield made


@pytest.fixture
def nodes(two_spaces: Lab, tmp_path: Path) -> Iterator[list[Wired]]:
    with contextlib.ExitStack() as stack:
        wired = []
        for node in two_spaces.nodes:
            wired.append(Wired(node, tmp_path / node.name))
            stack.callback(node.call, wired[-1].plugin.teardown)
        for each in wired:
            peers = [other.as_peer() for other in wired if other is not each]
            each.node.call(each.plugin.set_peers, peers)
        yield wired


def service(*endpoints: Attachment, **more: object) -> Service:
    given = tuple(Endpoint(each.ip, 8080) for each in endpoints)
    plain = Service(ip=VIP, protocol="tcp", port=80, endpoints=given)
    return replace(plain, **more)  # type: ignore[arg-type]


def test_pods_reach_each_other_with_their_own_addresses(nodes: list[Wired]) -> None:
    a, b, c = nodes[0].attach("a"), nodes[0].attach("b"), nodes[1].attach("c")
    with echoes(*((each.net, each.name, 8080) for each in (a, b, c))):
        for source in (a, b, c):
            for target in (a, b, c):
                assert ask_tcp(source.net, target.ip, 8080) == (target.name, source.ip)
    assert ask_hostname(a) == "a"


def ask_hostname(sandbox: Attachment) -> str:
    return sh("nsenter", f"--uts={sandbox.uts}", "hostname").strip()


def test_a_virtual_ip_spreads_over_all_endpoints(nodes: list[Wired]) -> None:
    a, b, c = nodes[0].attach("a"), nodes[0].attach("b"), nodes[1].attach("c")
    nodes[0].serve(service(a, b, c), service(a, b, c, protocol="udp"))
    with echoes(*((each.net, each.name, 8080) for each in (a, b, c))):
        for ask in (ask_tcp, ask_udp):
            for source in (a.net, nodes[0].host):
                seen = Counter(ask(source, VIP, 80)[0] for _ in range(150))
                # Binomial(150, 1/3): 50 expected, 20 would be five deviations away.
                assert min(seen[name] for name in "abc") >= 20


def test_pods_keep_their_address_behind_a_virtual_ip_unless_they_reach_themselves(
    nodes: list[Wired],
) -> None:
    a, b = nodes[0].attach("a"), nodes[0].attach("b")
    nodes[0].serve(service(a))
    with echoes((a.net, "a", 8080)):
        assert ask_tcp(b.net, VIP, 80) == ("a", b.ip)
        name, client = ask_tcp(a.net, VIP, 80)
        assert (name, client != a.ip) == ("a", True)


def test_a_node_port_answers_from_outside_on_a_node_without_the_endpoint(
    nodes: list[Wired], two_spaces: Lab
) -> None:
    c = nodes[1].attach("c")
    for each in nodes:
        each.serve(service(c, node_port=30080), service(c, protocol="udp", node_port=30080))
    outside = f"/run/netns/{two_spaces.outside.name}"
    with echoes((c.net, "c", 8080)):
        for each in nodes:
            for source in (outside, nodes[0].host, c.net):
                assert ask_tcp(source, each.node.ip, 30080)[0] == "c"
            assert ask_udp(outside, each.node.ip, 30080)[0] == "c"


def test_a_host_port_shows_the_clients_address(nodes: list[Wired], two_spaces: Lab) -> None:
    a = nodes[0].attach("a")
    ports = [
        HostPort(protocol="tcp", port=8081, endpoint=Endpoint(a.ip, 8080)),
        HostPort(
            protocol="tcp", port=8082, endpoint=Endpoint(a.ip, 8080), host_ip=nodes[0].node.ip
        ),
    ]
    nodes[0].node.call(nodes[0].plugin.set_host_ports, ports)
    outside = f"/run/netns/{two_spaces.outside.name}"
    with echoes((a.net, "a", 8080)):
        for port in (8081, 8082):
            assert ask_tcp(outside, nodes[0].node.ip, port) == ("a", "10.98.0.1")
        nodes[0].node.call(nodes[0].plugin.set_host_ports, [])
        with pytest.raises(ConnectionRefusedError):
            ask_tcp(outside, nodes[0].node.ip, 8081)


def test_without_endpoints_a_connection_is_refused_at_once(nodes: list[Wired]) -> None:
    a = nodes[0].attach("a")
    nodes[0].serve(service(a), service(port=81))
    for source in (a.net, nodes[0].host):
        for port in (81, 82):
            with pytest.raises(ConnectionRefusedError):
                ask_tcp(source, VIP, port)
    with pytest.raises(ConnectionRefusedError):
        ask_udp(a.net, VIP, 80)
    # Kernels tell a sender on the same machine this way.
    with pytest.raises((ConnectionRefusedError, PermissionError)):
        ask_udp(nodes[0].host, VIP, 80)


def test_an_address_nobody_has_is_unreachable_at_once(nodes: list[Wired]) -> None:
    a = nodes[0].attach("a")
    with pytest.raises(OSError, match="No route to host"):
        ask_tcp(a.net, "10.42.1.200", 80)


def test_affinity_holds_per_client_and_moves_on_when_its_endpoint_goes(
    nodes: list[Wired],
) -> None:
    wired = nodes[0]
    clients = [wired.attach(f"client{n}") for n in range(6)]
    a, b, c = (wired.attach(name) for name in "abc")
    sticky = {"affinity_seconds": 600, "node_port": 30080}
    wired.serve(service(a, b, c, **sticky), service(a, b, c, protocol="udp", **sticky))
    with echoes(*((each.net, each.name, 8080) for each in (a, b, c))):
        for ask in (ask_tcp, ask_udp):
            for ip, port in ((VIP, 80), (wired.node.ip, 30080)):
                for client in clients:
                    assert len({ask(client.net, ip, port)[0] for _ in range(5)}) == 1
        chosen = ask_tcp(clients[0].net, VIP, 80)[0]
        rest = [each for each in (a, b, c) if each.name != chosen]
        wired.serve(service(*rest, **sticky))
        moved = {ask_tcp(clients[0].net, VIP, 80)[0] for _ in range(5)}
        assert len(moved) == 1
        assert moved < {each.name for each in rest}


def test_a_udp_client_that_keeps_its_socket_follows_a_removed_endpoint(
    nodes: list[Wired],
) -> None:
    wired = nodes[0]
    client, a, b = (wired.attach(name) for name in ("client", "a", "b"))
    wired.serve(service(a, protocol="udp"))
    with echoes((a.net, "a", 8080), (b.net, "b", 8080)), inside(client.net, datagrams) as made:
        assert exchange(made) == "a"
        wired.serve(service(b, protocol="udp"))
        assert exchange(made) == "b"


def datagrams() -> "contextlib.AbstractContextManager[object]":
    import socket

    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(3)
    made.connect((VIP, 80))
    return made


def exchange(made: object) -> str:
    made.send(b"?")  # type: ignore[attr-defined]
    answer: str = made.recv(100).decode().split()[0]  # type: ignore[attr-defined]
    return answer


def test_more_endpoints_than_the_prepared_rules_know(nodes: list[Wired]) -> None:
    wired = nodes[0]
    a = wired.attach("a")
    many = tuple(Endpoint(a.ip, 9000 + n) for n in range(20))
    wired.serve(service(endpoints=many))
    with echoes(*((a.net, str(n), 9000 + n) for n in range(20))):
        seen = {ask_tcp(wired.host, VIP, 80)[0] for _ in range(200)}
        assert len(seen) > 14
        wired.restart()
        assert ask_tcp(wired.host, VIP, 80)[0] in seen
        wired.serve(service(endpoints=many[:1]))
        assert ask_tcp(wired.host, VIP, 80)[0] == "0"


def test_pods_leave_the_cluster_under_their_nodes_address(
    nodes: list[Wired], two_spaces: Lab
) -> None:
    a = nodes[0].attach("a")
    outside = f"/run/netns/{two_spaces.outside.name}"
    with echoes((outside, "out", 8080), (nodes[1].host, "n2", 8080)):
        assert ask_tcp(a.net, "10.98.0.1", 8080) == ("out", nodes[0].node.ip)
        assert ask_tcp(a.net, nodes[1].node.ip, 8080) == ("n2", nodes[0].node.ip)


def test_a_restart_keeps_sandboxes_services_and_open_connections(nodes: list[Wired]) -> None:
    wired = nodes[0]
    a = wired.attach("a")
    wired.serve(service(a))
    rules = wired.node.run("nft", "-a", "list", "table", "ip", "edgek")
    wired.restart()
    assert wired.attach("a") == a
    assert wired.node.call(wired.plugin.attachments) == {"a": a}
    # Handles and all: nothing was loaded again.
    assert wired.node.run("nft", "-a", "list", "table", "ip", "edgek") == rules
    with echoes((a.net, "a", 8080)):
        assert ask_tcp(wired.host, VIP, 80)[0] == "a"


@pytest.mark.parametrize(
    "harm",
    [
        ("nft", "delete", "table", "ip", "edgek"),
        ("nft", "flush", "chain", "ip", "edgek", "services"),
        ("nft", "delete", "element", "ip", "edgek", "svc", "{ 10.43.0.20 . tcp . 80 }"),
        ("ip", "link", "del", names.VXLAN_LINK),
        ("ip", "link", "del", names.LOCAL_LINK),
        ("ip", "route", "flush", "dev", names.VXLAN_LINK),
        ("ip", "neigh", "flush", "dev", names.VXLAN_LINK, "nud", "permanent"),
        ("ip", "link", "del", names.veth("a")),
        ("ip", "route", "del", "10.42.1.1"),
    ],
    ids=" ".join,
)
def test_harm_done_behind_its_back_is_repaired_by_the_next_start(
    nodes: list[Wired], harm: tuple[str, ...]
) -> None:
    wired = nodes[0]
    a, c = wired.attach("a"), nodes[1].attach("c")
    assert a.ip == "10.42.1.1"
    wired.serve(service(c))
    wired.node.run(*harm)
    wired.restart()
    wired.node.call(wired.plugin.set_peers, [nodes[1].as_peer()])
    assert wired.attach("a").ip == a.ip
    wired.serve(service(c))
    with echoes((a.net, "a", 8080), (c.net, "c", 8080)):
        assert ask_tcp(c.net, a.ip, 8080)[0] == "a"
        assert ask_tcp(wired.host, VIP, 80)[0] == "c"
        assert ask_tcp(a.net, VIP, 80)[0] == "c"


def test_a_change_that_does_not_fit_the_kernel_loads_everything(nodes: list[Wired]) -> None:
    wired = nodes[0]
    a, b = wired.attach("a"), wired.attach("b")
    wired.serve(service(a))
    wired.node.run("nft", "flush", "map", "ip", "edgek", "svc")
    wired.node.run("nft", "flush", "map", "ip", "edgek", "ep")
    wired.serve(service(b))
    with echoes((b.net, "b", 8080)):
        assert ask_tcp(wired.host, VIP, 80)[0] == "b"


def test_half_made_sandboxes_and_stray_links_are_cleared_away(nodes: list[Wired]) -> None:
    wired = nodes[0]
    a = wired.attach("a")
    b = wired.attach("b")
    subprocess.run(["umount", b.ipc], check=True)
    wired.node.run("ip", "link", "add", names.veth("ghost"), "type", "veth", "peer", "name", "x0")
    wired.restart()
    assert wired.node.call(wired.plugin.attachments) == {"a": a}
    assert not Path(b.net).exists()
    assert names.veth("ghost") not in wired.node.run("ip", "-br", "link")
    # Its address was kept for it.
    assert wired.attach("b").ip == b.ip


def test_a_lost_lease_file_is_rebuilt_from_the_kernel(nodes: list[Wired]) -> None:
    wired = nodes[0]
    a = wired.attach("a")
    (wired.base / "state/ipam.json").write_text('{"held": {"a"')
    wired.restart()
    assert wired.attach("a") == a
    assert wired.attach("b").ip != a.ip


def test_peers_that_go_or_change_leave_nothing(nodes: list[Wired]) -> None:
    wired = nodes[0]
    set_peers = wired.plugin.set_peers
    wired.node.call(set_peers, [Peer(node_ip="10.98.0.99", pod_cidr="10.42.9.0/24")])
    wired.node.call(set_peers, [Peer(node_ip="10.98.0.98", pod_cidr="10.42.9.0/24")])
    routes = wired.node.run("ip", "route", "show", "dev", names.VXLAN_LINK)
    assert [line.split()[0] for line in routes.splitlines()] == ["10.42.9.0/24"]
    assert "10.98.0.99" not in wired.node.run("bridge", "fdb", "show", "dev", names.VXLAN_LINK)
    wired.node.call(set_peers, [])
    for kind in ("route", "neigh"):
        assert wired.node.run("ip", kind, "show", "dev", names.VXLAN_LINK).strip() == ""
    assert "dst" not in wired.node.run("bridge", "fdb", "show", "dev", names.VXLAN_LINK)


def test_attach_and_detach_leave_no_trace(nodes: list[Wired]) -> None:
    wired = nodes[0]

    def traces() -> list[object]:
        mounts = Path("/proc/mounts").read_text().splitlines()
        return [
            [line for line in mounts if str(wired.base) in line],
            list((wired.base / "run/pods").iterdir()),
            *(wired.node.run("ip", *what) for what in (["-br", "link"], ["route"], ["neigh"])),
        ]

    wired.attach("warm")
    wired.detach("warm")
    before = traces()
    wired.attach("a")
    wired.attach("a")
    assert traces() != before
    wired.detach("a")
    wired.detach("a")
    assert traces() == before
    with pytest.raises(NetplugError, match="sandbox a is not attached"):
        wired.node.call(wired.plugin.check, "a")


def test_repeating_the_setup_leaves_attaches_under_way_alone(nodes: list[Wired]) -> None:
    wired = nodes[0]
    with ThreadPoolExecutor(3, initializer=enter, initargs=(wired.node.name,)) as pool:
        attaches = [pool.submit(wired.plugin.attach, SandboxSpec(name=f"p{n}")) for n in range(8)]
        setups = [pool.submit(wired.plugin.setup, wired.config) for _ in range(4)]
        for each in (*attaches, *setups):
            each.result(20)
    assert set(wired.node.call(wired.plugin.attachments)) == {f"p{n}" for n in range(8)}


def test_a_firewall_that_drops_by_default_is_named(
    nodes: list[Wired], caplog: pytest.LogCaptureFixture
) -> None:
    wired = nodes[0]
    chain = "{ type filter hook forward priority 0; policy drop; }"
    wired.node.run("nft", f"add table ip filter; add chain ip filter FORWARD {chain}")
    try:
        wired.restart()
        assert "chain=ip filter FORWARD" in caplog.text
    finally:
        wired.node.run("nft", "delete", "table", "ip", "filter")


def test_a_new_pod_range_moves_a_sandbox_to_it(nodes: list[Wired]) -> None:
    wired = nodes[0]
    wired.attach("a")
    wired.config = replace(wired.config, pod_cidr="10.42.77.0/24")
    wired.restart()
    moved = wired.attach("a")
    assert moved.ip.startswith("10.42.77.")
    with echoes((moved.net, "a", 8080)):
        assert ask_tcp(wired.host, moved.ip, 8080)[0] == "a"
    assert "10.42.1." not in wired.node.run("ip", "route")
