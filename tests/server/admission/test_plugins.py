"""What each admission plugin adds or refuses, as upstream does it."""

import asyncio
import base64
from collections.abc import Callable, Sequence

import pytest

from edgek.api.errors import ApiError, Forbidden, NotFound
from edgek.api.meta import Key, Obj
from edgek.kinds import (
    CERTIFICATE_SIGNING_REQUEST,
    CONFIG_MAP,
    CSI_DRIVER,
    CSI_NODE,
    LEASE,
    NAMESPACE,
    NODE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    POD_CERTIFICATE_REQUEST,
    RESOURCE_SLICE,
    SERVICE_ACCOUNT,
)
from edgek.kinds.kind import Kind
from edgek.pki.keys import new_key
from edgek.pki.requests import new_request
from server.admission.chain import Attributes
from server.admission.default_toleration_seconds import DefaultTolerationSeconds
from server.admission.namespace_lifecycle import NamespaceLifecycle
from server.admission.node_restriction import NodeRestriction
from server.admission.service_account import MOUNT_PATH, ServiceAccount, token_volume
from server.request.fake import FakeReader
from server.request.info import RequestInfo
from server.request.model import User

ANN = User(name="ann")
N1 = User(name="system:node:n1", groups=("system:nodes",))


def attributes(kind: Kind, obj: Obj | None, **more: object) -> Attributes:
    defaults = {"operation": "CREATE", "namespace": "shop", "name": "", "user": ANN}
    return Attributes(kind=kind, obj=obj, **{**defaults, **more})


def a_pod(**spec: object) -> Obj:
    container = {"name": "c", "image": "i"}
    return {"metadata": {"name": "web"}, "spec": {"containers": [container], **spec}}


def account(name: str = "default", **fields: object) -> tuple[Kind, Obj]:
    return SERVICE_ACCOUNT, {"metadata": {"name": name, "namespace": "shop"}, **fields}


def namespace(name: str, phase: str = "Active") -> tuple[Kind, Obj]:
    return NAMESPACE, {"metadata": {"name": name}, "status": {"phase": phase}}


async def admitted(plugin, request: Attributes) -> Obj:
    await plugin.admit(request)
    await plugin.validate(request)
    return request.obj


# --- ServiceAccount ------------------------------------------------------------------------------


async def test_a_pod_gets_the_default_account_and_its_token_where_programs_look():
    plugin = ServiceAccount(FakeReader(account()), suffix=lambda: "abcde")
    spec = (await admitted(plugin, attributes(POD, a_pod(initContainers=[{"name": "i"}]))))["spec"]
    mount = {"name": "kube-api-access-abcde", "readOnly": True, "mountPath": MOUNT_PATH}
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "default"
    assert spec["volumes"] == [token_volume("kube-api-access-abcde")]
    assert spec["containers"][0]["volumeMounts"] == [mount]
    assert spec["initContainers"][0]["volumeMounts"] == [mount]


@pytest.mark.parametrize(
    ("pod", "of_account", "mounts"),
    [(False, True, False), (True, False, True), (None, False, False), (None, None, True)],
)
async def test_the_pod_decides_about_its_token_before_the_account(
    pod: bool | None, of_account: bool | None, mounts: bool
):
    reader = FakeReader(account(automountServiceAccountToken=of_account))
    obj = a_pod(automountServiceAccountToken=pod)
    spec = (await admitted(ServiceAccount(reader), attributes(POD, obj)))["spec"]
    assert bool(spec.get("volumes")) is mounts


async def test_a_container_that_mounts_there_already_keeps_its_mount():
    own = [{"name": "mine", "mountPath": MOUNT_PATH}]
    obj = a_pod(containers=[{"name": "c", "volumeMounts": own}])
    spec = (await admitted(ServiceAccount(FakeReader(account())), attributes(POD, obj)))["spec"]
    assert spec["containers"][0]["volumeMounts"] == own
    assert "volumes" not in spec


async def test_pull_secrets_come_from_the_account_unless_the_pod_has_some():
    plugin = ServiceAccount(FakeReader(account(imagePullSecrets=[{"name": "s"}])))
    spec = (await admitted(plugin, attributes(POD, a_pod())))["spec"]
    assert spec["imagePullSecrets"] == [{"name": "s"}]
    obj = a_pod(imagePullSecrets=[{"name": "own"}])
    spec = (await admitted(plugin, attributes(POD, obj)))["spec"]
    assert spec["imagePullSecrets"] == [{"name": "own"}]


async def test_a_missing_account_is_named():
    obj = {**a_pod(serviceAccountName="gone"), "metadata": {"generateName": "web-"}}
    with pytest.raises(Forbidden) as caught:
        await ServiceAccount(FakeReader()).admit(attributes(POD, obj))
    assert caught.value.message == (
        'pods "web-" is forbidden: error looking up service account shop/gone: '
        'serviceaccount "gone" not found'
    )


@pytest.mark.looptime
async def test_the_default_account_of_a_new_namespace_is_waited_for():
    reader = FakeReader()
    task = asyncio.create_task(ServiceAccount(reader).admit(attributes(POD, a_pod())))
    await asyncio.sleep(0.3)
    reader.put(*account())
    await task


# --- NamespaceLifecycle --------------------------------------------------------------------------

GOING = NamespaceLifecycle(FakeReader(namespace("shop"), namespace("going", "Terminating")))


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
async def test_the_namespaces_a_cluster_lives_on_stay(name: str):
    request = attributes(NAMESPACE, None, operation="DELETE", namespace=name, name=name)
    with pytest.raises(Forbidden, match="this namespace may not be deleted"):
        await GOING.admit(request)


async def test_nothing_is_created_where_there_is_no_namespace():
    with pytest.raises(NotFound, match='namespaces "nowhere" not found'):
        await GOING.admit(attributes(POD, a_pod(), namespace="nowhere"))


async def test_a_namespace_that_goes_away_takes_no_more_but_lets_go():
    with pytest.raises(Forbidden) as caught:
        await GOING.admit(attributes(POD, a_pod(), namespace="going"))
    assert caught.value.message == (
        'pods "web" is forbidden: unable to create new content in namespace going because it is '
        "being terminated"
    )
    assert caught.value.details["causes"][0]["reason"] == "NamespaceTerminating"
    await GOING.admit(attributes(POD, a_pod(), namespace="going", operation="UPDATE"))
    await GOING.admit(attributes(POD, None, namespace="going", operation="DELETE"))


async def test_cluster_wide_objects_need_no_namespace():
    await GOING.admit(attributes(NODE, {"metadata": {"name": "n"}}, namespace=""))


# --- DefaultTolerationSeconds --------------------------------------------------------------------


async def tolerations(*given: Obj) -> list[tuple[str, int | None]]:
    obj = a_pod(tolerations=list(given))
    found = (await admitted(DefaultTolerationSeconds(), attributes(POD, obj)))["spec"]
    return [(t.get("key", ""), t.get("tolerationSeconds")) for t in found["tolerations"]]


async def test_a_pod_stays_five_minutes_on_a_lost_node_unless_it_says_otherwise():
    both = [("node.kubernetes.io/not-ready", 300), ("node.kubernetes.io/unreachable", 300)]
    assert await tolerations() == both
    assert await tolerations({"operator": "Exists"}) == [("", None)]
    own = {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute", "tolerationSeconds": 5}
    assert await tolerations(own) == [("node.kubernetes.io/not-ready", 5), both[1]]
    other = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    assert len(await tolerations(other)) == 3


# --- NodeRestriction -----------------------------------------------------------------------------


def bound(name: str, node: str, uid: str = "u1") -> tuple[Kind, Obj]:
    meta = {"name": name, "namespace": "shop", "uid": uid}
    sources = [
        {"serviceAccountToken": {"path": "t"}},
        {"serviceAccountToken": {"audience": "vault"}},
    ]
    volumes = [
        {"name": "t", "projected": {"sources": sources}},
        {"name": "c", "csi": {"driver": "csi.example.com"}},
    ]
    return POD, {"metadata": meta, "spec": {"nodeName": node, "volumes": volumes}}


N1_META = {"name": "n1", "uid": "n1-uid"}
DRIVER = {
    "metadata": {"name": "csi.example.com"}, "spec": {"tokenRequests": [{"audience": "disk"}]}
}  # fmt: skip
READER = FakeReader(
    bound("mine", "n1"), bound("yours", "n2"), (NODE, {"metadata": N1_META}), (CSI_DRIVER, DRIVER)
)
RESTRICTION = NodeRestriction(READER)


def a_node(name: str = "n1", taints: object = None, **labels: str) -> Obj:
    prefixed = {k.replace("__", "/").replace("_", "."): v for k, v in labels.items()}
    return {"metadata": {"name": name, "labels": prefixed}, "spec": {"taints": taints}}


def token(pod: str, uid: str = "u1", audiences: Sequence[str] = ()) -> Attributes:
    ref = {"kind": "Pod", "apiVersion": "v1", "name": pod, "uid": uid}
    obj = {"spec": {"boundObjectRef": ref, "audiences": list(audiences)}}
    return attributes(SERVICE_ACCOUNT, obj, name="web", subresource="token", user=N1)


def on_pod(name: str, operation: str, subresource: str = "") -> Attributes:
    old = READER.get(POD, Key("shop", name))
    return attributes(
        POD, old, old=old, name=name, operation=operation, subresource=subresource, user=N1
    )


def mirror(**spec: object) -> Attributes:
    """A pod as a node shows its static ones."""
    obj = a_pod(**{"nodeName": "n1", **spec})
    own = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "n1-uid", "controller": True}
    obj["metadata"] |= {
        "annotations": {"kubernetes.io/config.mirror": "x"},
        "ownerReferences": [own],
    }
    return attributes(POD, obj, user=N1)


def owned(**fields: object) -> Attributes:
    request = mirror()
    request.obj["metadata"]["ownerReferences"][0] |= fields
    return request


def using(**env: object) -> Attributes:
    return mirror(containers=[{"name": "c", "image": "i", **env}])


def on_node(obj: Obj, old: Obj | None = None) -> Attributes:
    operation = "UPDATE" if old else "CREATE"
    return attributes(NODE, obj, old=old, operation=operation, namespace="", user=N1)


def new_status(status: Obj, **meta: object) -> Attributes:
    request = on_pod("mine", "UPDATE", "status")
    request.obj = {**request.old, "status": status}
    request.obj["metadata"] = {**request.obj["metadata"], **meta}
    return request


def on_claim(changes: Obj, subresource: str = "status") -> Attributes:
    old = {"metadata": {"name": "c"}, "status": {"phase": "Bound"}}
    new = {part: {**old.get(part, {}), **changes.get(part, {})} for part in ("metadata", "status")}
    return attributes(
        PERSISTENT_VOLUME_CLAIM, new, old=old, operation="UPDATE", subresource=subresource, user=N1
    )


def on_slice(node: str, operation: str = "CREATE") -> Attributes:
    found = {"metadata": {"name": "s"}, "spec": {"nodeName": node}}
    obj, old = (found, None) if operation == "CREATE" else (None, found)
    return attributes(
        RESOURCE_SLICE, obj, old=old, operation=operation, namespace="", name="s", user=N1
    )


def request_as(common_name: str) -> Attributes:
    pem = new_request(KEY, common_name=common_name, organizations=("system:nodes",))
    spec = {
        "request": base64.b64encode(pem).decode(),
        "signerName": "kubernetes.io/kubelet-serving",
    }
    obj = {"metadata": {"name": "r"}, "spec": spec}
    return attributes(CERTIFICATE_SIGNING_REQUEST, obj, namespace="", user=N1)


KEY = new_key()
ROLE_LABEL = {"node-role_kubernetes_io__control-plane": ""}


@pytest.mark.parametrize(
    "make",
    [
        lambda: on_pod("mine", "UPDATE", "status"),
        lambda: on_pod("mine", "DELETE"),
        lambda: mirror(),
        lambda: token("mine"),
        lambda: token("mine", audiences=[""]),
        lambda: token("mine", audiences=["vault"]),
        lambda: token("mine", audiences=["disk"]),
        lambda: new_status({"phase": "Running"}),
        lambda: on_pod("mine", "CREATE", "eviction"),
        lambda: on_claim({"status": {"capacity": {"storage": "2Gi"}}}),
        lambda: attributes(CSI_NODE, {}, name="n1", namespace="", user=N1),
        lambda: on_slice("n1"),
        lambda: request_as("system:node:n1"),
        lambda: on_node(a_node(kubernetes_io__hostname="n1", zone="attic", example_com__x="y")),
        lambda: on_node(a_node(taints=[{"key": "a"}])),
        lambda: on_node(a_node(**ROLE_LABEL), a_node(**ROLE_LABEL)),
        lambda: on_node(a_node(taints=[]), a_node()),
        lambda: attributes(LEASE, {}, namespace="kube-node-lease", name="n1", user=N1),
        lambda: attributes(CONFIG_MAP, {}, user=N1),
    ],
)
async def test_a_node_keeps_up_its_own_things(make: Callable[[], Attributes]):
    await RESTRICTION.admit(make())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: on_pod("yours", "UPDATE", "status"), "can only update pod status for pods with"),
        (lambda: on_pod("yours", "DELETE"), "can only delete pods with spec.nodeName set to"),
        (lambda: on_pod("mine", "UPDATE"), "can only create and delete mirror pods"),
        (lambda: on_pod("mine", "CREATE", "binding"), "only 'status' and 'eviction' are allowed"),
        (lambda: on_pod("yours", "CREATE", "eviction"), "can only evict pods with spec.nodeName"),
        (
            lambda: new_status({"resourceClaimStatuses": [{"name": "c"}]}),
            "cannot update resource claim statuses",
        ),
        (lambda: new_status({}, labels={"a": "b"}), "cannot update labels through pod status"),
        (lambda: token("mine", audiences=["other"]), 'audience "other" not found in pod spec'),
        (lambda: token("mine", audiences=["vault", ""]), "may only request 0 or 1 audiences"),
        (lambda: token("gone"), 'pods "gone" not found'),
        (
            lambda: on_claim({"status": {"phase": "Lost"}}),
            "fields other than status.capacity and status.conditions",
        ),
        (
            lambda: on_claim({"metadata": {"labels": {"a": "b"}}}),
            "fields other than status.capacity and status.conditions",
        ),
        (lambda: on_claim({}, subresource=""), "may only update PVC status"),
        (
            lambda: attributes(CSI_NODE, {}, name="n2", namespace="", user=N1),
            "can only access CSINode with the same name as the requesting node",
        ),
        (lambda: on_slice("n2"), "can only create ResourceSlice with the same NodeName as the"),
        (
            lambda: on_slice("n2", operation="DELETE"),
            "can only delete ResourceSlice with the same NodeName as the requesting node",
        ),
        (lambda: request_as("system:node:n2"), "can only create a node CSR with CN=system:node:n1"),
        (lambda: attributes(POD, a_pod(), user=N1), "can only create mirror pods"),
        (lambda: mirror(nodeName="n2"), "can only create pods with spec.nodeName set to itself"),
        (lambda: mirror(serviceAccountName="web"), "that reference a service account"),
        (lambda: mirror(imagePullSecrets=[{"name": "s"}]), "that reference secrets"),
        (lambda: using(envFrom=[{"secretRef": {"name": "s"}}]), "that reference secrets"),
        (
            lambda: using(env=[{"valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]),
            "that reference configmaps",
        ),
        (
            lambda: mirror(volumes=[{"name": "v", "projected": {"sources": []}}]),
            "that reference projected volumes",
        ),
        (
            lambda: mirror(volumes=[{"name": "v", "ephemeral": {}}]),
            "that reference persistentvolumeclaims",
        ),
        (lambda: owned(kind="ReplicaSet"), "with an owner reference set to itself"),
        (lambda: owned(uid="other"), "with an owner reference set to itself"),
        (lambda: owned(controller=False), "with a controller owner reference set to itself"),
        (lambda: owned(blockOwnerDeletion=True), "must not set blockOwnerDeletion"),
        (lambda: token("yours"), "bound to a pod scheduled on a different node"),
        (lambda: token("mine", uid="old"), "does not match the UID in record"),
        (lambda: token("mine", uid=""), "a pod binding without a uid"),
        (lambda: token(""), "node requested token not bound to a pod"),
        (lambda: on_node(a_node("n2")), 'node "n1" is not allowed to modify node "n2"'),
        (lambda: on_node(a_node(**ROLE_LABEL)), "not allowed to set the following labels: node-"),
        (lambda: on_node(a_node(), a_node(**ROLE_LABEL)), "not allowed to modify labels: node-"),
        (
            lambda: on_node(a_node(taints=[{"key": "a"}]), a_node()),
            "is not allowed to modify taints",
        ),
        (
            lambda: attributes(LEASE, {}, namespace="kube-node-lease", name="n2", user=N1),
            "can only access node lease with the same name as the requesting node",
        ),
    ],
)
async def test_a_node_is_kept_off_what_is_not_its_own(make: Callable[[], Attributes], words: str):
    with pytest.raises(ApiError) as caught:
        await RESTRICTION.admit(make())
    assert words in caught.value.message


async def test_rbac_may_let_a_node_have_tokens_for_further_audiences():
    def may(user: User, info: RequestInfo) -> bool:
        asked = (info.verb, info.resource, info.namespace, info.name)
        return asked == ("request-serviceaccounts-token-audience", "registry", "shop", "web")

    restriction = NodeRestriction(READER, may=may)
    await restriction.admit(token("mine", audiences=["registry"]))
    with pytest.raises(Forbidden):
        await restriction.admit(token("mine", audiences=["other"]))


IDENTITY = {
    "podName": "known", "podUID": "p", "nodeName": "n1", "nodeUID": "n1-uid",
    "serviceAccountName": "web", "serviceAccountUID": "a",
}  # fmt: skip


def certificate_for(**changes: str) -> Attributes:
    obj = {"metadata": {"name": "r"}, "spec": {**IDENTITY, **changes}}
    return attributes(POD_CERTIFICATE_REQUEST, obj, user=N1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"podName": "gone"}, 'pods "gone" not found'),
        ({"podName": "yours"}, 'pod "yours" is not running on node "n1"'),
        ({"nodeName": "n2"}, 'pod "known" is not running on node "n1"'),
        ({"podUID": "old"}, "spec.podUID does not match"),
        ({"nodeUID": "old"}, "spec.nodeUID does not match"),
        ({"serviceAccountName": "db"}, "spec.serviceAccountName does not match"),
        ({"serviceAccountUID": "old"}, "spec.serviceAccountUID does not match"),
    ],
)
async def test_a_node_has_certificates_for_pods_that_it_runs(changes: dict, words: str):
    meta = {"name": "known", "namespace": "shop", "uid": "p"}
    spec = {"nodeName": "n1", "serviceAccountName": "web"}
    reader = FakeReader(
        (POD, {"metadata": meta, "spec": spec}),
        bound("yours", "n2"),
        (NODE, {"metadata": N1_META}),
        (SERVICE_ACCOUNT, {"metadata": {"name": "web", "namespace": "shop", "uid": "a"}}),
    )
    admitting = NodeRestriction(reader).admit(certificate_for(**changes))
    if not words:
        await admitting
        return
    with pytest.raises(ApiError) as caught:
        await admitting
    assert words in caught.value.message


async def test_others_are_not_restricted_as_nodes():
    request = on_node(a_node("n2", **ROLE_LABEL))
    request.user = ANN
    await RESTRICTION.admit(request)
