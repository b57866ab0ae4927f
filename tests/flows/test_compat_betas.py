"""Removed versions under --compat-betas: old clients and new ones see the same objects."""

from collections.abc import AsyncIterator

import pytest

from edgek.api.errors import Forbidden, Invalid, UnsupportedMediaType
from edgek.api.meta import Key, Obj, deep_copy, key_of
from edgek.api.validation import FieldErrors
from edgek.client.client import Client
from edgek.kinds import (
    ALL,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    COMPAT_BETAS,
    ENDPOINT_SLICE,
    EVENT,
    HORIZONTAL_POD_AUTOSCALER,
    INGRESS,
    NAMESPACE,
    POD_DISRUPTION_BUDGET,
    PRIORITY_CLASS,
)
from edgek.kinds.kind import Kind
from edgek.kinds.priority_class import SYSTEM_CLASSES
from edgek.schema.protobuf import builtin_codec
from server.app import Api
from server.parts import plugins
from server.request.model import Request, User
from server.request.principals import AUTHENTICATED
from tests.support.api import ADMIN, admin, open_api

WITHOUT_PROTOBUF = {"v2beta2"}  # removed before its messages could be had
STORED = {kind.storage_prefix: kind for kind in ALL if kind.conversion is None}


def word(kind: Kind) -> str:
    return f"{kind.plural}.{kind.version}.{kind.group}"


each_beta = pytest.mark.parametrize("beta", COMPAT_BETAS, ids=word)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with open_api() as api:
        for kind in COMPAT_BETAS:
            api.env.kinds.add(kind)
        yield api


@pytest.fixture
def client(api: Api) -> Client:
    return admin(api)


def served(group: str, kind: str) -> Kind:
    return next(k for k in COMPAT_BETAS if (k.group, k.kind) == (group, kind))


@each_beta
async def test_an_old_example_is_an_object_of_today(client: Client, beta: Kind) -> None:
    today = STORED[beta.storage_prefix]
    made = await client.create(beta, deep_copy(dict(beta.example)))
    assert made["apiVersion"] == beta.api_version
    found = await client.get(today, key_of(made))
    assert found["apiVersion"] == today.api_version
    assert found["metadata"] == made["metadata"]
    assert await client.update(today, deep_copy(found)) == found
    assert await client.get(beta, key_of(made)) == made


@each_beta
async def test_writing_back_what_an_old_client_read_changes_nothing(
    client: Client, beta: Kind
) -> None:
    made = await client.create(beta, deep_copy(dict(beta.example)))
    assert await client.update(beta, deep_copy(made)) == made


@each_beta
async def test_an_old_example_prints_the_same_cells(client: Client, beta: Kind) -> None:
    today = STORED[beta.storage_prefix]
    made = await client.create(beta, deep_copy(dict(beta.example)))
    found = await client.get(today, key_of(made))
    assert [c.name for c in beta.columns] == [c.name for c in today.columns]
    cells = [column.read(made) for column in beta.columns]
    assert cells == [column.read(found) for column in today.columns]


@each_beta
def test_old_objects_come_as_protobuf_too(beta: Kind) -> None:
    codec, example = builtin_codec(), dict(beta.example)
    if beta.version in WITHOUT_PROTOBUF:
        with pytest.raises(UnsupportedMediaType):
            codec.encode(example)
        return
    assert codec.decode(codec.encode(example)) == example


@each_beta
def test_a_bare_old_object_is_told_its_mistakes(beta: Kind) -> None:
    obj: Obj = {"apiVersion": beta.api_version, "kind": beta.kind, "metadata": {"name": "x"}}
    beta.default(obj)
    beta.prepare(obj, None)
    beta.validate(obj, FieldErrors())
    for column in beta.columns:
        column.read(obj)


def test_versions_are_told_apart_and_warned_of() -> None:
    words = [word(kind) for kind in (*ALL, *COMPAT_BETAS)]
    assert len(set(words)) == len(words)
    budget = served("policy", "PodDisruptionBudget")
    assert budget.warning == (
        "policy/v1beta1 PodDisruptionBudget is deprecated in v1.21+, unavailable in v1.25+; "
        "use policy/v1 PodDisruptionBudget"
    )
    assert all(kind.warning for kind in COMPAT_BETAS)


@pytest.mark.parametrize("group", ["extensions", "networking.k8s.io"])
async def test_an_old_ingress_leads_to_the_same_services(client: Client, group: str) -> None:
    beta = served(group, "Ingress")
    made = await client.create(
        beta,
        {
            "apiVersion": beta.api_version,
            "kind": "Ingress",
            "metadata": {"name": "shop", "namespace": "default"},
            "spec": {
                "backend": {"serviceName": "front", "servicePort": "http"},
                "rules": [
                    {"http": {"paths": [{"backend": {"serviceName": "a", "servicePort": 80}}]}}
                ],
            },
        },
    )
    path = {"pathType": "ImplementationSpecific"}
    new = (await client.get(INGRESS, Key("default", "shop")))["spec"]
    assert new["defaultBackend"] == {"service": {"name": "front", "port": {"name": "http"}}}
    backend = {"service": {"name": "a", "port": {"number": 80}}}
    assert new["rules"][0]["http"]["paths"] == [{**path, "backend": backend}]
    assert made["spec"]["backend"] == {"serviceName": "front", "servicePort": "http"}
    old = {"serviceName": "a", "servicePort": 80}
    assert made["spec"]["rules"][0]["http"]["paths"] == [{**path, "backend": old}]


@pytest.mark.parametrize(
    ("group", "kind"),
    [
        ("extensions", "Ingress"),
        ("discovery.k8s.io", "EndpointSlice"),
        ("policy", "PodDisruptionBudget"),
    ],
)
async def test_a_manifest_moves_to_the_new_version_by_server_side_apply(
    client: Client, group: str, kind: str
) -> None:
    beta = served(group, kind)
    today = STORED[beta.storage_prefix]
    old, new = deep_copy(dict(beta.example)), deep_copy(dict(today.example))
    key = key_of(new)
    made = await client.patch(beta, key, old, patch_type="apply")
    moved = await client.patch(today, key, new, patch_type="apply")
    back = await client.patch(beta, key, old, patch_type="apply")
    found = await client.get(today, key)
    assert back | {"metadata": {}} == made | {"metadata": {}}
    assert found | {"metadata": {}} == moved | {"metadata": {}}
    assert found["metadata"]["uid"] == made["metadata"]["uid"]


async def test_an_old_ingress_without_a_port_is_refused(client: Client) -> None:
    beta = served("extensions", "Ingress")
    spec = {"backend": {"serviceName": "front"}}
    with pytest.raises(Invalid, match="port name or number is required"):
        await client.create(
            beta,
            {
                "apiVersion": beta.api_version,
                "kind": "Ingress",
                "metadata": {"name": "shop", "namespace": "default"},
                "spec": spec,
            },
        )


def test_an_old_ingress_is_warned_of_as_the_new_one_is() -> None:
    beta = served("extensions", "Ingress")
    obj = deep_copy(dict(beta.example))
    del obj["spec"]["ingressClassName"]
    obj["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "proxy"}
    assert beta.warn is not None
    assert list(beta.warn(obj, None)) == [
        'annotation "kubernetes.io/ingress.class" is deprecated, please use '
        "'spec.ingressClassName' instead"
    ]


async def test_zone_and_node_of_an_endpoint_are_topology_in_the_old_version(
    client: Client,
) -> None:
    beta = served("discovery.k8s.io", "EndpointSlice")
    obj = deep_copy(dict(beta.example))
    topology = {
        "topology.kubernetes.io/zone": "attic",
        "kubernetes.io/hostname": "worker-1",
        "example.com/rack": "7",
    }
    obj["endpoints"] = [{"addresses": ["10.42.1.7"], "nodeName": "worker-1", "topology": topology}]
    made = await client.create(beta, obj)
    [endpoint] = (await client.get(ENDPOINT_SLICE, key_of(made)))["endpoints"]
    assert (endpoint["zone"], endpoint["nodeName"]) == ("attic", "worker-1")
    assert endpoint["deprecatedTopology"] == {"example.com/rack": "7"}
    assert made["endpoints"][0]["topology"] == topology


async def test_an_empty_selector_means_no_pod_in_an_old_budget(client: Client) -> None:
    beta = served("policy", "PodDisruptionBudget")
    obj = deep_copy(dict(beta.example))
    obj["spec"]["selector"] = {}
    made = await client.create(beta, obj)
    new = await client.get(POD_DISRUPTION_BUDGET, key_of(made))
    [term] = new["spec"]["selector"]["matchExpressions"]
    assert term["operator"] == "Exists"
    assert made["spec"]["selector"] == {}
    new["spec"] = {**new["spec"], "selector": {}}
    await client.update(POD_DISRUPTION_BUDGET, deep_copy(new))
    [term] = (await client.get(beta, key_of(made)))["spec"]["selector"]["matchExpressions"]
    assert term["operator"] == "DoesNotExist"


async def test_targets_and_behavior_of_an_autoscaler_go_through_its_oldest_version(
    client: Client,
) -> None:
    beta = next(k for k in COMPAT_BETAS if k.version == "v2beta1")
    made = await client.create(beta, deep_copy(dict(beta.example)))
    [metric] = made["spec"]["metrics"]
    assert metric["resource"] == {"name": "cpu", "targetAverageUtilization": 60}
    new = await client.get(HORIZONTAL_POD_AUTOSCALER, key_of(made))
    target = {"type": "Utilization", "averageUtilization": 60}
    assert new["spec"]["metrics"][0]["resource"]["target"] == target
    slow = {"scaleDown": {"stabilizationWindowSeconds": 60, "selectPolicy": "Disabled"}}
    spec = {**new["spec"], "behavior": slow}
    new = await client.update(HORIZONTAL_POD_AUTOSCALER, {**new, "spec": spec})
    old = await client.get(beta, key_of(made))
    assert "behavior" not in old["spec"]
    old["spec"] = {**old["spec"], "maxReplicas": 9}
    await client.update(beta, deep_copy(old))
    found = await client.get(HORIZONTAL_POD_AUTOSCALER, key_of(made))
    assert found["spec"] == {**new["spec"], "maxReplicas": 9}
    assert "annotations" not in found["metadata"]


async def test_an_event_of_any_version_is_one_event(client: Client) -> None:
    beta = served("events.k8s.io", "Event")
    obj = deep_copy(dict(beta.example)) | {"eventTime": None, "deprecatedCount": 3}
    made = await client.create(beta, obj)
    found = await client.get(EVENT, key_of(made))
    assert (found["count"], found["message"]) == (3, obj["note"])
    assert found["involvedObject"] == obj["regarding"]


RBAC = "rbac.authorization.k8s.io"
ALL_OF_IT = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}


@pytest.fixture
async def guarded() -> AsyncIterator[Api]:
    """Jane and all nodes may write anything of RBAC's group and leases."""
    async with open_api(plugins=plugins) as api:
        for kind in COMPAT_BETAS:
            api.env.kinds.add(kind)
        root = admin(api)
        for name in ("default", "kube-node-lease"):
            meta = {"name": name}
            await root.create(
                NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}
            )
        groups = [RBAC, "coordination.k8s.io"]
        rules = [{"apiGroups": groups, "resources": ["*"], "verbs": ["create"]}]
        meta = {"name": "writer"}
        named = {"apiVersion": f"{RBAC}/v1", "metadata": meta}
        await root.create(CLUSTER_ROLE, {**named, "kind": "ClusterRole", "rules": rules})
        subjects = [{"kind": "Group", "name": AUTHENTICATED, "apiGroup": RBAC}]
        ref = {"kind": "ClusterRole", "name": "writer", "apiGroup": RBAC}
        binding = {**named, "kind": "ClusterRoleBinding", "subjects": subjects, "roleRef": ref}
        await root.create(CLUSTER_ROLE_BINDING, binding)
        yield api


async def test_an_old_version_grants_nobody_more_than_they_have(guarded: Api) -> None:
    jane = guarded.client(User(name="jane", groups=(AUTHENTICATED,)))
    beta = served(RBAC, "ClusterRole")
    role = {"apiVersion": beta.api_version, "kind": "ClusterRole", "metadata": {"name": "root"}}
    with pytest.raises(Forbidden, match="attempting to grant RBAC permissions not currently held"):
        await jane.create(beta, {**role, "rules": [ALL_OF_IT]})


async def test_a_node_gets_at_no_other_nodes_lease_by_an_old_version(guarded: Api) -> None:
    node = User(name="system:node:worker-1", groups=("system:nodes", AUTHENTICATED))
    beta = served("coordination.k8s.io", "Lease")
    lease = deep_copy(dict(beta.example)) | {
        "metadata": {"name": "worker-2", "namespace": "kube-node-lease"}
    }
    with pytest.raises(Forbidden, match="can only access node lease with the same name"):
        await guarded.client(node).create(beta, lease)


async def test_a_system_class_is_not_deleted_by_an_old_version(guarded: Api) -> None:
    beta, root = served("scheduling.k8s.io", "PriorityClass"), admin(guarded)
    await root.create(PRIORITY_CLASS, deep_copy(SYSTEM_CLASSES[0]))
    with pytest.raises(Forbidden, match="this is a system priority class and cannot be deleted"):
        await root.delete(beta, key_of(SYSTEM_CLASSES[0]))


async def test_pods_of_an_old_cron_job_are_looked_at(guarded: Api) -> None:
    root, beta = admin(guarded), served("batch", "CronJob")
    labels = {"pod-security.kubernetes.io/warn": "restricted"}
    await root.patch(NAMESPACE, Key("", "default"), {"metadata": {"labels": labels}})
    path, body = beta.path("default"), deep_copy(dict(beta.example))
    request = Request(method="POST", path=path, body=body, user=ADMIN, in_process=True)
    response = await guarded.handle(request)
    assert response.status == 201
    assert any("would violate PodSecurity" in text for text in request.warnings)
    assert beta.warning in request.warnings
