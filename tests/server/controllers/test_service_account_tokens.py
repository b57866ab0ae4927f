"""Which token Secrets an account has, and what is in them."""

import base64
from typing import Any

import pytest

from edgek.api.meta import Obj
from edgek.kinds import SECRET, SERVICE_ACCOUNT
from server.authn.legacy import TOKEN_TYPE
from server.controllers import service_account_tokens
from server.controllers.service_account_tokens import plan_tokens
from tests.support.loops import running
from tests.support.memory_api import MemoryApi

OF, UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"


def mint(account: Obj, secret_name: str) -> str:
    return f"{account['metadata']['name']}/{secret_name}"


def account(*secrets: str, uid: str = "u1", **meta: Any) -> Obj:
    refs = [{"name": name} for name in secrets]
    return {
        "metadata": {"name": "web", "namespace": "shop", "uid": uid, **meta}, "secrets": refs
    }  # fmt: skip


def secret(name: str, *, data: Any = None, uid: str = "") -> Obj:
    annotations = {OF: "web"} | ({UID: uid} if uid else {})
    meta = {"name": name, "namespace": "shop", "uid": f"of-{name}", "annotations": annotations}
    return {"metadata": meta, "type": TOKEN_TYPE, "data": data or {}}


def plan(of: Obj | None, *secrets: Obj) -> Any:
    return plan_tokens(of, secrets, ca_pem=b"CA", mint=mint)


def text(found: Obj, key: str) -> str:
    return base64.b64decode(found["data"][key]).decode()


def test_a_secret_is_filled_and_what_is_in_it_stays() -> None:
    (filled,) = plan(account("a"), secret("a")).update
    assert [text(filled, key) for key in ("token", "ca.crt", "namespace")] == [
        "web/a", "CA", "shop"
    ]  # fmt: skip
    assert filled["metadata"]["annotations"] == {OF: "web", UID: "u1"}
    assert plan(account("a"), filled).update == []
    changed = {**filled, "data": {**filled["data"], "ca.crt": "eA==", "token": "bXk="}}
    (again,) = plan(account("a"), changed).update
    assert (text(again, "ca.crt"), text(again, "token")) == ("CA", "my")


def test_secrets_go_with_their_account_and_not_with_another_of_its_name() -> None:
    ours, old = secret("a", uid="u1"), secret("b", uid="before")
    assert plan(None, ours, old).delete == [ours, old]
    assert plan(account(deletionTimestamp="x"), ours).delete == [ours]
    found = plan(account("a"), ours, old)
    assert found.delete == [old]
    assert not found.create


@pytest.mark.parametrize(
    ("refs", "creates"), [((), True), (("b",), True), (("a",), False), (("b", "a"), False)]
)
def test_each_account_lists_one(refs: tuple[str, ...], creates: bool) -> None:
    assert plan(account(*refs), secret("a", uid="u1")).create is creates


@pytest.mark.looptime
async def test_an_account_gets_one_secret_and_only_one() -> None:
    api = MemoryApi()
    api.put(SERVICE_ACCOUNT, {**account(), "apiVersion": "v1", "kind": "ServiceAccount"})

    def build(context: Any) -> Any:
        return service_account_tokens.build(context, ca_pem=b"CA", mint=mint)

    async with running(api, build) as loops:
        await loops.settle()
        (made,) = api.all(SECRET)
        assert made["metadata"]["name"].startswith("web-token-")
        assert text(made, "token") == f"web/{made['metadata']['name']}"
        owner = api.one(SERVICE_ACCOUNT, "shop", "web")
        assert owner is not None
        assert owner["secrets"] == [{"name": made["metadata"]["name"]}]
        api.remove(SECRET, "shop", made["metadata"]["name"])
        await loops.settle()
        (again,) = api.all(SECRET)
        assert again["metadata"]["name"] != made["metadata"]["name"]
        api.remove(SERVICE_ACCOUNT, "shop", "web")
        await loops.settle()
        assert api.all(SECRET) == []
