"""Endpoints and EndpointSlices follow the pods behind a Service, with few writes."""

import asyncio
from typing import Any

import pytest

from edgek.api.meta import Obj, labels
from edgek.kinds import ENDPOINT_SLICE, ENDPOINTS, NAMESPACE, NODE, POD, SERVICE
from server.controllers import (
    endpoint_slice,
    endpoint_slice_mirroring,
    endpoints,
    kubernetes_service,
)
from server.controllers.endpoint_slice_plan import plan_slices
from server.controllers.endpoints import plan_endpoints
from server.controllers.kubernetes_service import ApiAddress
from tests.support.cluster import node
from tests.support.loops import running
from tests.support.memory_api import MemoryApi

BUILDERS = (endpoints.build, endpoint_slice.build, endpoint_slice_mirroring.build)


def service(*, selector: Any = "web", port: Any = 8080, **spec: Any) -> Obj:
    ports = [{"name": "http", "port": 80, "targetPort": port, "protocol": "TCP"}]
    spec = {"clusterIP": "10.43.0.7", "ipFamilies": ["IPv4"], "ports": ports, **spec}
    if selector:
        spec["selector"] = {"app": selector}
    meta = {"name": "web", "namespace": "default", "uid": "uid-svc", "labels": {"team": "a"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def backend(number: int, *, ready: bool = True, port: int = 8080, **more: Any) -> Obj:
    meta = {
        "name": f"web-{number}",
        "namespace": "default",
        "uid": f"uid-{number}",
        "labels": {"app": "web"},
        **more.pop("metadata", {}),
    }
    container = {"name": "c", "ports": [{"name": "http", "containerPort": port}]}
    ip = f"10.42.{number // 200}.{number % 200 + 1}"
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": conditions}
    spec = {"nodeName": "n1", "containers": [container], **more}
    return {"metadata": meta, "spec": spec, "status": status}


DYING = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}


def slices(svc: Obj, pods: list[Obj], existing: list[Obj] | None = None) -> Any:
    return plan_slices(svc, pods, existing or [], {"n1": "zone-a"})


class TestEndpoints:
    def test_ready_and_unready_pods_are_told_apart(self) -> None:
        wanted = plan_endpoints(service(), [backend(2), backend(1, ready=False)])
        assert wanted["subsets"] == [
            {
                "addresses": [
                    {
                        "ip": "10.42.0.3",
                        "nodeName": "n1",
                        "targetRef": {
                            "kind": "Pod",
                            "name": "web-2",
                            "namespace": "default",
                            "uid": "uid-2",
                        },
                    }
                ],
                "notReadyAddresses": [
                    {
                        "ip": "10.42.0.2",
                        "nodeName": "n1",
                        "targetRef": {
                            "kind": "Pod",
                            "name": "web-1",
                            "namespace": "default",
                            "uid": "uid-1",
                        },
                    }
                ],
                "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            }
        ]

    def test_a_named_target_port_is_each_pods_own(self) -> None:
        pods = [backend(1, port=8080), backend(2, port=9090), backend(3, port=8080)]
        wanted = plan_endpoints(service(port="http"), pods)
        found = {s["ports"][0]["port"]: len(s["addresses"]) for s in wanted["subsets"]}
        assert found == {8080: 2, 9090: 1}

    def test_a_pod_without_the_named_port_is_left_out(self) -> None:
        assert plan_endpoints(service(port="admin"), [backend(1)])["subsets"] == []

    def test_dying_pods_are_called_only_where_unready_ones_are(self) -> None:
        pods = [backend(1, **DYING)]
        assert plan_endpoints(service(), pods)["subsets"] == []
        found = plan_endpoints(service(publishNotReadyAddresses=True), pods)["subsets"]
        assert len(found[0]["addresses"]) == 1

    def test_a_headless_service_needs_no_ports_and_says_so_in_a_label(self) -> None:
        wanted = plan_endpoints(service(clusterIP="None", ports=[]), [backend(1)])
        assert "ports" not in wanted["subsets"][0]
        assert labels(wanted)["service.kubernetes.io/headless"] == ""

    def test_more_than_a_thousand_addresses_are_cut_unready_ones_first(self) -> None:
        pods = [backend(i, ready=i % 2 == 0) for i in range(1200)]
        wanted = plan_endpoints(service(), pods)
        assert len(wanted["subsets"][0]["addresses"]) == 600
        assert len(wanted["subsets"][0]["notReadyAddresses"]) == 400
        assert wanted["metadata"]["annotations"] == {
            "endpoints.kubernetes.io/over-capacity": "truncated"
        }


class TestSlices:
    def test_an_endpoint_carries_conditions_node_zone_and_pod(self) -> None:
        (made,) = slices(service(), [backend(1)]).create
        assert made["endpoints"] == [
            {
                "addresses": ["10.42.0.2"],
                "conditions": {"ready": True, "serving": True, "terminating": False},
                "nodeName": "n1",
                "zone": "zone-a",
                "targetRef": {
                    "kind": "Pod",
                    "name": "web-1",
                    "namespace": "default",
                    "uid": "uid-1",
                },
            }
        ]
        assert made["addressType"] == "IPv4"
        assert labels(made) == {
            "team": "a",
            "kubernetes.io/service-name": "web",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        }
        assert made["metadata"]["ownerReferences"][0]["kind"] == "Service"

    def test_a_dying_pod_still_serves_but_is_not_ready(self) -> None:
        (made,) = slices(service(), [backend(1, **DYING)]).create
        assert made["endpoints"][0]["conditions"] == {
            "ready": False,
            "serving": True,
            "terminating": True,
        }

    def test_a_service_without_pods_has_one_empty_slice(self) -> None:
        (made,) = slices(service(), []).create
        assert (made["endpoints"], made["ports"]) == ([], [])
        assert not slices(service(), [], [made])

    def test_the_empty_slice_becomes_the_first_full_one_in_one_write(self) -> None:
        (empty,) = slices(service(), []).create
        plan = slices(service(), [backend(1)], [empty])
        assert (len(plan.create), len(plan.update), len(plan.delete)) == (0, 1, 0)
        assert plan.update[0]["metadata"]["name"] == empty["metadata"]["name"]
        emptied = slices(service(), [], list(plan.update))
        assert (len(emptied.create), len(emptied.update), len(emptied.delete)) == (0, 1, 0)
        assert not slices(service(), [], list(emptied.update))

    def test_a_hundred_endpoints_fill_a_slice_and_the_next_one_opens_another(self) -> None:
        made = list(slices(service(), [backend(i) for i in range(250)]).create)
        assert [len(s["endpoints"]) for s in made] == [100, 100, 50]
        assert len({s["metadata"]["name"] for s in made}) == 3
        assert not slices(service(), [backend(i) for i in range(250)], made)

    def test_one_pod_more_or_less_writes_one_slice(self) -> None:
        made = list(slices(service(), [backend(i) for i in range(250)]).create)
        more = slices(service(), [backend(i) for i in range(251)], made)
        assert (len(more.create), len(more.update), len(more.delete)) == (0, 1, 0)
        less = slices(service(), [backend(i) for i in range(1, 250)], made)
        assert (len(less.create), len(less.update), len(less.delete)) == (0, 1, 0)

    def test_new_endpoints_go_where_old_ones_left(self) -> None:
        """A rolling update must not touch more slices than it has to."""
        made = list(slices(service(), [backend(i) for i in range(200)]).create)
        first = {e["targetRef"]["name"] for e in made[0]["endpoints"]}
        kept = [i for i in range(200) if f"web-{i}" != min(first)]
        plan = slices(service(), [backend(i) for i in [*kept, 300]], made)
        assert [s["metadata"]["name"] for s in plan.update] == [made[0]["metadata"]["name"]]

    def test_other_ports_mean_other_slices_without_a_gap(self) -> None:
        made = list(slices(service(), [backend(1)]).create)
        plan = slices(service(port=9090), [backend(1)], made)
        assert (len(plan.create), len(plan.update), len(plan.delete)) == (0, 1, 0)
        assert plan.update[0]["ports"] == [{"name": "http", "port": 9090, "protocol": "TCP"}]

    def test_dual_stack_has_a_slice_per_family(self) -> None:
        both = service(ipFamilies=["IPv4", "IPv6"])
        one = backend(1)
        one["status"]["podIPs"].append({"ip": "fd00::1"})
        made = slices(both, [one]).create
        assert {s["addressType"]: s["endpoints"][0]["addresses"] for s in made} == {
            "IPv4": ["10.42.0.2"],
            "IPv6": ["fd00::1"],
        }


@pytest.mark.looptime
async def test_pods_come_change_and_go_and_both_forms_follow() -> None:
    api = MemoryApi()
    api.put(NODE, node("n1"))
    api.put(SERVICE, service())
    async with running(api, *BUILDERS) as loops:
        api.put(POD, backend(1, ready=False))
        await loops.settle()
        api.put(POD, backend(1))
        api.put(POD, backend(2))
        await loops.settle()
        (slice_,) = api.all(ENDPOINT_SLICE)
        assert [e["conditions"]["ready"] for e in slice_["endpoints"]] == [True, True]
        assert len(api.all(ENDPOINTS)[0]["subsets"][0]["addresses"]) == 2
        api.remove(POD, "default", "web-1")
        await loops.settle()
        (slice_,) = api.all(ENDPOINT_SLICE)
        assert [e["targetRef"]["name"] for e in slice_["endpoints"]] == ["web-2"]
        api.remove(SERVICE, "default", "web")
        await loops.settle()
        assert api.all(ENDPOINTS) == []


@pytest.mark.looptime
async def test_a_burst_of_pods_costs_few_writes_and_rest_costs_none() -> None:
    api = MemoryApi()
    api.put(SERVICE, service())
    async with running(api, *BUILDERS) as loops:
        before = len(api.writes)
        for number in range(50):
            api.put(POD, backend(number))
            await asyncio.sleep(0.01)
        await loops.settle()
        assert len(api.all(ENDPOINT_SLICE)[0]["endpoints"]) == 50
        assert len(api.writes) - before <= 2 * 8
        before = len(api.calls)
        changed = backend(1)
        changed["status"]["message"] = "nothing that matters"
        api.put(POD, changed)
        await loops.settle(600)
        assert len(api.calls) == before


@pytest.mark.looptime
async def test_endpoints_of_users_are_mirrored_and_never_deleted_unasked() -> None:
    api = MemoryApi()
    api.put(SERVICE, service(selector=None))
    subsets = [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"name": "http", "port": 80}]}]
    mine = {"metadata": {"name": "web", "namespace": "default"}, "subsets": subsets}
    alone = {"metadata": {"name": "alone", "namespace": "default"}, "subsets": subsets}
    api.put(ENDPOINTS, mine)
    api.put(ENDPOINTS, alone)
    async with running(api, *BUILDERS) as loops:
        (slice_,) = api.all(ENDPOINT_SLICE)
        assert slice_["endpoints"] == [{"addresses": ["192.0.2.1"], "conditions": {"ready": True}}]
        assert labels(slice_)["endpointslice.kubernetes.io/managed-by"] == (
            "endpointslicemirroring-controller.k8s.io"
        )
        api.put(ENDPOINTS, {**mine, "subsets": [{**subsets[0], "ports": [{"port": 81}]}]})
        await loops.settle()
        (slice_,) = api.all(ENDPOINT_SLICE)
        assert slice_["ports"] == [{"name": "", "port": 81, "protocol": "TCP"}]
        assert len(api.all(ENDPOINTS)) == 2
        api.remove(ENDPOINTS, "default", "web")
        await loops.settle()
        assert api.all(ENDPOINT_SLICE) == []


@pytest.mark.looptime
async def test_the_kubernetes_service_is_made_repaired_and_never_rewritten_in_vain() -> None:
    api = MemoryApi()
    where = ApiAddress(service_ip="10.43.0.1", advertise="192.0.2.10", port=6443)
    api.put(NAMESPACE, {"metadata": {"name": "default"}})
    builders = (*BUILDERS, lambda context: kubernetes_service.build(context, where=where))
    async with running(api, *builders) as loops:
        (made,) = api.all(SERVICE)
        assert made["spec"]["clusterIP"] == "10.43.0.1"
        assert made["spec"]["ports"][0]["targetPort"] == 6443
        assert [s["metadata"]["name"] for s in api.all(ENDPOINT_SLICE)] == ["kubernetes"]
        api.remove(ENDPOINTS, "default", "kubernetes")
        await loops.settle()
        (again,) = api.all(ENDPOINTS)
        assert again["subsets"][0]["addresses"] == [{"ip": "192.0.2.10"}]
        before = len(api.calls)
        await loops.settle(3600)
        assert len(api.calls) == before
