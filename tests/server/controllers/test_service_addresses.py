"""What Services hold is written down as IPAddresses, and what cannot be is told of."""

from datetime import timedelta
from typing import Any

import pytest

from edgek.aio.clock import FakeClock
from edgek.api.conditions import find_condition
from edgek.api.meta import Obj, labels, name
from edgek.api.time import format_time
from edgek.kinds import IP_ADDRESS, NAMESPACE, SERVICE, SERVICE_CIDR
from server.controllers import service_addresses, service_cidrs
from server.controllers.service_addresses import Ranges, address_object, plan_complaints
from server.controllers.service_cidrs import plan_status
from tests.support.api import admin, open_api
from tests.support.loops import running
from tests.support.memory_api import MemoryApi

RANGES = Ranges(services="10.43.0.0/16", node_ports=range(30000, 32768))
NOW = "2026-01-01T00:00:00Z"


def build(context: Any) -> Any:
    return service_addresses.build(context, ranges=RANGES)


def service(named: str, ip: str = "10.43.0.7", *ports: int, made: str = NOW) -> Obj:
    meta = {"name": named, "namespace": "ns", "uid": f"uid-{named}", "creationTimestamp": made}
    spec: Obj = {"clusterIP": ip, "clusterIPs": [ip], "type": "NodePort" if ports else "ClusterIP"}
    spec["ports"] = [{"port": 80, "nodePort": port} for port in ports]
    return {"metadata": meta, "spec": spec}


@pytest.mark.parametrize(
    ("held", "rivals", "said"),
    [
        (service("a"), [], []),
        (service("a", "None"), [], []),
        (service("a", "x"), [], ["Cluster IP x is not a valid IP; please recreate service"]),
        (
            service("a", "10.96.0.1"),
            [],
            [
                "Cluster IP [IPv4]: 10.96.0.1 is not within any configured Service CIDR; "
                "please recreate service"
            ],
        ),
        (
            service("b", "10.43.0.7", 30001),
            [service("a", made="2025-01-01T00:00:00Z")],
            [
                "Cluster IP [IPv4]:10.43.0.7 was assigned to multiple services; "
                "please recreate service",
                "Port 30001 was assigned to multiple services; please recreate service",
            ],
        ),
        (service("a", "10.43.0.7", 30001), [service("b")], []),
        (
            service("a", "None", 80, 80),
            [],
            ["Port 80 is not within the port range 30000-32767; please recreate service"],
        ),
    ],
)
def test_what_cannot_be_held_is_told_of(held: Obj, rivals: list[Obj], said: list[str]) -> None:
    holders: dict[str | int, list[Obj]] = {"10.43.0.7": [held, *rivals], 30001: [held, *rivals]}
    of_ips, of_ports = plan_complaints(held, holders, RANGES)
    assert [c.message for c in (*of_ips, *of_ports)] == said


@pytest.mark.looptime
async def test_addresses_come_and_go_with_their_services() -> None:
    api = MemoryApi()
    async with running(api, build) as loops:
        api.put(SERVICE, service("a", made=format_time(loops.context.clock.now())))
        await loops.settle()
        found = api.one(IP_ADDRESS, "", "10.43.0.7")
        assert found is not None
        assert found["spec"]["parentRef"] == {
            "group": "", "resource": "services", "namespace": "ns", "name": "a"
        }  # fmt: skip
        assert labels(found)["ipaddress.kubernetes.io/ip-family"] == "IPv4"
        mine = address_object("10.43.9.9", service("other"))
        mine["metadata"]["labels"] = {}
        api.put(IP_ADDRESS, mine)
        api.put(SERVICE, service("a", "10.43.0.8"))
        await loops.settle()
        assert sorted(name(a) for a in api.all(IP_ADDRESS)) == ["10.43.0.8", "10.43.9.9"]
        api.remove(SERVICE, "ns", "a")
        await loops.settle()
        assert [name(a) for a in api.all(IP_ADDRESS)] == ["10.43.9.9"], "what is another's stays"
        done = len(api.writes)
        await loops.settle(3600)
        assert len(api.writes) == done


@pytest.mark.looptime
async def test_a_lost_address_is_repaired_and_told_of() -> None:
    api = MemoryApi()
    async with running(api, build) as loops:
        api.put(SERVICE, service("a", made=format_time(loops.context.clock.now())))
        await loops.settle(timedelta(minutes=2).total_seconds())
        assert loops.events() == []
        api.remove(IP_ADDRESS, "", "10.43.0.7")
        await loops.settle()
        assert [name(a) for a in api.all(IP_ADDRESS)] == ["10.43.0.7"]
        assert loops.events() == [
            "ClusterIPNotAllocated: Cluster IP [IPv4]: 10.43.0.7 is not allocated; repairing"
        ]


@pytest.mark.looptime
async def test_of_two_that_hold_one_address_the_second_has_it_when_the_first_is_gone() -> None:
    api = MemoryApi()
    api.put(SERVICE, service("first", made="2025-01-01T00:00:00Z"))
    api.put(SERVICE, service("second"))
    async with running(api, build) as loops:
        assert len(loops.events("ClusterIPAlreadyAllocated")) == 1
        api.remove(SERVICE, "ns", "first")
        await loops.settle()
        found = api.one(IP_ADDRESS, "", "10.43.0.7")
        assert found is not None
        assert found["spec"]["parentRef"]["name"] == "second"


async def test_the_real_api_takes_the_address_of_a_service() -> None:
    async with open_api(clock=FakeClock()) as api:
        client = admin(api)
        await client.create(NAMESPACE, {"metadata": {"name": "ns"}})
        spec = {"ports": [{"port": 80}]}
        made = await client.create(
            SERVICE, {"metadata": {"name": "a", "namespace": "ns"}, "spec": spec}
        )
        ip = made["spec"]["clusterIP"]
        stored = await client.create(IP_ADDRESS, address_object(ip, made))
        assert name(stored) == ip


def test_a_range_that_is_not_in_use_is_not_ready() -> None:
    ours = {"spec": {"cidrs": ["10.43.0.0/16"]}}
    status = plan_status(ours, ours=("10.43.0.0/16",), now=NOW)
    assert status is not None
    ready = find_condition(status["conditions"], "Ready") or {}
    assert (ready["status"], ready["message"]) == ("True", "Kubernetes Service CIDR is ready")
    assert plan_status({**ours, "status": status}, ours=("10.43.0.0/16",), now="later") is None
    other = plan_status({"spec": {"cidrs": ["10.9.0.0/16"]}}, ours=("10.43.0.0/16",), now=NOW)
    assert other is not None
    assert (find_condition(other["conditions"], "Ready") or {})["status"] == "False"


@pytest.mark.looptime
async def test_the_clusters_range_becomes_ready() -> None:
    api = MemoryApi()
    api.put(SERVICE_CIDR, {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.43.0.0/16"]}})
    async with running(api, lambda context: service_cidrs.build(context, ours=("10.43.0.0/16",))):
        found = api.one(SERVICE_CIDR, "", "kubernetes") or {}
        assert found["status"]["conditions"][0]["status"] == "True"
