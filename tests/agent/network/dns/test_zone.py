"""The Kubernetes DNS specification 1.1, name by name."""

import pytest

from agent.network.dns.zone import Record, Zone
from edgek.api.meta import Obj


def service(name: str, *, namespace: str = "default", **spec: object) -> Obj:
    ports = [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": "None", "ports": ports, **spec},
    }


def slice_of(name: str, *endpoints: Obj, namespace: str = "default") -> Obj:
    return {
        "metadata": {
            "name": f"{name}-1",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}, {"name": "dns", "port": 53, "protocol": "UDP"}],
        "endpoints": list(endpoints),
    }


ZONE = Zone(
    domain="cluster.local",
    dns_ip="10.43.0.10",
    networks=("10.42.0.0/16", "10.43.0.0/16"),
    services=[
        service("web", clusterIP="10.43.0.7"),
        service("peers"),
        service("idle"),
        service("ext", type="ExternalName", clusterIP="", externalName="Example.ORG."),
        service("api", namespace="kube-system", clusterIP="10.43.0.8"),
    ],
    slices=[
        slice_of("web", {"addresses": ["10.42.1.5"]}),
        slice_of(
            "peers",
            {"addresses": ["10.42.1.6"], "hostname": "peer-0"},
            {"addresses": ["10.42.2.7"]},
            {"addresses": ["10.42.2.8"], "conditions": {"ready": False}},
        ),
        slice_of("idle", {"addresses": ["10.42.2.9"], "conditions": {"ready": False}}),
    ],
)


def values(name: str, type_: str = "A") -> list[str] | None:
    """Values found; None for NXDOMAIN."""
    found = ZONE.lookup(name, type_)
    assert found.exists or not found.records
    return [record.value for record in found.records] if found.exists else None


@pytest.mark.parametrize(
    ("name", "type_", "expected"),
    [
        ("web.default.svc.cluster.local", "A", ["10.43.0.7"]),
        ("web.default.svc.cluster.local", "AAAA", []),
        ("api.kube-system.svc.cluster.local", "A", ["10.43.0.8"]),
        ("api.default.svc.cluster.local", "A", None),
        ("peers.default.svc.cluster.local", "A", ["10.42.1.6", "10.42.2.7"]),
        ("peer-0.peers.default.svc.cluster.local", "A", ["10.42.1.6"]),
        ("10-42-2-7.peers.default.svc.cluster.local", "A", ["10.42.2.7"]),
        ("10-42-1-6.peers.default.svc.cluster.local", "A", None),
        ("10-42-2-8.peers.default.svc.cluster.local", "A", None),
        ("idle.default.svc.cluster.local", "A", None),
        ("ext.default.svc.cluster.local", "A", ["example.org"]),
        ("ext.default.svc.cluster.local", "AAAA", ["example.org"]),
        ("default.svc.cluster.local", "A", []),
        ("nowhere.svc.cluster.local", "A", None),
        ("svc.cluster.local", "A", []),
        ("cluster.local", "A", []),
        ("cluster.local", "NS", ["ns.dns.cluster.local"]),
        ("ns.dns.cluster.local", "A", ["10.43.0.10"]),
        ("dns-version.cluster.local", "TXT", ["1.1.0"]),
        ("10-42-1-5.default.pod.cluster.local", "A", ["10.42.1.5"]),
        ("10-42-1.default.pod.cluster.local", "A", None),
        ("www.example.org.default.svc.cluster.local", "A", None),
        ("example.org.svc.cluster.local", "A", None),
        ("a.b.c.d.e.svc.cluster.local", "A", None),
        ("example.org.cluster.local", "A", None),
        ("7.0.43.10.in-addr.arpa", "PTR", ["web.default.svc.cluster.local"]),
        ("6.1.42.10.in-addr.arpa", "PTR", ["peer-0.peers.default.svc.cluster.local"]),
        ("7.2.42.10.in-addr.arpa", "PTR", ["10-42-2-7.peers.default.svc.cluster.local"]),
        ("5.1.42.10.in-addr.arpa", "PTR", None),
    ],
)
def test_names(name: str, type_: str, expected: list[str] | None) -> None:
    assert values(name, type_) == expected


def test_srv_of_a_virtual_ip_names_the_service_and_its_port() -> None:
    base = "web.default.svc.cluster.local"
    found = ZONE.lookup(f"_http._tcp.{base}", "SRV")
    assert found.records == (Record(name=f"_http._tcp.{base}", type="SRV", value=base, port=80),)
    assert found.extra == (Record(name=base, type="A", value="10.43.0.7"),)


def test_srv_of_a_headless_service_names_each_ready_endpoint_and_its_port() -> None:
    base = "peers.default.svc.cluster.local"
    found = ZONE.lookup(f"_http._tcp.{base}", "SRV")
    assert {(record.value, record.port) for record in found.records} == {
        (f"peer-0.{base}", 8080),
        (f"10-42-2-7.{base}", 8080),
    }
    assert Record(name=f"peer-0.{base}", type="A", value="10.42.1.6") in found.extra


@pytest.mark.parametrize("name", ["_http._udp", "_none._tcp", "http._tcp", "_http.tcp"])
def test_srv_of_a_port_that_is_not_there(name: str) -> None:
    assert not ZONE.lookup(f"{name}.web.default.svc.cluster.local", "SRV").exists


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("cluster.local", True),
        ("x.cluster.local", True),
        ("xcluster.local", False),
        ("example.org", False),
        ("1.0.42.10.in-addr.arpa", True),
        ("1.0.0.10.in-addr.arpa", False),
        ("0.42.10.in-addr.arpa", False),
        ("", False),
    ],
)
def test_which_names_are_ours(name: str, ours: bool) -> None:
    assert ZONE.owns(name) is ours
