"""Trust bundles, requests for pod certificates, migrations: mistakes in upstream's words."""

from datetime import UTC, datetime
from typing import Any

import pytest

from edgek.pki.bundles import ca_problems
from edgek.pki.certificates import Profile, new_ca, new_pair
from tests.support.mistakes import Change, told, told_of_update

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CA = new_ca("ours", now=NOW)
PEM = CA.certificate.decode()
TIME = "2026-01-01T00:00:00Z"
ISSUED = {"type": "Issued", "status": "True", "reason": "A", "lastTransitionTime": TIME}
DENIED = ISSUED | {"type": "Denied"}
STATUS = ("status",)
CHAIN = {
    "conditions": [ISSUED],
    "certificateChain": PEM,
    "notBefore": TIME,
    "notAfter": TIME,
    "beginRefreshAt": TIME,
}


def leaf() -> str:
    profile = Profile(common_name="web")
    return new_pair(CA, profile, now=NOW).certificate.decode()


@pytest.mark.parametrize(
    ("bundle", "problems"),
    [
        (PEM, []),
        ("# ours\n" + PEM.replace("\n", "\r\n"), []),
        ("", ["at least one trust anchor must be provided"]),
        (PEM + PEM, ["duplicate trust anchor (indices [0 1])"]),
        (PEM.replace("CERTIFICATE", "PRIVATE KEY"), ["entry 0 has bad block type: PRIVATE KEY"]),
        (PEM.replace("-----\n", "-----\nA: b\n\n", 1), ["entry 0 has PEM block headers"]),
        (PEM.replace("M", "N", 1), ["entry 0 does not parse as X.509"]),
        (PEM + leaf(), ["entry 1 does not have the CA bit set"]),
    ],
)
def test_a_bundle_holds_certificates_of_cas(bundle: str, problems: list[str]) -> None:
    assert ca_problems(bundle) == problems


@pytest.mark.parametrize(
    ("plural", "path", "value", "sentence"),
    [
        (
            "clustertrustbundles",
            ("spec", "trustBundle"),
            "",
            'spec.trustBundle: Invalid value: "<value omitted>": at least one trust anchor must',
        ),
        (
            "clustertrustbundles",
            ("metadata", "name"),
            "ours",
            "ClusterTrustBundle for signerName example.com/ours must be named with prefix "
            "example.com:ours:",
        ),
        (
            "clustertrustbundles",
            ("spec", "signerName"),
            None,
            'ClusterTrustBundle without signer name must not have ":" in its name',
        ),
        ("podcertificaterequests", ("spec", "podUID"), "", "spec.podUID: Invalid value"),
        ("podcertificaterequests", ("spec", "nodeName"), "A", "spec.nodeName: Invalid value"),
        ("podcertificaterequests", ("spec", "signerName"), "x", "must be a fully qualified domain"),
        (
            "podcertificaterequests",
            ("spec", "maxExpirationSeconds"),
            60,
            "must be in the range [3600, 7862400]",
        ),
        (
            "podcertificaterequests",
            ("spec", "stubPKCS10Request"),
            "AAAA",
            "must be a valid PKCS#10 certificate request",
        ),
        (
            "podcertificaterequests",
            ("status", "conditions"),
            [ISSUED, DENIED],
            'There may be at most one condition with type "Issued", "Denied", or "Failed"',
        ),
        (
            "podcertificaterequests",
            ("status", "conditions"),
            [ISSUED | {"type": "Lost"}],
            "status.conditions[0].type: Unsupported value",
        ),
        (
            "storageversionmigrations",
            ("spec", "resource", "resource"),
            "",
            "spec.resource.resource: Required value: resource is required to be set",
        ),
        (
            "storageversionmigrations",
            ("status", "conditions"),
            [ISSUED | {"type": "Succeeded"}, ISSUED | {"type": "Failed"}],
            "Both success and failed conditions cannot be true at the same time",
        ),
    ],
)
def test_a_mistake_is_told_at_its_field(
    plural: str, path: tuple[str | int, ...], value: Any, sentence: str
) -> None:
    found = told(plural, (path, value))
    assert any(sentence in text for text in found), found


def test_a_short_life_is_all_that_the_clusters_own_signers_give() -> None:
    signer: Change = (("spec", "signerName"), "kubernetes.io/kube-apiserver-client-pod")
    [text] = told("podcertificaterequests", signer, (("spec", "maxExpirationSeconds"), 90000))
    assert text.endswith("must be in the range [3600, 86400]")


def test_a_request_comes_to_one_end() -> None:
    def written(status: dict[str, Any], *before: Change) -> list[str]:
        return told_of_update("podcertificaterequests", (STATUS, status), before=before)

    assert written(CHAIN) == []
    assert written({"conditions": [DENIED]}) == []
    [text] = written({"conditions": [DENIED], "certificateChain": PEM})
    assert "non-condition status fields must be empty" in text
    [text] = written({"certificateChain": PEM})
    assert "status is immutable unless transitioning" in text
    [text] = written(CHAIN, (STATUS, {"conditions": [DENIED]}))
    assert "immutable after PodCertificateRequest is issued, denied, or failed" in text
    missing = written({"conditions": [ISSUED]})
    assert any("issued certificate chain must contain at least one" in text for text in missing)
    assert any(text.startswith("status.notAfter: Required value") for text in missing)


def test_a_migration_that_is_done_stays_done() -> None:
    done: Change = (STATUS, {"conditions": [ISSUED | {"type": "Succeeded"}]})
    [text] = told_of_update("storageversionmigrations", (STATUS, {}), before=(done,))
    assert "Success condition cannot be set to false once it is true" in text
