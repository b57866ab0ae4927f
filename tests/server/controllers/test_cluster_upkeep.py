"""Namespaces get what every one has, nodes get networks and certificates, orphans go."""

import base64
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest

from edgek.api.conditions import find_condition, is_true
from edgek.api.meta import Obj
from edgek.kinds import (
    CERTIFICATE_SIGNING_REQUEST,
    CONFIG_MAP,
    NAMESPACE,
    NODE,
    POD,
    SECRET,
    SERVICE_ACCOUNT,
)
from edgek.pki.certificates import describe, is_signed_by, new_ca
from edgek.pki.keys import new_key
from edgek.pki.requests import new_request
from server.controllers import (
    csr_approving,
    csr_signing,
    node_ipam,
    pod_gc,
    root_ca,
    service_account,
)
from server.controllers.node_ipam import plan_cidr
from server.controllers.pod_gc import plan_terminated
from server.request.principals import AGENT_BOOTSTRAPPERS
from tests.support.cluster import ClusterApi, node, pod
from tests.support.loops import running
from tests.support.memory_api import MemoryApi

START = datetime(2026, 1, 1, tzinfo=UTC)


def namespace(name: str, **status: Any) -> Obj:
    return {"metadata": {"name": name}, "status": status}


@pytest.mark.looptime
async def test_each_namespace_has_a_default_service_account_and_gets_it_back() -> None:
    api = MemoryApi()
    api.put(NAMESPACE, namespace("default"))
    api.put(NAMESPACE, namespace("dying", phase="Terminating"))
    async with running(api, service_account.build) as loops:
        assert api.one(SERVICE_ACCOUNT, "default", "default")
        assert not api.one(SERVICE_ACCOUNT, "dying", "default")
        api.remove(SERVICE_ACCOUNT, "default", "default")
        await loops.settle()
        assert api.one(SERVICE_ACCOUNT, "default", "default")


@pytest.mark.looptime
async def test_each_namespace_has_the_root_ca_and_changes_to_it_are_undone() -> None:
    api = MemoryApi()
    api.put(NAMESPACE, namespace("default"))
    async with running(api, lambda c: root_ca.build(c, ca_pem="PEM")) as loops:
        made = api.one(CONFIG_MAP, "default", "kube-root-ca.crt")
        assert made is not None
        assert made["data"] == {"ca.crt": "PEM"}
        api.put(CONFIG_MAP, {**made, "data": {"ca.crt": "forged"}})
        await loops.settle()
        mended = api.one(CONFIG_MAP, "default", "kube-root-ca.crt")
        assert mended is not None
        assert mended["data"] == {"ca.crt": "PEM"}


@pytest.mark.parametrize(
    ("cluster", "taken", "after", "expected"),
    [
        ("10.42.0.0/16", [], -1, "10.42.0.0/24"),
        ("10.42.0.0/16", ["10.42.0.0/24"], -1, "10.42.1.0/24"),
        ("10.42.0.0/16", ["10.42.6.0/24"], 5, "10.42.7.0/24"),
        ("10.42.0.0/23", ["10.42.0.0/24", "10.42.1.0/24"], 0, None),
        ("10.42.0.0/23", ["10.42.1.0/24", "192.0.2.0/24"], 1, "10.42.0.0/24"),
        ("10.42.0.0/25", [], -1, "10.42.0.0/25"),
        ("fd00:42::/56", ["fd00:42::/64"], -1, "fd00:42:0:1::/64"),
    ],
)
def test_the_next_network(cluster: str, taken: list[str], after: int, expected: str | None) -> None:
    found = plan_cidr(ip_network(cluster), taken, after=after)
    assert (found[0] if found else None) == expected


@pytest.mark.looptime
async def test_nodes_that_come_together_get_different_networks_and_keep_them() -> None:
    api = MemoryApi()
    for number in range(8):
        api.put(NODE, node(f"n{number}"))
    async with running(api, lambda c: node_ipam.build(c, cluster_cidr="10.42.0.0/16")) as loops:
        before = {n["metadata"]["name"]: n["spec"]["podCIDR"] for n in api.all(NODE)}
        assert len(set(before.values())) == 8
        api.remove(NODE, "", "n3")
        await loops.settle()
        api.put(NODE, node("n9"))
        await loops.settle()
        new = api.one(NODE, "", "n9")
        assert new is not None
        assert new["spec"]["podCIDR"] not in before.values()
        assert new["spec"]["podCIDRs"] == [new["spec"]["podCIDR"]]


@pytest.mark.looptime
async def test_a_full_cluster_network_is_told_and_a_freed_part_is_given() -> None:
    api = MemoryApi()
    api.put(NODE, node("n1"))
    async with running(api, lambda c: node_ipam.build(c, cluster_cidr="10.42.0.0/24")) as loops:
        api.put(NODE, node("n2"))
        await loops.settle(1)
        assert loops.events() == ["CIDRNotAvailable: Node n2 status is now: CIDRNotAvailable"]
        api.remove(NODE, "", "n1")
        await loops.settle(60)
        second = api.one(NODE, "", "n2")
        assert second is not None
        assert second["spec"]["podCIDR"] == "10.42.0.0/24"


def csr(name: str, *, node_name: str, key: bytes, **spec: Any) -> Obj:
    pem = new_request(key, common_name=f"system:node:{node_name}", organizations=["system:nodes"])
    return {
        "metadata": {"name": name},
        "spec": {
            "request": base64.b64encode(pem).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "client auth"],
            "username": "join-token",
            "groups": [AGENT_BOOTSTRAPPERS],
            **spec,
        },
    }


@pytest.mark.looptime
async def test_a_joining_node_gets_its_certificate_and_another_machine_of_that_name_does_not() -> (
    None
):
    api = ClusterApi()
    ca = new_ca("client-ca", now=START)
    async with running(api, csr_approving.build, lambda c: csr_signing.build(c, ca=ca)) as loops:
        api.put(
            CERTIFICATE_SIGNING_REQUEST,
            csr("first", node_name="n1", key=new_key(), expirationSeconds=86400),
        )
        await loops.settle()
        signed = api.one(CERTIFICATE_SIGNING_REQUEST, "", "first")
        assert signed is not None
        pem = base64.b64decode(signed["status"]["certificate"])
        assert is_signed_by(pem, ca.certificate)
        about = describe(pem)
        assert (about.common_name, about.organizations) == ("system:node:n1", ("system:nodes",))
        assert about.not_after < START + timedelta(days=1, hours=1)
        assert len(api.all(SECRET)) == 1

        api.put(NODE, node("n1"))
        api.put(CERTIFICATE_SIGNING_REQUEST, csr("second", node_name="n1", key=new_key()))
        await loops.settle()
        refused = api.one(CERTIFICATE_SIGNING_REQUEST, "", "second")
        assert refused is not None
        denied = find_condition(refused["status"]["conditions"], "Denied") or {}
        assert denied["reason"] == "NodeNameTaken"
        assert "certificate" not in refused["status"]


@pytest.mark.looptime
async def test_a_persons_request_waits_for_people_and_masters_are_not_made_this_way() -> None:
    api = ClusterApi()
    ca = new_ca("client-ca", now=START)

    def asked(name: str, group: str) -> Obj:
        pem = new_request(new_key(), common_name="jane", organizations=[group])
        more = {"request": base64.b64encode(pem).decode(), "groups": ["devs"]}
        signer = "kubernetes.io/kube-apiserver-client"
        return csr(name, node_name="x", key=new_key(), **more, signerName=signer)

    approved = {"conditions": [{"type": "Approved", "status": "True", "lastUpdateTime": None}]}
    async with running(api, csr_approving.build, lambda c: csr_signing.build(c, ca=ca)) as loops:
        for name, group in (("jane", "devs"), ("evil", "system:masters")):
            api.put(CERTIFICATE_SIGNING_REQUEST, asked(name, group))
        await loops.settle()
        waiting = api.one(CERTIFICATE_SIGNING_REQUEST, "", "jane")
        assert waiting is not None
        assert "status" not in waiting
        for one in api.all(CERTIFICATE_SIGNING_REQUEST):
            api.put(CERTIFICATE_SIGNING_REQUEST, {**one, "status": approved})
        await loops.settle()
        jane = api.one(CERTIFICATE_SIGNING_REQUEST, "", "jane")
        evil = api.one(CERTIFICATE_SIGNING_REQUEST, "", "evil")
        assert jane is not None
        assert evil is not None
        assert describe(base64.b64decode(jane["status"]["certificate"])).organizations == ("devs",)
        assert is_true(evil["status"]["conditions"], "Failed")


@pytest.mark.looptime
async def test_requests_are_cleaned_up_when_they_are_of_no_more_use() -> None:
    api = ClusterApi()
    ca = new_ca("client-ca", now=START)
    api.put(CERTIFICATE_SIGNING_REQUEST, csr("signed", node_name="n1", key=new_key()))
    api.put(CERTIFICATE_SIGNING_REQUEST, csr("left", node_name="n2", key=new_key(), groups=[]))
    async with running(api, csr_approving.build, lambda c: csr_signing.build(c, ca=ca)) as loops:
        await loops.settle(3000)
        assert len(api.all(CERTIFICATE_SIGNING_REQUEST)) == 2
        await loops.settle(1000)
        (left,) = api.all(CERTIFICATE_SIGNING_REQUEST)
        assert left["metadata"]["name"] == "left"
        await loops.settle(24 * 3600)
        assert api.all(CERTIFICATE_SIGNING_REQUEST) == []


def test_only_the_oldest_finished_pods_beyond_the_threshold_go() -> None:
    pods = [pod(f"p{i}", status={"phase": "Succeeded" if i % 2 else "Running"}) for i in range(8)]
    for number, one in enumerate(pods):
        one["metadata"]["creationTimestamp"] = f"2026-01-01T00:00:{59 - number}Z"
    found = plan_terminated(pods, threshold=3)
    assert [p["metadata"]["name"] for p in found] == ["p7"]
    assert plan_terminated(pods, threshold=4) == []


@pytest.mark.looptime
async def test_pods_of_a_node_that_is_gone_go_after_a_quarantine() -> None:
    api = MemoryApi()
    api.put(NODE, node("n1"))
    api.put(NODE, node("n2"))
    for number in (1, 2):
        api.put(POD, pod(f"web-{number}", nodeName=f"n{number}", status={"phase": "Running"}))
    api.put(POD, pod("waiting"))
    async with running(api, pod_gc.build) as loops:
        api.remove(NODE, "", "n1")
        api.remove(NODE, "", "n2")
        await loops.settle(20)
        api.put(NODE, node("n2"))
        await loops.settle(10)
        assert len(api.all(POD)) == 3
        await loops.settle(30)
        assert {p["metadata"]["name"] for p in api.all(POD)} == {"web-2", "waiting"}


@pytest.mark.looptime
async def test_a_deleted_pod_that_never_got_a_node_goes_at_once() -> None:
    api = MemoryApi()
    stuck = pod("stuck")
    stuck["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    api.put(POD, stuck)
    async with running(api, pod_gc.build):
        assert api.all(POD) == []
