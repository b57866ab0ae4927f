"""The default roles, the Node authorizer and RBAC's matching, over a real default policy."""

import tracemalloc

import pytest

from edgek.api.meta import Key, Obj
from edgek.kinds.cluster_role import CLUSTER_ROLE
from edgek.kinds.cluster_role_binding import CLUSTER_ROLE_BINDING
from edgek.kinds.persistent_volume import PERSISTENT_VOLUME as VOLUME
from edgek.kinds.persistent_volume_claim import PERSISTENT_VOLUME_CLAIM as CLAIM
from edgek.kinds.pod import POD
from edgek.kinds.pod_certificate_request import POD_CERTIFICATE_REQUEST
from edgek.kinds.resource_slice import RESOURCE_SLICE
from edgek.kinds.role import ROLE
from edgek.kinds.role_binding import ROLE_BINDING
from server.authz.authorizer import Authorizer, Decision
from server.authz.bootstrap import plan_bootstrap
from server.authz.masters import Masters
from server.authz.node import NodeAuthorizer
from server.authz.policy import account, binding, cluster_binding, group, paths, role, rule, user
from server.authz.rbac import RbacAuthorizer
from server.authz.union import Union
from server.request.fake import FakeReader
from server.request.info import parse_request_info
from server.request.model import ANONYMOUS, User

CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
PODS_CERTIFICATES = "/apis/certificates.k8s.io/v1/namespaces/shop/podcertificaterequests"
SLICES = "/apis/resource.k8s.io/v1/resourceslices"
PVS = "GET /api/v1/persistentvolumes"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
JOINING = User(
    name="system:bootstrap:edgek",
    groups=("system:bootstrappers", "system:bootstrappers:edgek:agent", "system:authenticated"),
)
N1 = User(name="system:node:n1", groups=("system:nodes", "system:authenticated"))
ANN = User(name="ann", groups=("dev", "system:authenticated"))


def default_authorizers(reader: FakeReader) -> Authorizer:
    return Union(
        (Masters(), NodeAuthorizer(reader), RbacAuthorizer(reader)), RbacAuthorizer(reader)
    )


def pod(name: str, node: str, **spec: object) -> tuple:
    meta = {"name": name, "namespace": "shop"}
    return POD, {"metadata": meta, "spec": {"nodeName": node, "serviceAccountName": "web", **spec}}


def uses(secret: str) -> dict:
    claim = {"name": "c", "persistentVolumeClaim": {"claimName": secret}}
    return {"volumes": [{"name": "v", "secret": {"secretName": secret}}, claim]}


def claim(name: str, volume: str) -> tuple:
    meta = {"name": name, "namespace": "shop", "uid": f"uid-{name}"}
    return CLAIM, {"metadata": meta, "spec": {"volumeName": volume}}


def volume(name: str, of: str = "", *, released_on: str = "", secret: str = "") -> tuple:
    meta = {"name": name, "labels": {}, "annotations": {}}
    spec: dict = {"claimRef": {"namespace": "shop", "uid": of}}
    if secret:
        spec["csi"] = {"nodeStageSecretRef": {"name": secret, "namespace": "vault"}}
    if released_on:
        meta["labels"] = {"edgek.io/storage-node": released_on}
        meta["annotations"] = {"pv.kubernetes.io/provisioned-by": "edgek.io/local-path"}
        spec["persistentVolumeReclaimPolicy"] = "Delete"
    phase = "Released" if released_on else "Bound"
    return VOLUME, {"metadata": meta, "spec": spec, "status": {"phase": phase}}


STORED = (
    pod("stores", "n1", volumes=[
        {"name": n, "persistentVolumeClaim": {"claimName": n}} for n in ("c1", "c2", "c3")
    ]),
    claim("c1", "bound"), claim("c2", "not-there"), claim("c3", "stolen"),
    volume("bound", "uid-c1", secret="stage"), volume("stolen", "uid-x", secret="stolen"),
    volume("foreign", "uid-y"),
    volume("released", released_on="n1"), volume("released-elsewhere", released_on="n2"),
)  # fmt: skip


@pytest.fixture
def reader() -> FakeReader:
    reader = FakeReader(
        *STORED,
        pod("mine", "n1", **uses("mine")), pod("yours", "n2", **uses("yours")),
        *((RESOURCE_SLICE, {"metadata": {"name": name}, "spec": {"nodeName": node}})
          for name, node in (("mine", "n1"), ("yours", "n2"))),
        *((POD_CERTIFICATE_REQUEST,
           {"metadata": {"name": name, "namespace": "shop"}, "spec": {"nodeName": node}})
          for name, node in (("mine", "n1"), ("yours", "n2"))),
    )  # fmt: skip
    for kind, obj in plan_bootstrap(reader).create:
        reader.put(kind, obj)
    return reader


@pytest.fixture
def authorizer(reader: FakeReader) -> Authorizer:
    return default_authorizers(reader)


def allowed(authorizer: Authorizer, who: User, request: str) -> bool:
    """``request`` is METHOD path?query."""
    method, _, url = request.partition(" ")
    path, _, query = url.partition("?")
    pairs = dict(pair.split("=", 1) for pair in query.split("&") if pair)
    info = parse_request_info(method, path, pairs)
    return authorizer.authorize(who, info).decision is Decision.ALLOW


@pytest.mark.parametrize(
    "request_",
    ["GET /readyz", "GET /livez", "GET /healthz", "GET /version", "GET /cacerts"],
)
def test_anonymous_may_ask_for_health_version_and_ca(authorizer: Authorizer, request_: str):
    assert allowed(authorizer, ANONYMOUS, request_)


@pytest.mark.parametrize(
    "request_", ["GET /api", "GET /metrics", "GET /api/v1/pods", f"POST {CSRS}", "POST /cacerts"]
)
def test_anonymous_may_do_nothing_else(authorizer: Authorizer, request_: str):
    assert not allowed(authorizer, ANONYMOUS, request_)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (f"POST {CSRS}", True),
        (f"GET {CSRS}?watch=true&fieldSelector=metadata.name=x", True),
        (f"PUT {CSRS}/x/approval", False),
        ("GET /api/v1/nodes", False),
        ("GET /api/v1/namespaces/kube-system/secrets", False),
    ],
)
def test_a_join_token_leads_to_a_certificate_request_only(
    authorizer: Authorizer, request_: str, expected: bool
):
    assert allowed(authorizer, JOINING, request_) is expected


SHOP = "/api/v1/namespaces/shop"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (f"GET {SHOP}/secrets/mine", True),
        (f"GET {SHOP}/secrets?watch=1&fieldSelector=metadata.name=mine", True),
        (f"GET {SHOP}/secrets/yours", False),
        (f"GET {SHOP}/secrets", False),
        ("GET /api/v1/namespaces/other/secrets/mine", False),
        (f"PUT {SHOP}/secrets/mine", False),
        (f"POST {SHOP}/serviceaccounts/web/token", True),
        (f"POST {SHOP}/serviceaccounts/db/token", False),
        ("GET /api/v1/pods?watch=1&fieldSelector=spec.nodeName=n1", True),
        ("GET /api/v1/pods?watch=1&fieldSelector=spec.nodeName=n2", False),
        ("GET /api/v1/pods", False),
        (f"GET {SHOP}/pods/mine", True),
        (f"GET {SHOP}/pods/yours", False),
        (f"GET {SHOP}/pods?watch=1&fieldSelector=metadata.name=not-yet", False),
        (f"PATCH {SHOP}/pods/mine/status", True),
        (f"POST {SHOP}/pods/mine/exec", False),
        ("POST /api/v1/nodes", True),
        ("PATCH /api/v1/nodes/n1/status", True),
        ("PATCH /api/v1/nodes/n2/status", False),
        ("DELETE /api/v1/nodes/n1", False),
        ("GET /api/v1/namespaces/kube-system/configmaps/edgek-cluster", True),
        ("GET /api/v1/namespaces/kube-system/configmaps/another", False),
        ("GET /api/v1/nodes", True),  # as node proxier: it needs its peers
        (f"POST {LEASES}", True),
        (f"PUT {LEASES}/n1", True),
        (f"PUT {LEASES}/n2", False),
        ("PUT /apis/coordination.k8s.io/v1/namespaces/default/leases/n1", False),
        ("GET /apis/discovery.k8s.io/v1/endpointslices?watch=1", True),
        (f"POST {CSRS}", True),
        (f"PATCH {SHOP}/persistentvolumeclaims/mine/status", True),
        (f"PATCH {SHOP}/persistentvolumeclaims/mine", False),
        (f"PATCH {SHOP}/persistentvolumeclaims/yours/status", False),
        ("PUT /apis/storage.k8s.io/v1/csinodes/n1", True),
        ("GET /apis/storage.k8s.io/v1/csinodes/n2", False),
        ("GET /apis/storage.k8s.io/v1/csinodes", False),
        (f"POST {SLICES}", True),
        (f"DELETE {SLICES}?fieldSelector=spec.nodeName=n1", True),
        (f"DELETE {SLICES}", False),
        (f"GET {SLICES}?watch=1&fieldSelector=spec.nodeName=n2", False),
        (f"PUT {SLICES}/mine", True),
        (f"PUT {SLICES}/yours", False),
        (f"POST {PODS_CERTIFICATES}", True),
        (f"GET {PODS_CERTIFICATES}/mine", True),
        (f"GET {PODS_CERTIFICATES}/yours", False),
        (f"GET {PODS_CERTIFICATES}?watch=1&fieldSelector=spec.nodeName=n1", True),
        (f"GET {PODS_CERTIFICATES}", False),
        (f"PUT {PODS_CERTIFICATES}/mine/status", False),
        ("GET /apis/certificates.k8s.io/v1/clustertrustbundles", True),
        (f"{PVS}?watch=1&fieldSelector=metadata.name=bound", True),
        (f"{PVS}/bound", True),
        (f"{PVS}/not-there", True),  # its claim names it: it may learn that it is gone
        (f"{PVS}/stolen", False),  # its claim names it, but it is another claim's
        (f"{PVS}/foreign", False),
        (PVS, False),
        (f"{PVS}?watch=1&labelSelector=edgek.io/storage-node=n1", True),
        (f"{PVS}?watch=1&labelSelector=edgek.io/storage-node=n2", False),
        (f"{PVS}?watch=1&labelSelector=edgek.io/storage-node", False),
        (f"{PVS}?watch=1&labelSelector=edgek.io/storage-node notin (n1)", False),
        ("DELETE /api/v1/persistentvolumes/bound", False),
        ("DELETE /api/v1/persistentvolumes/released", True),
        ("DELETE /api/v1/persistentvolumes/released-elsewhere", False),
        ("DELETE /api/v1/persistentvolumes?labelSelector=edgek.io/storage-node=n1", False),
        ("GET /api/v1/namespaces/vault/secrets/stage", True),  # the volume names it
        ("GET /api/v1/namespaces/vault/secrets/stolen", False),
    ],
)
def test_a_node_reaches_what_runs_on_it_and_no_further(
    authorizer: Authorizer, request_: str, expected: bool
):
    assert allowed(authorizer, N1, request_) is expected


def test_a_node_without_a_name_is_told_so(authorizer: Authorizer):
    odd = User(name="pi", groups=("system:nodes",))
    verdict = authorizer.authorize(odd, parse_request_info("GET", f"{SHOP}/secrets/mine", {}))
    assert verdict.reason == 'unknown node for user "pi"'


@pytest.mark.parametrize(
    "source",
    [
        {"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "s"}}]}}]},
        {"imagePullSecrets": [{"name": "s"}]},
        {"containers": [{"envFrom": [{"secretRef": {"name": "s"}}]}]},
        {"initContainers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "s"}}}]}]},
        {"volumes": [{"name": "v", "csi": {"nodePublishSecretRef": {"name": "s"}}}]},
    ],
    ids=lambda source: str(source)[:40],
)
def test_every_way_a_pod_refers_to_a_secret_counts(source: dict):
    authorizer = default_authorizers(FakeReader(pod("p", "n1", **source)))
    assert allowed(authorizer, N1, f"GET {SHOP}/secrets/s")


def test_masters_need_no_rule():
    root = User(name="root", groups=("system:masters",))
    assert allowed(default_authorizers(FakeReader()), root, f"DELETE {SHOP}/pods/x")


def grant(*rules: Obj, to: Obj | None = None) -> RbacAuthorizer:
    made = role("shop", "r", *rules)
    bound = binding("shop", "r", "r", to or user("ann"))
    return RbacAuthorizer(FakeReader((ROLE, made), (ROLE_BINDING, bound)))


@pytest.mark.parametrize(
    ("rule_", "request_", "expected"),
    [
        (rule("get", "", "pods"), f"GET {SHOP}/pods/x", True),
        (rule("get", "", "pods"), f"GET {SHOP}/pods", False),
        (rule("get", "", "pods"), f"GET {SHOP}/pods/x/log", False),
        (rule("get", "", "pods/log"), f"GET {SHOP}/pods/x/log", True),
        (rule("get", "", "*/log"), f"GET {SHOP}/pods/x/log", True),
        (rule("*", "*", "*"), f"POST {SHOP}/pods/x/exec", True),
        (rule("*", "*", "*"), "GET /api/v1/namespaces/other/pods/x", False),
        (rule("*", "*", "*"), "GET /api/v1/pods", False),
        (rule("get", "apps", "pods"), f"GET {SHOP}/pods/x", False),
    ],
)
def test_rules_match_verb_group_resource_and_subresource(rule_: Obj, request_: str, expected: bool):
    assert allowed(grant(rule_), ANN, request_) is expected


def test_a_rule_by_name_covers_that_name_alone_however_it_is_asked_for():
    only = grant({**rule("get list watch create", "", "secrets"), "resourceNames": ["a"]})
    assert allowed(only, ANN, f"GET {SHOP}/secrets/a")
    assert allowed(only, ANN, f"GET {SHOP}/secrets?watch=1&fieldSelector=metadata.name=a")
    assert not allowed(only, ANN, f"GET {SHOP}/secrets/b")
    assert not allowed(only, ANN, f"GET {SHOP}/secrets")
    assert not allowed(only, ANN, f"POST {SHOP}/secrets")


def test_groups_and_service_accounts_are_subjects_too():
    every = rule("*", "*", "*")
    web = User(name="system:serviceaccount:shop:web")
    assert allowed(grant(every, to=group("dev")), ANN, f"GET {SHOP}/pods")
    assert allowed(grant(every, to=account("shop", "web")), web, f"GET {SHOP}/pods")
    assert not allowed(grant(every, to=account("other", "web")), web, f"GET {SHOP}/pods")


def test_a_path_rule_ends_in_a_star_or_is_exact():
    bound = cluster_binding("b", "r", user("ann"))
    made = {"metadata": {"name": "r"}, "rules": [paths("get", "/a/*", "/b")]}
    rbac = RbacAuthorizer(FakeReader((CLUSTER_ROLE, made), (CLUSTER_ROLE_BINDING, bound)))
    found = [allowed(rbac, ANN, f"GET {path}") for path in ("/a/x", "/a", "/b", "/b/x")]
    assert found == [True, False, True, False]


def test_an_answer_changes_with_the_role_it_came_from():
    reader = FakeReader((ROLE_BINDING, binding("shop", "r", "r", user("ann"))))
    rbac = RbacAuthorizer(reader)
    assert not allowed(rbac, ANN, f"GET {SHOP}/pods")
    reader.put(ROLE, role("shop", "r", rule("list", "", "pods")))
    assert allowed(rbac, ANN, f"GET {SHOP}/pods")
    reader.remove(ROLE, Key("shop", "r"))
    assert not allowed(rbac, ANN, f"GET {SHOP}/pods")


def test_long_paths_of_strangers_are_not_remembered(authorizer: Authorizer):
    tracemalloc.start()
    for number in range(500):
        assert not allowed(authorizer, ANONYMOUS, f"GET /{number:05}{'x' * 20_000}")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 1_000_000


def test_view_does_not_see_secrets_and_edit_does(reader: FakeReader, authorizer: Authorizer):
    for name in ("view", "edit"):
        bound = binding("shop", name, name, user(name))
        bound["roleRef"]["kind"] = "ClusterRole"
        reader.put(ROLE_BINDING, bound)
    assert allowed(authorizer, User(name="view"), f"GET {SHOP}/pods/x/log")
    assert not allowed(authorizer, User(name="view"), f"GET {SHOP}/secrets")
    assert allowed(authorizer, User(name="edit"), f"POST {SHOP}/secrets")
    assert not allowed(authorizer, User(name="edit"), f"GET {SHOP}/rolebindings")
