"""Addresses and ports of Services go back when the last one that holds them is gone."""

import pytest

from edgek.api.errors import Invalid
from edgek.api.meta import Obj
from server.registry.services import ServiceHook
from server.request.model import User

ASKING = User(name="somebody", groups=())
IP, PORT = "10.43.0.7", 30007


def service(named: str, ip: str = "", port: int = 0) -> Obj:
    spec: Obj = {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP"}]}
    if ip:
        spec |= {"clusterIP": ip, "clusterIPs": [ip]}
    if port:
        spec["ports"][0]["nodePort"] = port
    return {"metadata": {"name": named, "namespace": "ns"}, "spec": spec}


def hook(*services: Obj) -> ServiceHook:
    return ServiceHook(service_cidr="10.43.0.0/16", node_ports="30000-32767", services=services)


def take(of: ServiceHook) -> None:
    of.reserve(service("wants", IP, PORT), None, ASKING)


def test_what_two_services_hold_is_free_when_both_are_gone() -> None:
    first, second = service("first", IP, PORT), service("second", IP, PORT)
    of = hook(first, second)
    of.removed(first)
    with pytest.raises(Invalid):
        take(of)
    of.removed(second)
    take(of)


def test_what_one_service_held_at_the_start_is_free_when_it_has_another() -> None:
    had, has = service("a", IP, PORT), service("a", "10.43.0.8", 30008)
    of = hook(had)
    with pytest.raises(Invalid):
        take(of)
    of.written(has, had)
    take(of)
    of.removed(service("wants", IP, PORT))
    take(of)


def test_what_is_drawn_is_of_the_ranges() -> None:
    of, drawn = hook(), service("a")
    of.reserve(drawn, None, ASKING)
    assert drawn["spec"]["clusterIP"].startswith("10.43.")
    assert 30000 <= drawn["spec"]["ports"][0]["nodePort"] <= 32767
