"""Services -> elements, and what a change makes stale."""

from netplug.conntrack import Flow
from netplug.model import Endpoint, HostPort, Service
from netplug.services import plan_elements, stale_affinity, stale_udp

A, B = Endpoint("10.42.1.5", 8080), Endpoint("10.42.2.6", 8080)


def plan(*services: Service, host_ports: tuple[HostPort, ...] = ()) -> dict[str, dict]:
    return plan_elements(services, host_ports, pod_cidr="10.42.1.0/24").elements


def test_a_service_is_a_verdict_by_count_and_one_element_per_endpoint() -> None:
    found = plan(Service(ip="10.43.0.1", protocol="tcp", port=443, endpoints=(A, B)))
    assert found["svc"] == {("10.43.0.1", "tcp", 443): ("goto", "n2")}
    assert found["ep"] == {
        ("10.43.0.1", "tcp", 443, 0): tuple(A),
        ("10.43.0.1", "tcp", 443, 1): tuple(B),
    }
    assert found["np"] == {}


def test_only_sandboxes_of_this_node_can_reach_themselves() -> None:
    found = plan(Service(ip="10.43.0.1", protocol="tcp", port=443, endpoints=(A, B)))
    assert found["hairpin"] == {(A.ip, A.ip): ()}


def test_nothing_is_loaded_for_a_service_without_endpoints() -> None:
    found = plan(Service(ip="10.43.0.1", protocol="tcp", port=443, node_port=30000))
    assert not any(found.values())


def test_affinity_uses_chains_that_remember() -> None:
    desired = plan_elements(
        [
            Service(
                ip="10.43.0.1", protocol="udp", port=53, node_port=30053, endpoints=(A,),
                affinity_seconds=60,
            )
        ],
        (),
        pod_cidr="10.42.1.0/24",
    )  # fmt: skip
    assert desired.elements["svc"] == {("10.43.0.1", "udp", 53): ("goto", "s1")}
    assert desired.elements["np"] == {("udp", 30053): ("goto", "q1")}
    assert desired.elements["sticky"] == {("10.43.0.1", "udp", 53): ("goto", "t60")}
    assert desired.elements["npsticky"] == {("udp", 30053): ("goto", "t60")}
    assert {"s1", "q1", "t60"} <= desired.chains.keys()


def test_more_endpoints_than_prepared_bring_a_whole_block_of_chains() -> None:
    many = tuple(Endpoint("10.42.1.5", port) for port in range(1, 19))
    service = Service(ip="10.43.0.1", protocol="tcp", port=1, endpoints=many)
    desired = plan_elements([service], (), pod_cidr="10.42.1.0/24")
    assert set(desired.chains) == {f"n{count}" for count in range(17, 33)}


def test_a_node_port_wins_over_a_host_port() -> None:
    found = plan(
        Service(ip="10.43.0.1", protocol="tcp", port=80, node_port=30000, endpoints=(B,)),
        host_ports=(
            HostPort(protocol="tcp", port=30000, endpoint=A),
            HostPort(protocol="udp", port=30000, endpoint=A),
            HostPort(protocol="tcp", port=30000, endpoint=A, host_ip="192.0.2.1"),
        ),
    )
    assert found["np"] == {("tcp", 30000): ("goto", "p1"), ("udp", 30000): ("goto", "hostport")}
    assert found["svc"]["192.0.2.1", "tcp", 30000] == ("goto", "hostport_ip")


def test_udp_flows_to_removed_endpoints_are_stale_and_moved_ones_are_not() -> None:
    key = ("10.43.0.1", "udp", 53)
    removed = {
        "ep": {(*key, 0): tuple(A), (*key, 1): tuple(B), ("10.43.0.1", "tcp", 53, 0): tuple(A)},
        "npep": {("udp", 30053, 0): tuple(A)},
    }
    added = {"ep": {(*key, 0): tuple(B)}}
    assert stale_udp(removed, added) == [
        Flow(ip="", port=30053, endpoint=A.ip),
        Flow(ip="10.43.0.1", port=53, endpoint=A.ip),
    ]


def test_remembered_endpoints_are_stale_when_gone_or_no_longer_sticky() -> None:
    sticky = Service(
        ip="10.43.0.1", protocol="tcp", port=80, node_port=30080, endpoints=(A,), affinity_seconds=9
    )
    learned = {
        ("10.42.1.9", "10.43.0.1", "tcp", 80): tuple(A),
        ("10.42.1.9", "192.0.2.1", "tcp", 30080): tuple(A),
        ("10.42.1.8", "10.43.0.1", "tcp", 80): tuple(B),
        ("10.42.1.9", "10.43.0.9", "tcp", 80): tuple(A),
    }
    assert list(stale_affinity(learned, plan(sticky))) == list(learned)[2:]
    plain = Service(ip="10.43.0.1", protocol="tcp", port=80, endpoints=(A,))
    assert stale_affinity(learned, plan(plain)) == learned
