"""Who gets a node's certificate: a new name, the same key, the node itself; no second machine."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from edgek.api.meta import Obj
from edgek.pki.certificates import describe, new_ca
from edgek.pki.keys import new_key
from edgek.pki.requests import new_request
from server.authn.csr_policy import (
    Approval,
    Denial,
    judge,
    record_key,
    requested_node,
    sign_node_csr,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ONE, TWO = new_key(), new_key()
JOINING = {
    "username": "system:bootstrap:edgek",
    "groups": ["system:bootstrappers", "system:bootstrappers:edgek:agent"],
}
NODE_A = {"username": "system:node:a", "groups": ["system:nodes"]}


def csr(key: bytes = ONE, *, node: str = "a", who: Obj = JOINING, **more: object) -> Obj:
    organizations = more.pop("organizations", ("system:nodes",))
    name = more.pop("common_name", f"system:node:{node}")
    pem = new_request(key, common_name=name, organizations=organizations)
    spec = {
        "request": base64.b64encode(pem).decode(),
        "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
        "usages": ["digital signature", "client auth"],
        **who,
        **more,
    }
    return {"metadata": {"name": "x"}, "spec": spec}


def recorded(key: bytes, *, age: timedelta = timedelta(days=1)) -> Obj:
    decision = judge(csr(key), record=None, node_exists=False, now=NOW)
    assert isinstance(decision, Approval)
    assert decision.record is not None
    created = (NOW - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    extra = {"creationTimestamp": created, "resourceVersion": "7"}
    return {**decision.record, "metadata": {**decision.record["metadata"], **extra}}


def test_the_first_machine_of_a_name_is_approved_and_its_key_recorded():
    decision = judge(csr(), record=None, node_exists=False, now=NOW)
    assert isinstance(decision, Approval)
    assert decision.node == requested_node(csr()) == "a"
    assert decision.record is not None
    assert decision.record["metadata"]["name"] == record_key("a").name


def test_the_same_machine_joins_again_with_nothing_to_record():
    decision = judge(csr(), record=recorded(ONE), node_exists=True, now=NOW)
    assert isinstance(decision, Approval)
    assert decision.record is None


def test_a_second_machine_of_a_name_is_told_what_to_do():
    decision = judge(csr(TWO), record=recorded(ONE), node_exists=True, now=NOW)
    assert isinstance(decision, Denial)
    assert decision.message.startswith('node name "a" is taken by another machine (node key SHA256')
    assert "--node-name" in decision.message
    assert "kubectl delete node a" in decision.message


def test_a_name_just_given_is_taken_before_its_node_appears():
    fresh = recorded(ONE, age=timedelta(seconds=10))
    assert isinstance(judge(csr(TWO), record=fresh, node_exists=False, now=NOW), Denial)


def test_a_name_is_free_again_when_its_node_is_deleted():
    decision = judge(csr(TWO), record=recorded(ONE), node_exists=False, now=NOW)
    assert isinstance(decision, Approval)
    assert decision.record is not None
    assert decision.record["metadata"]["resourceVersion"] == "7"


def test_a_node_renews_its_own_certificate_also_with_a_new_key():
    decision = judge(csr(TWO, who=NODE_A), record=recorded(ONE), node_exists=True, now=NOW)
    assert isinstance(decision, Approval)
    assert decision.record is not None


def test_a_node_cannot_get_the_certificate_of_another():
    decision = judge(csr(node="b", who=NODE_A), record=None, node_exists=True, now=NOW)
    assert isinstance(decision, Denial)


@pytest.mark.parametrize(
    "more",
    [
        {"organizations": ("system:masters",)},
        {"organizations": ("system:nodes", "system:masters")},
        {"common_name": "system:admin"},
        {"usages": ["server auth"]},
        {"request": "bm90IGEgcmVxdWVzdA=="},
        {"request": "%"},
    ],
    ids=str,
)
def test_a_request_for_more_than_a_node_is_denied_and_never_signed(more: dict):
    request = csr(**more)
    assert isinstance(judge(request, record=None, node_exists=False, now=NOW), Denial)
    with pytest.raises(ValueError, match=r".+"):
        sign_node_csr(request, ca=new_ca("ca", now=NOW), now=NOW)


@pytest.mark.parametrize("more", [{"signerName": "example.com/x"}, {"who": {"username": "ann"}}])
def test_requests_of_people_and_other_signers_are_left_alone(more: dict):
    assert judge(csr(**more), record=None, node_exists=False, now=NOW) is None


def test_a_signed_certificate_is_a_nodes_and_lasts_as_asked_but_no_year_more():
    ca = new_ca("ca", now=NOW)
    found = describe(sign_node_csr(csr(expirationSeconds=600), ca=ca, now=NOW))
    assert (found.common_name, found.organizations) == ("system:node:a", ("system:nodes",))
    assert found.not_after == NOW + timedelta(seconds=600)
    long = describe(sign_node_csr(csr(expirationSeconds=10**9), ca=ca, now=NOW))
    assert long.not_after == NOW + timedelta(days=365)
