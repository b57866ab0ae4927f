"""Nobody grants what they do not have."""

from collections.abc import AsyncIterator

import pytest

from edgek.api.errors import BadRequest, Forbidden, NotFound
from edgek.api.meta import Key, Obj
from edgek.client.client import Client
from edgek.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, NAMESPACE, ROLE, ROLE_BINDING
from server.admission.rbac_escalation import missing
from server.app import Api
from server.parts import plugins
from server.request.model import User
from server.request.principals import AUTHENTICATED
from tests.support.api import admin, open_api

RBAC = "rbac.authorization.k8s.io"
JANE = User(name="jane", groups=(AUTHENTICATED,))
PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
WRITE = {"apiGroups": [RBAC], "resources": ["*"], "verbs": ["create", "update", "patch"]}
DEFAULT = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}}
URLS = {"nonResourceURLs": ["/metrics"]}
ALL = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}


def rule(groups: str, resources: str, verbs: str, *names: str) -> Obj:
    found: Obj = {
        "apiGroups": groups.split(","),
        "resources": resources.split(","),
        "verbs": verbs.split(","),
    }
    return found | ({"resourceNames": list(names)} if names else {})


@pytest.mark.parametrize(
    ("owned", "asked", "lacking"),
    [
        ([PODS], [PODS], 0),
        ([PODS], [rule("", "pods", "get")], 0),
        ([PODS], [rule("", "pods", "get,delete")], 1),
        ([PODS], [rule("", "pods", "*")], 1),
        ([PODS], [rule("", "*", "get")], 1),
        ([PODS], [rule("*", "pods", "get")], 1),
        ([rule("", "pods", "get", "a")], [rule("", "pods", "get")], 1),
        ([rule("", "pods", "get", "a")], [rule("", "pods", "get", "a", "b")], 1),
        ([PODS], [rule("", "pods", "get", "a")], 0),
        ([rule("", "pods", "get"), rule("", "pods", "list")], [PODS], 0),
        ([rule("", "*/log", "get")], [rule("", "pods/log", "get")], 0),
        ([PODS], [rule("", "pods/log", "get")], 1),
        ([ALL], [rule("apps", "deployments/scale", "update", "x")], 0),
        ([ALL], [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}], 1),
        ([{"nonResourceURLs": ["/a*"], "verbs": ["get"]}],
         [{"nonResourceURLs": ["/a/b"], "verbs": ["get"]}], 0),
    ],
)  # fmt: skip
def test_a_rule_is_covered_piece_by_piece(owned: list[Obj], asked: list[Obj], lacking: int) -> None:
    assert len(missing(owned, asked)) == lacking


def test_rules_that_multiply_without_end_are_refused() -> None:
    many = [f"x{n}" for n in range(200)]
    huge = {"apiGroups": many, "resources": many, "verbs": many}
    with pytest.raises(BadRequest):
        missing([ALL], [huge])


def role(kind: str, name: str, *rules: Obj) -> Obj:
    meta = {"name": name} | ({"namespace": "default"} if kind == "Role" else {})
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": meta, "rules": list(rules)}


def binding(kind: str, name: str, to: tuple[str, str], who: str = "jane") -> Obj:
    meta = {"name": name} | ({"namespace": "default"} if kind == "RoleBinding" else {})
    subjects = [{"kind": "User", "name": who, "apiGroup": RBAC}]
    ref = {"kind": to[0], "name": to[1], "apiGroup": RBAC}
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": meta, "subjects": subjects,
            "roleRef": ref}  # fmt: skip


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    """Jane may read pods and write roles and bindings, everywhere."""
    async with open_api(plugins=plugins) as opened:
        root = admin(opened)
        await root.create(NAMESPACE, DEFAULT)
        await root.create(CLUSTER_ROLE, role("ClusterRole", "writer", PODS, WRITE))
        await root.create(CLUSTER_ROLE, role("ClusterRole", "all", ALL))
        await root.create(
            CLUSTER_ROLE_BINDING,
            binding("ClusterRoleBinding", "jane", ("ClusterRole", "writer")),
        )
        yield opened


@pytest.fixture
def jane(api: Api) -> Client:
    return api.client(JANE)


async def test_a_role_may_be_given_what_its_writer_has(jane: Client) -> None:
    made = await jane.create(ROLE, role("Role", "r", PODS))
    await jane.update(ROLE, {**made, "metadata": {**made["metadata"], "labels": {"a": "b"}}})
    with pytest.raises(Forbidden, match="attempting to grant RBAC permissions not currently held"):
        await jane.patch(ROLE, Key("default", "r"), {"rules": [ALL]})
    with pytest.raises(Forbidden, match="not currently held"):
        await jane.create(ROLE, role("Role", "s", rule("", "secrets", "get")))


async def test_a_binding_may_be_to_what_its_writer_has(jane: Client) -> None:
    await jane.create(ROLE_BINDING, binding("RoleBinding", "b", ("ClusterRole", "writer"), "joe"))
    for kind, name in ((ROLE_BINDING, "RoleBinding"), (CLUSTER_ROLE_BINDING, "ClusterRoleBinding")):
        with pytest.raises(Forbidden, match="not currently held"):
            await jane.create(kind, binding(name, "mine", ("ClusterRole", "all")))


async def test_a_binding_to_a_role_that_is_still_to_come_is_refused(jane: Client) -> None:
    with pytest.raises(NotFound, match='"later" not found'):
        await jane.create(ROLE_BINDING, binding("RoleBinding", "b", ("Role", "later")))


async def test_a_label_does_not_make_foreign_rules_part_of_an_aggregated_role(
    api: Api, jane: Client
) -> None:
    with pytest.raises(Forbidden, match="not currently held"):
        await jane.patch(CLUSTER_ROLE, Key("", "all"), {"metadata": {"labels": {"to": "me"}}})
    meta = {"finalizers": ["example.com/wait"]}
    await jane.patch(CLUSTER_ROLE, Key("", "all"), {"metadata": meta})  # the collector's business


async def test_only_who_may_everything_aggregates(api: Api, jane: Client) -> None:
    gathers = {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "me"}}]}}
    with pytest.raises(Forbidden, match="must have cluster-admin privileges to use the aggr"):
        await jane.create(CLUSTER_ROLE, role("ClusterRole", "mine") | gathers)
    made = await admin(api).create(CLUSTER_ROLE, role("ClusterRole", "sum") | gathers)
    del made["aggregationRule"]
    with pytest.raises(Forbidden, match="must have cluster-admin privileges to use the aggr"):
        await jane.update(CLUSTER_ROLE, made)


async def test_what_is_lacking_is_told_thing_by_thing(jane: Client) -> None:
    rules = (rule("", "secrets,pods", "list,get,delete"), {**URLS, "verbs": ["get"]})
    with pytest.raises(Forbidden) as caught:
        await jane.create(CLUSTER_ROLE, role("ClusterRole", "r", *rules))
    assert caught.value.message == (
        'clusterroles.rbac.authorization.k8s.io "r" is forbidden: user "jane" '
        '(groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently '
        "held:\n"
        '{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}\n'
        '{APIGroups:[""], Resources:["secrets"], Verbs:["list" "get" "delete"]}\n'
        '{NonResourceURLs:["/metrics"], Verbs:["get"]}'
    )


async def test_escalate_and_bind_are_rights_of_their_own(api: Api, jane: Client) -> None:
    rights = (rule(RBAC, "roles", "escalate"), rule(RBAC, "clusterroles", "bind", "all"))
    await admin(api).create(CLUSTER_ROLE, role("ClusterRole", "more", *rights))
    await admin(api).create(
        CLUSTER_ROLE_BINDING, binding("ClusterRoleBinding", "more", ("ClusterRole", "more"))
    )
    await jane.create(ROLE, role("Role", "r", ALL))
    await jane.create(ROLE_BINDING, binding("RoleBinding", "b", ("ClusterRole", "all"), "joe"))
    with pytest.raises(Forbidden):
        await jane.create(CLUSTER_ROLE, role("ClusterRole", "s", ALL))
