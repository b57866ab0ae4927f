"""What each signer signs, and in which words it does not."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from edgek.api.meta import Obj
from edgek.pki.certificates import KeyPair, describe, new_ca
from edgek.pki.keys import load_key, new_key
from server.controllers.csr_signing import KUBELET_SERVING, is_to_be_signed, plan_status, sign

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CA: KeyPair = new_ca("ca", now=NOW)
KEY = new_key()
CLIENT, NODE_CLIENT = "kubernetes.io/kube-apiserver-client", (
    "kubernetes.io/kube-apiserver-client-kubelet"
)  # fmt: skip
SERVING_USES = ["digital signature", "key encipherment", "server auth"]


def asking(
    signer: str,
    usages: list[str],
    *names: str,
    common_name: str = "system:node:n1",
    organization: str = "system:nodes",
    seconds: int = 0,
) -> Obj:
    """``names`` are ``dns:a``, ``ip:1.2.3.4``, ``email:a@b``, ``uri:x``."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    made = {
        "dns": x509.DNSName, "email": x509.RFC822Name, "uri": x509.UniformResourceIdentifier,
        "ip": lambda text: x509.IPAddress(ip_address(text)),
    }  # fmt: skip
    subject = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
        x509.NameAttribute(NameOID.COMMON_NAME, common_name),
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        given = [made[name.partition(":")[0]](name.partition(":")[2]) for name in names]
        builder = builder.add_extension(x509.SubjectAlternativeName(given), critical=False)
    pem = builder.sign(load_key(KEY), hashes.SHA256()).public_bytes(Encoding.PEM)
    spec: Obj = {
        "signerName": signer, "request": base64.b64encode(pem).decode(), "usages": usages
    }  # fmt: skip
    if seconds:
        spec["expirationSeconds"] = seconds
    return {"metadata": {"name": "r"}, "spec": spec, "status": {"conditions": [APPROVED]}}


APPROVED = {"type": "Approved", "status": "True"}


def test_a_kubelet_gets_a_serving_certificate_for_its_names() -> None:
    pem = sign(asking(KUBELET_SERVING, SERVING_USES, "dns:n1", "ip:192.0.2.1"), ca=CA, now=NOW)
    found = describe(pem)
    assert (found.common_name, found.organizations) == ("system:node:n1", ("system:nodes",))
    assert found.names == {"n1", "192.0.2.1"}


def test_a_client_gets_who_it_asked_to_be_and_no_names() -> None:
    csr = asking(CLIENT, ["client auth"], "dns:x", common_name="jane", organization="dev")
    found = describe(sign(csr, ca=CA, now=NOW))
    assert (found.common_name, found.organizations, found.names) == ("jane", ("dev",), frozenset())


@pytest.mark.parametrize(
    ("seconds", "lasts"),
    [(0, timedelta(days=365)), (7200, timedelta(hours=2)), (10**9, timedelta(days=365))],
)
def test_a_certificate_lasts_as_long_as_asked_within_bounds(seconds: int, lasts: timedelta) -> None:
    csr = asking(CLIENT, ["client auth"], seconds=seconds)
    assert describe(sign(csr, ca=CA, now=NOW)).not_after == NOW + lasts


@pytest.mark.parametrize(
    ("csr", "words"),
    [
        (asking(CLIENT, ["server auth"]), "invalid usage for client certificate: server auth"),
        (
            asking(CLIENT, ["digital signature"]),
            "missing required usage for client certificate: client auth",
        ),
        (asking(CLIENT, ["client auth"], organization="system:masters"), "is not allowed"),
        (
            asking(KUBELET_SERVING, SERVING_USES, "dns:a", organization="dev"),
            "subject organization is not system:nodes",
        ),
        (asking(KUBELET_SERVING, SERVING_USES), "DNS or IP subjectAltName is required"),
        (
            asking(KUBELET_SERVING, SERVING_USES, "dns:a", "email:a@b.org"),
            "Email subjectAltNames are not allowed",
        ),
        (
            asking(KUBELET_SERVING, SERVING_USES, "dns:a", "uri:x://y"),
            "URI subjectAltNames are not allowed",
        ),
        (
            asking(KUBELET_SERVING, ["server auth"], "dns:a"),
            "usages did not match [digital signature key encipherment server auth]",
        ),
        (
            asking(KUBELET_SERVING, SERVING_USES, "dns:a", common_name="jane"),
            "subject common name does not begin with system:node:",
        ),
        (asking(NODE_CLIENT, ["client auth"], "dns:a"), "DNS subjectAltNames are not allowed"),
        (
            asking(NODE_CLIENT, ["client auth"]),
            "usages did not match [client auth digital signature key encipherment]",
        ),
    ],
)
def test_what_a_signer_does_not_sign_fails_in_its_words(csr: Obj, words: str) -> None:
    status = plan_status(csr, ca=CA, now=NOW)
    failed = status["conditions"][-1]
    assert (failed["type"], failed["reason"]) == ("Failed", "SignerValidationFailure")
    assert words in failed["message"]
    assert "certificate" not in status
    assert not is_to_be_signed({**csr, "status": status})


@pytest.mark.parametrize("signer", ["kubernetes.io/legacy-unknown", "example.com/mine"])
def test_other_signers_are_left_to_others(signer: str) -> None:
    assert not is_to_be_signed(asking(signer, ["client auth"]))
