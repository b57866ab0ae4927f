"""Who may decide about certificates, and for whom none is asked."""

import base64
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from edgek.aio.clock import FakeClock
from edgek.api.errors import Forbidden
from edgek.api.meta import Obj
from edgek.kinds import (
    CERTIFICATE_SIGNING_REQUEST,
    CLUSTER_TRUST_BUNDLE,
    POD_CERTIFICATE_REQUEST,
)
from edgek.kinds.kind import Kind
from edgek.pki.keys import new_key
from edgek.pki.requests import new_request
from server.admission.certificates import Certificates
from server.admission.chain import Attributes
from server.request.info import RequestInfo
from server.request.model import User

ANN = User(name="ann")
CLIENT = "kubernetes.io/kube-apiserver-client"
KEY = new_key()


def may(*rights: str) -> Certificates:
    """Rights are ``verb signer``."""

    def allows(user: User, info: RequestInfo) -> bool:
        assert (info.group, info.resource) == ("certificates.k8s.io", "signers")
        return f"{info.verb} {info.name}" in rights

    return Certificates(may=allows, clock=FakeClock(datetime(2026, 1, 1, tzinfo=UTC)))


def request(signer: str, *organizations: str, status: Obj | None = None) -> Obj:
    pem = new_request(KEY, common_name="jane", organizations=organizations)
    spec = {"signerName": signer, "request": base64.b64encode(pem).decode()}
    return {"metadata": {"name": "r"}, "spec": spec, "status": status or {}}


def attributes(new: Obj, old: Obj | None = None, subresource: str = "") -> Attributes:
    return Attributes(
        operation="UPDATE" if old else "CREATE",
        kind=CERTIFICATE_SIGNING_REQUEST,
        namespace="",
        name="r",
        user=ANN,
        subresource=subresource,
        obj=new,
        old=old,
    )


@pytest.mark.parametrize("right", [f"approve {CLIENT}", "approve kubernetes.io/*"])
async def test_approving_needs_a_right_for_the_signer(right: str) -> None:
    asked = attributes(request(CLIENT), request(CLIENT), "approval")
    await may(right).validate(asked)
    with pytest.raises(Forbidden) as caught:
        await may(f"sign {CLIENT}", "approve other.io/*").validate(asked)
    assert caught.value.message == (
        'certificatesigningrequests.certificates.k8s.io "r" is forbidden: user not permitted to '
        f'approve requests with signerName "{CLIENT}"'
    )


async def test_a_decision_is_dated_where_who_made_it_did_not() -> None:
    new_, old = "2026-01-01T00:00:00Z", "2025-01-01T00:00:00Z"
    kept = {"type": "Failed", "status": "True", "lastTransitionTime": old}
    before = request(CLIENT, status={"conditions": [kept]})
    given = [{"type": "Failed", "status": "True"}, {"type": "Approved", "status": "True"}]
    asked = attributes(request(CLIENT, status={"conditions": given}), before, "approval")
    await may().admit(asked)
    failed, approved = asked.obj["status"]["conditions"]
    assert (failed["lastUpdateTime"], failed["lastTransitionTime"]) == (new_, old)
    assert (approved["lastUpdateTime"], approved["lastTransitionTime"]) == (new_, new_)


async def test_the_signer_is_the_one_that_was_asked_for() -> None:
    with pytest.raises(Forbidden):
        await may("approve mine.io/x").validate(
            attributes(request("mine.io/x"), request(CLIENT), "approval")
        )


async def test_issuing_needs_a_right_and_other_status_does_not() -> None:
    old, signed = request(CLIENT), request(CLIENT, status={"certificate": "eA=="})
    await may(f"sign {CLIENT}").validate(attributes(signed, old, "status"))
    await may().validate(attributes(old, old, "status"))
    failed = request(CLIENT, status={"conditions": [{"type": "Failed", "status": "True"}]})
    for changed in (signed, failed):
        with pytest.raises(Forbidden, match="user not permitted to sign requests"):
            await may(f"approve {CLIENT}").validate(attributes(changed, old, "status"))


def of_kind(kind: Kind, obj: Obj, old: Obj | None = None, subresource: str = "") -> Attributes:
    return replace(attributes(obj, old, subresource), kind=kind)


async def test_who_signs_for_pods_needs_a_right_for_the_signer() -> None:
    old = {"metadata": {"name": "r"}, "spec": {"signerName": "example.com/pods"}}
    signed = of_kind(POD_CERTIFICATE_REQUEST, old, old, "status")
    await may("sign example.com/pods").validate(signed)
    with pytest.raises(Forbidden, match='is not permitted to "sign" for signer'):
        await may("attest example.com/pods").validate(signed)


async def test_who_says_whom_to_trust_for_a_signer_needs_a_right() -> None:
    bundle: Obj = {"metadata": {"name": "b"}, "spec": {"signerName": "example.com/x"}}
    await may("attest example.com/*").validate(of_kind(CLUSTER_TRUST_BUNDLE, bundle))
    for asked in (
        of_kind(CLUSTER_TRUST_BUNDLE, bundle),
        of_kind(CLUSTER_TRUST_BUNDLE, bundle, {**bundle, "spec": {"trustBundle": "x"}}),
    ):
        with pytest.raises(Forbidden, match="not permitted to attest for signerName"):
            await may("sign example.com/x").validate(asked)
    released = {**bundle, "metadata": {"name": "b", "finalizers": ["x"]}}
    await may().validate(of_kind(CLUSTER_TRUST_BUNDLE, released, bundle))
    await may().validate(of_kind(CLUSTER_TRUST_BUNDLE, {**bundle, "spec": {}}))


async def test_nobody_asks_for_a_certificate_that_may_do_everything() -> None:
    with pytest.raises(Forbidden, match="signer with system:masters group is not allowed"):
        await may().validate(attributes(request(CLIENT, "system:masters")))
    await may().validate(attributes(request(CLIENT, "dev")))
    await may().validate(attributes(request("example.com/mine", "system:masters")))
