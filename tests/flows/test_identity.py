"""Who may what, with real kubectl and real tokens against the real server over TLS."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest

from edgek.api.meta import Key, Obj, get_path
from edgek.kinds import SECRET, SERVICE_ACCOUNT
from server.run import BOOTSTRAPPER
from tests.support.objects import client_request
from tests.support.oidc_provider import Key as SigningKey
from tests.support.oidc_provider import oidc_provider
from tests.support.tls_server import Kubectl, TlsServer, tls_server

pytestmark = pytest.mark.timeout(120)
RBAC = "apiVersion: rbac.authorization.k8s.io/v1\nkind: "


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TlsServer]:
    async with tls_server(tmp_path) as started:
        await has_account(started)
        yield started


@pytest.fixture
def kubectl(server: TlsServer) -> Kubectl:
    return server.kubectl


T = TypeVar("T")


async def seen(read: Callable[[], T | None]) -> T:
    """What controllers write a moment later."""
    async with asyncio.timeout(15):
        while True:
            if found := read():
                return found
            await asyncio.sleep(0.01)


async def has_account(server: TlsServer) -> Obj:
    """The account that a controller makes; pods and tokens need it."""
    return await seen(
        lambda: server.running.api.reader.get(SERVICE_ACCOUNT, Key("default", "default"))
    )


async def asking(
    server: TlsServer,
    path: str,
    *,
    token: str = "",
    method: str = "GET",
    body: Any = None,
    more: Any = None,
) -> tuple[int, Obj, Any]:
    """Status, object and headers of a plain HTTPS request."""
    context = ssl.create_default_context(cadata=server.identity.ca_pem.decode())
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    headers |= more or {}
    url = f"https://127.0.0.1:{server.config.port}{path}"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=headers, ssl=context, json=body) as answer,
    ):
        return answer.status, json.loads(await answer.text()), answer.headers


async def who_is(server: TlsServer, token: str) -> tuple[int, Obj]:
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    status, obj, _ = await asking(server, path, token=token, method="POST", body={})
    return status, get_path(obj, "status", "userInfo", default={})


async def test_can_i_tells_what_may_be_done_and_as_whom(kubectl: Kubectl) -> None:
    assert "yes" in await kubectl("auth", "can-i", "create", "pods")
    assert "no" in await kubectl("auth", "can-i", "list", "pods", "--as=bob", ok=False)
    await kubectl("create", "clusterrolebinding", "bobs", "--clusterrole=view", "--user=bob")
    assert "yes" in await kubectl("auth", "can-i", "list", "pods", "--as=bob")
    assert "no" in await kubectl("auth", "can-i", "get", "secrets", "--as=bob", ok=False)
    listed = await kubectl("auth", "can-i", "--list", "--as=bob")
    assert "deployments.apps" in listed
    assert "[get list watch]" in listed
    assert "secrets" not in listed


async def test_whoami_shows_the_user_that_one_acts_as(kubectl: Kubectl) -> None:
    assert "system:admin" in await kubectl("auth", "whoami")
    shown = await kubectl(
        "auth", "whoami", "--as=bob", "--as-group=a,b", "--as-group=c", "--as-uid=7",
        "--as-user-extra=team=red", "-o", "json",
    )  # fmt: skip
    assert json.loads(shown)["status"]["userInfo"] == {
        "username": "bob",
        "uid": "7",
        "groups": ["a,b", "c", "system:authenticated"],
        "extra": {"team": ["red"]},
    }


async def test_only_who_may_acts_as_another(server: TlsServer, kubectl: Kubectl) -> None:
    token = (await kubectl("create", "token", "default")).strip()
    header = {"Impersonate-User": "bob"}
    status, refused, _ = await asking(server, "/api", token=token, more=header)
    assert status == 403
    assert refused["message"] == (
        'users "bob" is forbidden: User "system:serviceaccount:default:default" cannot '
        'impersonate resource "users" in API group "" at the cluster scope'
    )
    await kubectl(
        "create", "clusterrole", "acts-as-bob", "--verb=impersonate", "--resource=users",
        "--resource-name=bob",
    )  # fmt: skip
    await kubectl(
        "create", "clusterrolebinding", "acts-as-bob", "--clusterrole=acts-as-bob",
        "--serviceaccount=default:default",
    )  # fmt: skip
    assert (await asking(server, "/api", token=token, more=header))[0] == 200
    more = {**header, "Impersonate-Group": "system:masters"}
    assert (await asking(server, "/api", token=token, more=more))[0] == 403


async def test_roles_are_reconciled(kubectl: Kubectl, tmp_path: Path) -> None:
    manifest = tmp_path / "rbac.yaml"
    rule = "{apiGroups: [''], resources: [pods], verbs: [get]}"
    subject = "{kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}"
    manifest.write_text(
        f"{RBAC}ClusterRole\nmetadata: {{name: reader}}\nrules: [{rule}]\n---\n"
        f"{RBAC}ClusterRoleBinding\nmetadata: {{name: readers}}\nsubjects: [{subject}]\n"
        "roleRef: {kind: ClusterRole, name: reader, apiGroup: rbac.authorization.k8s.io}\n"
    )
    assert "reconciled" in await kubectl("auth", "reconcile", "-f", str(manifest))
    assert "yes" in await kubectl("auth", "can-i", "get", "pods", "--as=jane")
    manifest.write_text(manifest.read_text().replace("[get]", "[get, list]"))
    assert "reconciled" in await kubectl("auth", "reconcile", "-f", str(manifest))
    assert "yes" in await kubectl("auth", "can-i", "list", "pods", "--as=jane")


async def test_a_token_ends_with_the_secret_it_is_bound_to(
    server: TlsServer, kubectl: Kubectl
) -> None:
    await kubectl("create", "secret", "generic", "lock")
    token = (
        await kubectl(
            "create", "token", "default", "--bound-object-kind=Secret", "--bound-object-name=lock",
            "--duration=10m",
        )
    ).strip()  # fmt: skip
    status, user = await who_is(server, token)
    assert (status, user["username"]) == (201, "system:serviceaccount:default:default")
    assert user["extra"]["authentication.kubernetes.io/credential-id"][0].startswith("JTI=")
    await kubectl("delete", "secret", "lock")
    assert (await who_is(server, token))[0] == 401


async def test_a_token_review_says_for_whom_a_token_is_meant(
    server: TlsServer, kubectl: Kubectl
) -> None:
    token = (await kubectl("create", "token", "default", "--audience=vault")).strip()
    assert (await who_is(server, token))[0] == 401
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": ["vault", "other"]},
    }
    made = await kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps(review))
    status = json.loads(made)["status"]
    assert status["authenticated"]
    assert status["audiences"] == ["vault"]
    assert "system:serviceaccounts:default" in status["user"]["groups"]
    del review["spec"]["audiences"]  # type: ignore[attr-defined]
    made = await kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps(review))
    status = json.loads(made)["status"]
    assert not status.get("authenticated")
    assert 'token audiences ["vault"] is invalid for the target audiences' in status["error"]


async def test_others_find_the_keys_of_our_tokens(server: TlsServer, kubectl: Kubectl) -> None:
    token = (await kubectl("create", "token", "default")).strip()
    path = "/.well-known/openid-configuration"
    status, about, headers = await asking(server, path, token=token)
    assert (status, headers["Cache-Control"]) == (200, "public, max-age=3600")
    assert about["issuer"] == server.config.issuer
    assert about["jwks_uri"] == f"https://192.0.2.10:{server.config.port}/openid/v1/jwks"
    status, keys, headers = await asking(server, "/openid/v1/jwks", token=token)
    assert (status, headers["Content-Type"]) == (200, "application/jwk-set+json")
    from server.authn.jws import verify

    assert verify(token, keys["keys"][0], ("ES256",))["iss"] == server.config.issuer
    assert (await asking(server, path))[0] == 403  # not for everybody, as upstream


async def test_requests_for_certificates_are_approved_and_denied(kubectl: Kubectl) -> None:
    def request(name: str, *organizations: str) -> str:
        return json.dumps(client_request(name, *organizations, common_name="jane"))

    await kubectl("apply", "-f", "-", stdin=request("jane", "dev"))
    await kubectl("apply", "-f", "-", stdin=request("joe"))
    refused = await kubectl("apply", "-f", "-", stdin=request("root", "system:masters"), ok=False)
    assert "signer with system:masters group is not allowed" in refused
    assert "approved" in await kubectl("certificate", "approve", "jane")
    assert "denied" in await kubectl("certificate", "deny", "joe")
    async with asyncio.timeout(15):
        while "Issued" not in (shown := await kubectl("get", "csr")):
            pass
    assert "Approved,Issued" in shown
    assert "Denied" in shown
    # Who may write approvals still needs a right for the signer.
    await kubectl(
        "create", "clusterrole", "approver", "--verb=get,update",
        "--resource=certificatesigningrequests,certificatesigningrequests/approval",
    )  # fmt: skip
    await kubectl("create", "clusterrolebinding", "a", "--clusterrole=approver", "--user=ann")
    await kubectl("apply", "-f", "-", stdin=request("jim"))
    refused = await kubectl("certificate", "approve", "jim", "--as=ann", ok=False)
    assert "user not permitted to approve requests with signerName" in refused
    await kubectl(
        "create", "clusterrolebinding", "b", "--user=ann",
        "--clusterrole=system:certificates.k8s.io:kube-apiserver-client-approver",
    )  # fmt: skip
    assert "approved" in await kubectl("certificate", "approve", "jim", "--as=ann")


async def test_token_secrets_work_only_under_the_flag(tmp_path: Path) -> None:
    async with tls_server(tmp_path / "old", legacy_service_account_tokens=True) as server:
        reader, client = server.running.api.reader, server.running.api.client(BOOTSTRAPPER)

        def listed() -> list[Obj]:
            account = reader.get(SERVICE_ACCOUNT, Key("default", "default")) or {}
            return account.get("secrets") or []

        key = Key("default", (await seen(listed))[0]["name"])
        await seen(lambda: get_path(reader.get(SECRET, key), "data", "token"))
        secret = await client.get(SECRET, key)
        assert base64.b64decode(secret["data"]["namespace"]) == b"default"
        assert base64.b64decode(secret["data"]["ca.crt"]) == server.identity.ca_pem
        token = base64.b64decode(secret["data"]["token"]).decode()
        status, user = await who_is(server, token)
        assert (status, user["username"]) == (201, "system:serviceaccount:default:default")
        label = "kubernetes.io/legacy-token-last-used"
        await seen(lambda: get_path(reader.get(SECRET, key), "metadata", "labels", label))
        await client.delete(SERVICE_ACCOUNT, Key("default", "default"))
        await seen(lambda: reader.get(SECRET, key) is None)
        assert (await who_is(server, token))[0] == 401
    async with tls_server(tmp_path / "new") as server:
        await has_account(server)
        made = {
            "metadata": {
                "name": "mine",
                "namespace": "default",
                "annotations": {"kubernetes.io/service-account.name": "default"},
            },
            "type": "kubernetes.io/service-account-token",
            "data": {"token": secret["data"]["token"]},
        }
        await server.running.api.client(BOOTSTRAPPER).create(SECRET, made)
        assert (await who_is(server, token))[0] == 401


async def test_users_of_a_provider_log_in(tmp_path: Path) -> None:
    key = SigningKey("k1", "ES256")
    async with oidc_provider(key) as provider:
        assert provider.peer is not None
        (tmp_path / "ca.pem").write_bytes(provider.peer.ca.certificate)
        async with tls_server(
            tmp_path,
            loops=False,
            oidc_issuer_url=provider.issuer,
            oidc_client_id="edgek",
            oidc_ca_file=str(tmp_path / "ca.pem"),
            oidc_signing_algs=("ES256",),
            oidc_groups_claim="groups",
        ) as server:
            claims = {
                "iss": provider.issuer, "aud": "edgek", "sub": "jane", "exp": 4102444800,
                "groups": ["dev"],
            }  # fmt: skip
            status, user = await who_is(server, key.sign(claims))
            assert status == 201
            assert user["username"] == f"{provider.issuer}#jane"
            assert user["groups"] == ["dev", "system:authenticated"]
            assert (await who_is(server, key.sign({**claims, "aud": "other"})))[0] == 401
