"""Each credential names its user; a bad one is refused, never taken for anonymous."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from edgek.aio.clock import FakeClock
from edgek.api.errors import Unauthorized
from edgek.api.meta import Key, Obj
from edgek.kinds.node import NODE
from edgek.kinds.pod import POD
from edgek.kinds.service_account import SERVICE_ACCOUNT
from edgek.pki.certificates import Profile, new_ca, new_pair
from edgek.pki.keys import new_key
from edgek.pki.tokens import JoinToken
from server.authn.anonymous import Anonymous
from server.authn.authenticator import Authenticator
from server.authn.join_token import JoinTokenAuthenticator
from server.authn.jwt import SigningKey
from server.authn.service_account import ServiceAccountAuthenticator
from server.authn.tokens import TokenIssuer, issue_token
from server.authn.union import Union
from server.authn.x509 import X509Authenticator
from server.request.fake import FakeReader
from server.request.model import ANONYMOUS, Request, User

pytestmark = pytest.mark.looptime

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = new_key()
CA = new_ca("client-ca", now=NOW)
ACCOUNT = {"metadata": {"name": "web", "namespace": "shop", "uid": "sa-1"}}
A_POD = {
    "metadata": {"name": "web-1", "namespace": "shop", "uid": "pod-1"},
    "spec": {"serviceAccountName": "web", "nodeName": "n1"},
}
A_NODE = {"metadata": {"name": "n1", "uid": "node-1"}}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def reader() -> FakeReader:
    return FakeReader((SERVICE_ACCOUNT, ACCOUNT), (POD, A_POD), (NODE, A_NODE))


@pytest.fixture
def issuer(clock: FakeClock) -> TokenIssuer:
    return TokenIssuer(issuer="https://k", key=SigningKey(KEY), clock=clock)


@pytest.fixture
def all_of(issuer: TokenIssuer, reader: FakeReader, clock: FakeClock) -> Authenticator:
    pin = "0" * 64
    return Union(
        (
            X509Authenticator(clock=clock),
            JoinTokenAuthenticator(
                JoinToken(secret="for-servers", user="server", ca_hash=pin),
                JoinToken(secret="for-agents", user="node", ca_hash=pin),
            ),
            ServiceAccountAuthenticator(issuer=issuer, reader=reader, clock=clock),
            Anonymous(),
        )
    )


def bearing(token: str) -> Request:
    return Request(method="GET", path="/", headers={"authorization": f"Bearer {token}"})


def presenting(**profile: object) -> Request:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    pem = new_pair(CA, Profile(client=True, **profile), now=NOW).certificate
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    return Request(method="GET", path="/", peer_certificate=der)


def token_for(reader: FakeReader, issuer: TokenIssuer, **spec: object) -> str:
    answer = issue_token({"spec": spec}, account=Key("shop", "web"), reader=reader, issuer=issuer)
    return answer["status"]["token"]


BOUND = {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "web-1", "uid": "pod-1"}}


async def test_a_certificate_names_user_and_groups(all_of: Authenticator):
    request = presenting(common_name="ann", organizations=("dev", "ops"))
    user = await all_of.authenticate(request)
    which = f"X509SHA256={hashlib.sha256(request.peer_certificate).hexdigest()}"
    assert user == User(
        name="ann",
        groups=("dev", "ops", "system:authenticated"),
        extra={"authentication.kubernetes.io/credential-id": (which,)},
    )


async def test_a_certificate_stops_working_on_an_open_connection(
    all_of: Authenticator, clock: FakeClock
):
    request = presenting(common_name="ann", duration=timedelta(hours=1))
    assert await all_of.authenticate(request)
    clock.advance(3601)
    with pytest.raises(Unauthorized):
        await all_of.authenticate(request)


async def test_a_certificate_without_a_name_is_nobody(all_of: Authenticator):
    with pytest.raises(Unauthorized):
        await all_of.authenticate(presenting(common_name=" ", organizations=("system:masters",)))


@pytest.mark.parametrize("text", ["for-agents", "for-servers", "K10" + "0" * 64 + "::x:for-agents"])
async def test_a_join_token_makes_a_bootstrapper_and_no_more(all_of: Authenticator, text: str):
    user = await all_of.authenticate(bearing(text))
    assert user is not None
    assert "system:bootstrappers:edgek:agent" in user.groups
    assert "system:masters" not in user.groups


@pytest.mark.parametrize(
    "header", ["Bearer wrong", "Bearer K10" + "0" * 64 + "::node:wrong", "Bearer a.b.c", "Basic x"]
)
async def test_an_unknown_credential_is_401_and_not_anonymous(all_of: Authenticator, header: str):
    request = Request(method="GET", path="/", headers={"authorization": header})
    with pytest.raises(Unauthorized, match=r"^Unauthorized$"):
        await all_of.authenticate(request)


async def test_no_credential_is_anonymous(all_of: Authenticator):
    assert await all_of.authenticate(Request(method="GET", path="/")) == ANONYMOUS


async def test_an_account_token_names_account_groups_and_what_it_is_bound_to(
    all_of: Authenticator, reader: FakeReader, issuer: TokenIssuer
):
    user = await all_of.authenticate(bearing(token_for(reader, issuer, **BOUND)))
    assert user is not None
    assert (user.name, user.uid) == ("system:serviceaccount:shop:web", "sa-1")
    assert user.groups == (
        "system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated",
    )  # fmt: skip
    assert user.extra["authentication.kubernetes.io/pod-name"] == ("web-1",)
    assert user.extra["authentication.kubernetes.io/node-name"] == ("n1",)


def replaced(obj: Obj, **meta: str) -> Obj:
    return {**obj, "metadata": {**obj["metadata"], **meta}}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda r: r.remove(POD, Key("shop", "web-1")), id="pod deleted"),
        pytest.param(lambda r: r.put(POD, replaced(A_POD, uid="pod-2")), id="pod replaced"),
        pytest.param(lambda r: r.remove(SERVICE_ACCOUNT, Key("shop", "web")), id="account deleted"),
        pytest.param(
            lambda r: r.put(POD, replaced(A_POD, deletionTimestamp="2025-12-31T23:58:00Z")),
            id="pod over its grace",
        ),
    ],
)
async def test_a_token_ends_with_what_it_is_bound_to(
    all_of: Authenticator, reader: FakeReader, issuer: TokenIssuer, change
):
    request = bearing(token_for(reader, issuer, **BOUND))
    assert await all_of.authenticate(request)
    change(reader)
    with pytest.raises(Unauthorized):
        await all_of.authenticate(request)


async def test_a_token_expires_though_its_signature_is_remembered(
    all_of: Authenticator, reader: FakeReader, issuer: TokenIssuer, clock: FakeClock
):
    request = bearing(token_for(reader, issuer, expirationSeconds=600))
    assert await all_of.authenticate(request)
    clock.advance(700)
    with pytest.raises(Unauthorized):
        await all_of.authenticate(request)


async def test_a_token_for_another_audience_is_not_for_the_api(
    all_of: Authenticator, reader: FakeReader, issuer: TokenIssuer
):
    with pytest.raises(Unauthorized):
        await all_of.authenticate(bearing(token_for(reader, issuer, audiences=["vault"])))


def forged(token: str, *, header: dict | None = None, claims: dict | None = None) -> str:
    parts = token.split(".")
    for index, change in ((0, header), (1, claims)):
        raw = orjson.loads(base64.urlsafe_b64decode(parts[index] + "=="))
        text = base64.urlsafe_b64encode(orjson.dumps(raw | (change or {})))
        parts[index] = text.rstrip(b"=").decode()
    return ".".join(parts)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"claims": {"sub": "system:serviceaccount:kube-system:admin"}}, id="claims"),
        pytest.param({"header": {"alg": "none"}}, id="no algorithm"),
        pytest.param({"header": {"alg": "HS256"}}, id="another algorithm"),
    ],
)
async def test_a_forged_token_is_refused(
    all_of: Authenticator, reader: FakeReader, issuer: TokenIssuer, change: dict
):
    with pytest.raises(Unauthorized):
        await all_of.authenticate(bearing(forged(token_for(reader, issuer), **change)))


async def test_a_token_of_another_key_is_refused(
    all_of: Authenticator, reader: FakeReader, clock: FakeClock
):
    stranger = TokenIssuer(issuer="https://k", key=SigningKey(new_key()), clock=clock)
    with pytest.raises(Unauthorized):
        await all_of.authenticate(bearing(token_for(reader, stranger)))


def upgrading(*protocols: str) -> Request:
    return Request(method="GET", path="/", headers={"sec-websocket-protocol": ", ".join(protocols)})


async def test_a_browser_brings_its_token_among_its_protocols(
    all_of: Authenticator, reader: FakeReader, issuer: TokenIssuer
):
    encoded = base64.urlsafe_b64encode(token_for(reader, issuer).encode()).decode().rstrip("=")
    carrier = f"base64url.bearer.authorization.k8s.io.{encoded}"
    user = await all_of.authenticate(upgrading(carrier, "v5.channel.k8s.io"))
    assert user is not None
    assert user.name == "system:serviceaccount:shop:web"
    assert await all_of.authenticate(upgrading("v5.channel.k8s.io")) == ANONYMOUS
    with pytest.raises(Unauthorized):
        await all_of.authenticate(
            upgrading("base64url.bearer.authorization.k8s.io.d3Jvbmc", "v5.channel.k8s.io")
        )


async def test_the_token_of_another_issuer_is_left_to_others(reader: FakeReader, clock: FakeClock):
    key = SigningKey(KEY)
    ours = TokenIssuer(issuer="https://new", also=("https://old",), key=key, clock=clock)
    takes = ServiceAccountAuthenticator(issuer=ours, reader=reader, clock=clock)
    for issuer, known in (("https://new", True), ("https://old", True), ("https://else", False)):
        other = TokenIssuer(issuer=issuer, key=key, clock=clock)
        token = token_for(reader, other, audiences=["https://new"])
        assert bool(await takes.authenticate(bearing(token))) is known


@pytest.mark.parametrize(
    ("asked", "meant"), [((), ["api"]), (("vault",), ["vault"]), (("x", "vault"), ["vault"])]
)
async def test_a_token_is_meant_for_those_it_names(
    reader: FakeReader, clock: FakeClock, asked: tuple[str, ...], meant: list[str]
):
    issuer = TokenIssuer(
        issuer="https://k", api_audiences=("api",), key=SigningKey(KEY), clock=clock
    )
    takes = ServiceAccountAuthenticator(issuer=issuer, reader=reader, clock=clock)
    token = token_for(reader, issuer, audiences=["api", "vault"])
    owner = await takes.authenticate_token(token, asked)
    assert owner is not None
    assert list(owner.audiences) == meant
    with pytest.raises(Unauthorized) as caught:
        await takes.authenticate_token(token, ("x",))
    assert str(caught.value.__cause__) == (
        'token audiences ["api" "vault"] is invalid for the target audiences ["x"]'
    )
