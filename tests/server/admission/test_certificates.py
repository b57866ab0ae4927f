"""Who may decide about certificates, and for whom none is asked."""

import base64

import pytest

from edgek.api.errors import Forbidden
from edgek.api.meta import Obj
from edgek.kinds import CERTIFICATE_SIGNING_REQUEST
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

    return Certificates(may=allows)


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


async def test_nobody_asks_for_a_certificate_that_may_do_everything() -> None:
    with pytest.raises(Forbidden, match="signer with system:masters group is not allowed"):
        await may().validate(attributes(request(CLIENT, "system:masters")))
    await may().validate(attributes(request(CLIENT, "dev")))
    await may().validate(attributes(request("example.com/mine", "system:masters")))
