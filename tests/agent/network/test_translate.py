"""Nodes, Services and EndpointSlices -> netplug's values, as kube-proxy reads them."""

from typing import Any

import pytest

from agent.network import translate
from edgek.api.meta import Obj
from netplug.model import Endpoint, HostPort, Peer, Service

A, B = "10.42.1.5", "10.42.2.6"


def service(ports: list[Obj] | None = None, **spec: Any) -> Obj:
    spec = {"clusterIP": "10.43.0.7", "ports": ports or [{"port": 80}], **spec}
    return {"metadata": {"name": "web", "namespace": "default"}, "spec": spec}


def slice_of(*endpoints: Obj, name: str = "", port: int = 8080, **more: Any) -> Obj:
    return {
        "metadata": {
            "name": "web-1",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "web"},
        },
        "addressType": "IPv4",
        "ports": [{"name": name, "port": port, "protocol": "TCP"}],
        "endpoints": list(endpoints),
        **more,
    }


def endpoint(ip: str, *, node: str = "n1", **conditions: bool) -> Obj:
    return {"addresses": [ip], "nodeName": node, "conditions": conditions}


def translated(objects: list[Obj], slices: list[Obj]) -> list[Service]:
    return translate.services(objects, slices, node_name="n1", dns_ip="10.43.0.10")


def endpoints_of(slices: list[Obj], **spec: Any) -> list[str]:
    (found,) = translated([service(**spec)], slices)
    return [each.ip for each in found.endpoints]


def test_a_service_port_gets_the_slices_port_of_the_same_name() -> None:
    ports = [{"name": "http", "port": 80}, {"name": "admin", "port": 81, "nodePort": 30081}]
    found = translated(
        [service(ports)],
        [slice_of(endpoint(A), name="http"), slice_of(endpoint(B), name="admin", port=9090)],
    )
    http = Service(ip="10.43.0.7", protocol="tcp", port=80, endpoints=(Endpoint(A, 8080),))
    admin = Endpoint(B, 9090)
    assert found == [
        http,
        Service(ip="10.43.0.7", protocol="tcp", port=81, endpoints=(admin,)),
        Service(ip="", protocol="tcp", port=81, endpoints=(admin,), node_port=30081),
    ]


def test_same_port_and_name_but_another_protocol_does_not_meet() -> None:
    (found,) = translated([service([{"port": 80, "protocol": "UDP"}])], [slice_of(endpoint(A))])
    assert (found.protocol, found.endpoints) == ("udp", ())


@pytest.mark.parametrize(
    ("endpoints", "used"),
    [
        ([endpoint(A, ready=True), endpoint(B, ready=False)], [A]),
        ([endpoint(A)], [A]),
        ([endpoint(A, ready=True), endpoint(B, ready=False, serving=True, terminating=True)], [A]),
        (
            [endpoint(A, ready=False), endpoint(B, ready=False, serving=True, terminating=True)],
            [B],
        ),
        ([endpoint(B, ready=False, serving=False, terminating=True)], []),
    ],
    ids=["only ready", "unknown is ready", "ready first", "terminating as last resort", "none"],
)
def test_which_endpoints_are_used(endpoints: list[Obj], used: list[str]) -> None:
    assert endpoints_of([slice_of(*endpoints)]) == used


def test_all_slices_count_once_and_in_order() -> None:
    slices = [slice_of(endpoint(B)), slice_of(endpoint(A)), slice_of(endpoint(B))]
    assert endpoints_of(slices) == [A, B]


def test_other_services_other_families_and_nonsense_do_not_count() -> None:
    stranger = slice_of(endpoint(A))
    stranger["metadata"] = {**stranger["metadata"], "namespace": "other"}
    bad = [slice_of(endpoint("::1"), addressType="IPv6"), slice_of(endpoint("not-an-ip"))]
    assert endpoints_of([stranger, *bad]) == []


def test_internal_traffic_policy_local_stays_on_the_node_but_node_ports_do_not() -> None:
    slices = [slice_of(endpoint(A), endpoint(B, node="n2"))]
    found = translated(
        [service([{"port": 80, "nodePort": 30080}], internalTrafficPolicy="Local")], slices
    )
    assert [[e.ip for e in each.endpoints] for each in found] == [[A], [A, B]]


@pytest.mark.parametrize(
    "spec",
    [
        {"clusterIP": "None"},
        {"clusterIP": ""},
        {"clusterIP": "10.43.0.10"},
        {"type": "ExternalName", "externalName": "example.org"},
    ],
    ids=["headless", "not yet allocated", "the DNS address", "external name"],
)
def test_services_without_a_virtual_ip_of_their_own_are_left_out(spec: Obj) -> None:
    assert translated([service(**spec)], [slice_of(endpoint(A))]) == []


def test_external_and_load_balancer_addresses_are_virtual_ips_too() -> None:
    balanced = service(externalIPs=["192.0.2.9"])
    balanced["status"] = {
        "loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"ip": "192.0.2.2", "ipMode": "Proxy"}]}
    }
    found = translated([balanced], [slice_of(endpoint(A))])
    assert [each.ip for each in found] == ["10.43.0.7", "192.0.2.9", "192.0.2.1"]


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        ({}, 0),
        ({"sessionAffinity": "None"}, 0),
        ({"sessionAffinity": "ClientIP"}, 10800),
        (
            {
                "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}},
            },
            5,
        ),
    ],
)
def test_session_affinity(spec: Obj, seconds: int) -> None:
    assert translated([service(**spec)], [])[0].affinity_seconds == seconds


def node(name: str, ip: str, cidr: str | None) -> Obj:
    addresses = [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": ip}]
    spec = {"podCIDR": cidr} if cidr else {}
    return {"metadata": {"name": name}, "spec": spec, "status": {"addresses": addresses}}


def test_peers_are_the_other_nodes_that_have_address_and_range() -> None:
    nodes = [
        node("n1", "192.0.2.1", "10.42.1.0/24"),
        node("n2", "192.0.2.2", "10.42.2.0/24"),
        node("n3", "192.0.2.3", None),
        node("n4", "fe80::1", "10.42.4.0/24"),
        {"metadata": {"name": "n5"}, "spec": {"podCIDR": "10.42.5.0/24"}},
        node("n6", "192.0.2.6", "nonsense"),
    ]
    assert translate.peers(nodes, own_name="n1") == [
        Peer(node_ip="192.0.2.2", pod_cidr="10.42.2.0/24")
    ]


def test_host_ports() -> None:
    ports = [
        {"containerPort": 80, "hostPort": 8080},
        {"containerPort": 53, "hostPort": 53, "protocol": "UDP", "hostIP": "0.0.0.0"},
        {"containerPort": 1, "hostPort": 1, "hostIP": "192.0.2.1"},
        {"containerPort": 2, "hostPort": 2, "hostIP": "127.0.0.1"},
        {"containerPort": 443},
    ]
    assert translate.host_ports(A, ports) == [
        HostPort(protocol="tcp", port=8080, endpoint=Endpoint(A, 80)),
        HostPort(protocol="udp", port=53, endpoint=Endpoint(A, 53)),
        HostPort(protocol="tcp", port=1, endpoint=Endpoint(A, 1), host_ip="192.0.2.1"),
    ]
