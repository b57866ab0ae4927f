"""The agent's network on real kernel state: names, virtual IPs, restart, nothing left behind."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import dns.message
import dns.query
import dns.rdatatype
import pytest

from agent.network import NodeNetwork
from agent.network.kernel import NetplugNetwork
from edgek.api.meta import Obj
from tests.support.echo import ask_tcp, echoes, inside
from tests.support.netlab import Lab, Node, lab, sh

pytestmark = pytest.mark.host
DNS = "10.43.0.10"


@pytest.fixture(scope="module")
def one() -> Iterator[Lab]:
    with lab(1) as made:
        yield made


def settings(node: Node) -> NodeNetwork:
    return NodeNetwork(
        node_name="n1",
        node_ip=node.ip,
        pod_cidr=node.pod_cidr,
        cluster_cidr="10.42.0.0/16",
        service_cidr="10.43.0.0/16",
        dns_ip=DNS,
    )


def run(node: Node, tmp_path: Path, script: Callable[[NetplugNetwork], Awaitable[None]]) -> None:
    """Runs ``script`` in the node against a network that is taken down afterwards."""

    async def whole() -> None:
        (tmp_path / "resolv.conf").write_text("nameserver 10.98.0.1\n")
        network = new(tmp_path)
        try:
            await network.setup(settings(node))
            await script(network)
        finally:
            await network.close()
            # By another process, as "edgek uninstall" does it.
            cleaner = new(tmp_path)
            await cleaner.teardown()
            await cleaner.close()

    node.arun(whole())


def new(tmp_path: Path) -> NetplugNetwork:
    return NetplugNetwork(
        run_dir=tmp_path / "run/pods",
        state_dir=tmp_path / "state",
        resolv_conf=tmp_path / "resolv.conf",
    )


def service(name: str, ip: str, *, port: int = 80) -> Obj:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterIP": ip, "ports": [{"port": port, "protocol": "TCP", "name": "http"}]},
    }


def slice_of(name: str, *ips: str, port: int = 8080) -> Obj:
    return {
        "metadata": {
            "name": f"{name}-1",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [ip]} for ip in ips],
    }


def query_from(netns: str, name: str, *, tcp: bool = False) -> list[str]:
    ask = dns.query.tcp if tcp else dns.query.udp
    answer = inside(
        netns, lambda: ask(dns.message.make_query(name, dns.rdatatype.A), DNS, timeout=3)
    )
    return [item.to_text() for rrset in answer.answer for item in rrset]


def test_a_pod_finds_a_service_by_name_and_reaches_it(one: Lab, tmp_path: Path) -> None:
    async def script(network: NetplugNetwork) -> None:
        web = await network.attach("web", hostname="web")
        client = await network.attach("client", hostname="client")
        await network.set_services([service("web", "10.43.0.7")], [slice_of("web", web.ip)])
        with echoes((web.net, "web", 8080)):
            for tcp in (False, True):
                found = await asyncio.to_thread(
                    query_from, client.net, "web.default.svc.cluster.local", tcp=tcp
                )
                assert found == ["10.43.0.7"]
            assert await asyncio.to_thread(ask_tcp, client.net, found[0], 80) == (
                "web",
                client.ip,
            )

    run(one.nodes[0], tmp_path, script)


def test_sandboxes_host_ports_and_services_outlive_the_agent(one: Lab, tmp_path: Path) -> None:
    node = one.nodes[0]

    async def script(network: NetplugNetwork) -> None:
        web = await network.attach("web", hostname="web")
        await network.set_services([service("web", "10.43.0.7")], [slice_of("web", web.ip)])
        await network.set_host_ports("web", web.ip, [{"containerPort": 8080, "hostPort": 8081}])
        await network.close()
        successor = new(tmp_path)
        try:
            await successor.setup(settings(node))
            assert await successor.sandboxes() == {"web": web}
            assert await successor.attach("web", hostname="web") == web
            with echoes((web.net, "web", 8080)):
                outside = f"/run/netns/{one.outside.name}"
                assert (await asyncio.to_thread(ask_tcp, outside, node.ip, 8081))[0] == "web"
                own = f"/run/netns/{node.name}"
                assert (await asyncio.to_thread(ask_tcp, own, "10.43.0.7", 80))[0] == "web"
        finally:
            await successor.close()

    run(node, tmp_path, script)


def test_ten_pods_attach_at_once_and_get_ten_addresses(one: Lab, tmp_path: Path) -> None:
    async def script(network: NetplugNetwork) -> None:
        found = await asyncio.gather(*(network.attach(f"p{n}", hostname="h") for n in range(10)))
        assert len({sandbox.ip for sandbox in found}) == 10
        assert set(await network.sandboxes()) == {f"p{n}" for n in range(10)}
        await asyncio.gather(*(network.detach(f"p{n}") for n in range(10)))
        assert await network.sandboxes() == {}

    run(one.nodes[0], tmp_path, script)


def test_teardown_leaves_the_node_as_it_was(one: Lab, tmp_path: Path) -> None:
    node = one.nodes[0]
    before = traces(node, tmp_path)

    async def script(network: NetplugNetwork) -> None:
        web = await network.attach("web", hostname="web")
        await network.set_services([service("web", "10.43.0.7")], [slice_of("web", web.ip)])
        assert traces(node, tmp_path) != before

    run(node, tmp_path, script)
    assert traces(node, tmp_path) == before


def traces(node: Node, tmp_path: Path) -> tuple[object, ...]:
    mounts = [
        line for line in Path("/proc/mounts").read_text().splitlines() if str(tmp_path) in line
    ]
    files = sorted(str(p) for p in tmp_path.rglob("*") if p.is_file() and p.name != "resolv.conf")
    kernel = [
        sh("ip", "-n", node.name, "-br", "link"),
        # A link-local address is tentative for its first second; that passes by itself.
        sh("ip", "-n", node.name, "addr").replace(" tentative", ""),
        sh("ip", "-n", node.name, "route", "show", "table", "all", "type", "unicast"),
        sh("ip", "-n", node.name, "route", "show", "type", "unreachable"),
        node.run("nft", "list", "ruleset"),
    ]
    return (mounts, files, kernel, len(os.listdir("/run/netns")))
