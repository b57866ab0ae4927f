"""TokenRequest: defaults, limits and bindings, in upstream's words."""

from datetime import UTC, datetime

import orjson
import pytest

from edgek.aio.clock import FakeClock
from edgek.api.errors import ApiError
from edgek.api.meta import Key
from edgek.kinds.node import NODE
from edgek.kinds.pod import POD
from edgek.kinds.service_account import SERVICE_ACCOUNT
from edgek.pki.keys import new_key
from server.authn.jwt import SigningKey
from server.authn.tokens import TokenIssuer, issue_token
from server.request.fake import FakeReader

KEY = SigningKey(new_key())
READER = FakeReader(
    (SERVICE_ACCOUNT, {"metadata": {"name": "web", "namespace": "shop", "uid": "sa-1"}}),
    (POD, {"metadata": {"name": "p", "namespace": "shop", "uid": "pod-1"},
           "spec": {"serviceAccountName": "web"}}),
    (POD, {"metadata": {"name": "other", "namespace": "shop", "uid": "pod-2"},
           "spec": {"serviceAccountName": "db"}}),
)  # fmt: skip


def issue(name: str = "web", **spec: object) -> dict:
    clock = FakeClock(datetime(2026, 1, 1, tzinfo=UTC))
    issuer = TokenIssuer(issuer="https://k", key=KEY, clock=clock)
    return issue_token({"spec": spec}, account=Key("shop", name), reader=READER, issuer=issuer)


def ref(**fields: str) -> dict:
    return {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", **fields}}


def test_defaults_are_an_hour_for_the_api():
    answer = issue()
    assert answer["spec"] == {"audiences": ["https://k"], "expirationSeconds": 3600}
    assert answer["status"]["expirationTimestamp"] == "2026-01-01T01:00:00Z"


def test_a_mounted_token_says_an_hour_and_works_for_a_year():
    answer = issue(expirationSeconds=3607, **ref(name="p"))
    claims = KEY.verify(answer["status"]["token"])
    assert answer["status"]["expirationTimestamp"] == "2026-01-01T01:00:07Z"
    assert claims["exp"] - claims["iat"] == 365 * 86400
    assert claims["kubernetes.io"]["warnafter"] - claims["iat"] == 3607


@pytest.mark.parametrize(
    ("asked", "code", "words"),
    [
        ({"name": "none"}, 404, 'serviceaccounts "none" not found'),
        ({"expirationSeconds": 60}, 422, "may not specify a duration less than 10 minutes"),
        ({"expirationSeconds": 2**33}, 422, "may not specify a duration larger than 2^32 seconds"),
        ({"expirationSeconds": "1h"}, 422, "must be an integer"),
        (ref(name="gone"), 404, 'pods "gone" not found'),
        (ref(name="p", uid="old"), 409, "the UID in the bound object reference (old) does not"),
        (ref(name="other"), 400, "pod running with different serviceaccount name"),
        (ref(name="p", kind="Job"), 400, "cannot bind token to object of type /v1, Kind=Job"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(asked: dict, code: int, words: str):
    with pytest.raises(ApiError) as caught:
        issue(**asked)
    assert caught.value.code == code
    assert words in caught.value.message


def test_any_jwt_library_can_read_the_token():
    """RFC 7515: checked with the plain primitives, not with our own code."""
    import base64

    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    pem = new_key()
    head, body, signature = SigningKey(pem).sign({"sub": "x"}).split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    dss = utils.encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    from edgek.pki.keys import load_key

    public = load_key(pem).public_key()
    public.verify(dss, f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256()))
    assert orjson.loads(base64.urlsafe_b64decode(head + "=="))["alg"] == "ES256"


def test_a_token_lives_no_longer_than_the_server_lets_it():
    clock = FakeClock(datetime(2026, 1, 1, tzinfo=UTC))
    issuer = TokenIssuer(issuer="https://k", key=KEY, clock=clock, max_seconds=7200)
    warnings: list[str] = []
    answer = issue_token(
        {"spec": {"expirationSeconds": 9000}}, account=Key("shop", "web"), reader=READER,
        issuer=issuer, warn=warnings.append,
    )  # fmt: skip
    assert answer["spec"]["expirationSeconds"] == 7200
    assert answer["status"]["expirationTimestamp"] == "2026-01-01T02:00:00Z"
    assert warnings == ["requested expiration of 9000 seconds shortened to 7200 seconds"]


def test_a_pods_token_names_its_node_even_where_that_is_gone():
    meta = {"name": "far", "namespace": "shop", "uid": "pod-3"}
    spec = {"serviceAccountName": "web", "nodeName": "n1"}
    reader = FakeReader(
        (SERVICE_ACCOUNT, {"metadata": {"name": "web", "namespace": "shop", "uid": "sa-1"}}),
        (POD, {"metadata": meta, "spec": spec}),
    )
    issuer = TokenIssuer(issuer="https://k", key=KEY, clock=FakeClock())

    def claims() -> dict:
        asked = {"spec": ref(name="far")}
        answer = issue_token(asked, account=Key("shop", "web"), reader=reader, issuer=issuer)
        return KEY.verify(answer["status"]["token"])["kubernetes.io"]

    assert claims()["node"] == {"name": "n1"}
    reader.put(NODE, {"metadata": {"name": "n1", "uid": "node-1"}})
    assert claims()["node"] == {"name": "n1", "uid": "node-1"}


@pytest.mark.parametrize("field", ["name", "namespace"])
def test_a_request_is_about_the_account_of_its_url(field: str):
    issuer = TokenIssuer(issuer="https://k", key=KEY, clock=FakeClock())
    asked = {"metadata": {field: "other"}, "spec": {}}
    with pytest.raises(ApiError) as caught:
        issue_token(asked, account=Key("shop", "web"), reader=READER, issuer=issuer)
    assert caught.value.code == 422
    assert f"must match the service account {field} if specified" in caught.value.message
