"""Reviews: the server says what somebody may do and who they are, and keeps nothing of it."""

from typing import Any

import pytest

from edgek.api.errors import ApiError, BadRequest, Invalid, MethodNotAllowed
from edgek.api.meta import Key, Obj
from edgek.client.client import Client
from edgek.kinds import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    LOCAL_SUBJECT_ACCESS_REVIEW,
    NAMESPACE,
    ROLE_BINDING,
    SELF_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_REVIEW,
    SELF_SUBJECT_RULES_REVIEW,
    SUBJECT_ACCESS_REVIEW,
    TOKEN_REVIEW,
)
from edgek.kinds.kind import Kind
from server.app import Api
from server.request.model import User
from tests.support.api import admin, open_api

READER = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
RBAC = "rbac.authorization.k8s.io"


def pods(verb: str, **more: Any) -> Obj:
    return {"resourceAttributes": {"verb": verb, "resource": "pods", **more}}


async def grant(api: Api) -> None:
    """ann reads pods everywhere, the accounts of shop read them in shop."""
    client = admin(api)
    await client.create(NAMESPACE, {"metadata": {"name": "shop"}})
    role = {"metadata": {"name": "reader"}, "rules": [READER]}
    await client.create(CLUSTER_ROLE, role)
    ref = {"kind": "ClusterRole", "name": "reader", "apiGroup": RBAC}
    ann = {"kind": "User", "name": "ann", "apiGroup": RBAC}
    web = {"kind": "ServiceAccount", "name": "web", "namespace": "shop"}
    anns = {"metadata": {"name": "anns"}, "roleRef": ref, "subjects": [ann]}
    webs = {
        "metadata": {"name": "webs", "namespace": "shop"}, "roleRef": ref, "subjects": [web]
    }  # fmt: skip
    await client.create(CLUSTER_ROLE_BINDING, anns)
    await client.create(ROLE_BINDING, webs)
    lost = {"metadata": {"name": "lost"}, "roleRef": {**ref, "name": "gone"}, "subjects": [ann]}
    await client.create(CLUSTER_ROLE_BINDING, lost)


async def asked(client: Client, kind: Kind, spec: Obj, *, namespace: str = "") -> Obj:
    metadata = {"namespace": namespace} if namespace else {}
    answer = await client.create(kind, {"metadata": metadata, "spec": spec})
    status: Obj = answer["status"]
    return status


async def test_the_answer_says_which_binding_allows() -> None:
    async with open_api() as api:
        await grant(api)
        client = admin(api)
        spec = {"user": "ann", **pods("get", namespace="shop")}
        assert await asked(client, SUBJECT_ACCESS_REVIEW, spec) == {
            "allowed": True,
            "reason": 'RBAC: allowed by ClusterRoleBinding "anns" of ClusterRole "reader" to '
            'User "ann"',
        }
        spec = {"user": "system:serviceaccount:shop:web", **pods("list", namespace="shop")}
        status = await asked(client, LOCAL_SUBJECT_ACCESS_REVIEW, spec, namespace="shop")
        assert status["reason"] == (
            'RBAC: allowed by RoleBinding "webs/shop" of ClusterRole "reader" to '
            'ServiceAccount "web/shop"'
        )


async def test_a_refusal_names_the_roles_that_are_missing() -> None:
    async with open_api() as api:
        await grant(api)
        status = await asked(admin(api), SUBJECT_ACCESS_REVIEW, {"user": "ann", **pods("delete")})
        missing = 'RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found'
        assert status == {"allowed": False, "reason": missing}


async def test_of_oneself_one_asks_without_naming_anybody() -> None:
    async with open_api() as api:
        await grant(api)
        ann = api.client(User(name="ann", groups=("system:masters",)))
        status = await asked(ann, SELF_SUBJECT_ACCESS_REVIEW, pods("delete"))
        assert status == {"allowed": True}
        paths = {"nonResourceAttributes": {"path": "/metrics", "verb": "get"}}
        assert (await asked(ann, SELF_SUBJECT_ACCESS_REVIEW, paths))["allowed"]


@pytest.mark.parametrize(
    ("kind", "spec", "namespace", "words"),
    [
        (SUBJECT_ACCESS_REVIEW, {"user": "a"}, "", "exactly one of nonResourceAttributes or"),
        (SUBJECT_ACCESS_REVIEW, pods("get"), "", "at least one of user or group must be"),
        (
            SUBJECT_ACCESS_REVIEW,
            {"user": "a", **pods("get"), "nonResourceAttributes": {"path": "/"}},
            "",
            "cannot be specified in combination with resourceAttributes",
        ),
        (
            LOCAL_SUBJECT_ACCESS_REVIEW,
            {"user": "a", **pods("get", namespace="other")},
            "shop",
            'spec.resourceAttributes.namespace: Invalid value: "other": must match '
            "metadata.namespace",
        ),
        (
            LOCAL_SUBJECT_ACCESS_REVIEW,
            {"user": "a", "nonResourceAttributes": {"path": "/"}},
            "shop",
            "disallowed on this kind of request",
        ),
        (
            SELF_SUBJECT_ACCESS_REVIEW,
            pods("list", fieldSelector={}),
            "",
            "when spec.resourceAttributes.fieldSelector is specified, requirements or "
            "rawSelector is required",
        ),
        (
            SELF_SUBJECT_ACCESS_REVIEW,
            pods("list", labelSelector={"requirements": [{"key": "a", "operator": "In"}]}),
            "",
            "must be specified when `operator` is 'In' or 'NotIn'",
        ),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(
    kind: Kind, spec: Obj, namespace: str, words: str
) -> None:
    async with open_api() as api:
        with pytest.raises(Invalid) as caught:
            await asked(admin(api), kind, spec, namespace=namespace)
        assert words in caught.value.message


async def test_a_question_has_no_name() -> None:
    async with open_api() as api:
        spec = {"user": "a", **pods("get")}
        with pytest.raises(Invalid, match="must be empty"):
            await admin(api).create(
                SUBJECT_ACCESS_REVIEW, {"metadata": {"name": "x"}, "spec": spec}
            )


@pytest.mark.parametrize(
    ("selector", "error"),
    [
        ({"rawSelector": "spec.nodeName=here"}, ""),
        ({"rawSelector": "]["}, "fieldSelector ignored"),
        ({"requirements": [{"key": "spec.nodeName", "operator": "In", "values": ["here"]}]}, ""),
        ({"requirements": [{"key": "a", "operator": "Exists"}]}, "fieldSelector ignored"),
        (
            {
                "requirements": [
                    {"key": "spec.nodeName", "operator": "In", "values": ["here"]},
                    {"key": "a", "operator": "In", "values": ["b", "c"]},
                ]
            },
            "fieldSelector partially ignored",
        ),
    ],
)
async def test_a_field_selector_counts_as_it_would_in_a_request(selector: Obj, error: str) -> None:
    """A node may list the pods that it runs, and only those."""
    async with open_api() as api:
        who = {"user": "system:node:here", "groups": ["system:nodes"]}
        spec = {**who, **pods("list", fieldSelector=selector)}
        status = await asked(admin(api), SUBJECT_ACCESS_REVIEW, spec)
        assert status["allowed"] == ("fieldSelector ignored" not in error)
        assert error in status.get("evaluationError", "")
        assert bool(error) == ("evaluationError" in status)


async def test_the_rules_that_one_has_are_told() -> None:
    async with open_api() as api:
        await grant(api)
        # The review itself must be allowed too, as everybody is who is authenticated.
        client = api.client(User(name="ann", groups=("system:masters",)))
        status = await asked(client, SELF_SUBJECT_RULES_REVIEW, {"namespace": "shop"})
        assert status == {"resourceRules": [READER], "nonResourceRules": [], "incomplete": False}
        with pytest.raises(BadRequest, match="no namespace on request"):
            await asked(client, SELF_SUBJECT_RULES_REVIEW, {})


async def test_one_learns_who_one_is() -> None:
    async with open_api() as api:
        me = User(name="ann", uid="7", groups=("system:masters",), extra={"seat": ("4",)})
        answer = await api.client(me).create(SELF_SUBJECT_REVIEW, {"metadata": {}})
        assert answer["status"]["userInfo"] == {
            "username": "ann",
            "uid": "7",
            "groups": ["system:masters"],
            "extra": {"seat": ["4"]},
        }


async def test_a_token_nobody_knows_is_nobodys() -> None:
    async with open_api() as api:
        status = await asked(admin(api), TOKEN_REVIEW, {"token": "x"})
        assert status == {"user": {}, "error": "invalid bearer token"}
        with pytest.raises(BadRequest, match="token is required for TokenReview"):
            await asked(admin(api), TOKEN_REVIEW, {})


async def test_questions_are_asked_and_not_kept() -> None:
    async with open_api() as api:
        for call in (api_list, api_get):
            with pytest.raises(ApiError) as caught:
                await call(admin(api))
            assert isinstance(caught.value, MethodNotAllowed)


async def api_list(client: Client) -> None:
    await client.list(SUBJECT_ACCESS_REVIEW)


async def api_get(client: Client) -> None:
    await client.get(SUBJECT_ACCESS_REVIEW, Key("", "x"))
