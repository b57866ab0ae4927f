"""Paths lead to kinds within their scope only, because rights are checked by the path."""

import pytest

from edgek.api.meta import Obj
from edgek.client.client import Client
from edgek.client.transport import Call
from edgek.kinds import CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING
from server.app import Api
from server.request.model import User

JANE = User(name="jane", groups=("system:authenticated",))
BINDING: Obj = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "jane-rules"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "x"},
    "subjects": [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}],
}


@pytest.fixture
async def jane(api: Api, client: Client) -> Client:
    """May do everything in the namespace ``own``, and nothing elsewhere."""
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    own = {"name": "all", "namespace": "own"}
    await client.create(ROLE, {"metadata": own, "rules": rules})
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "all"}
    subjects = BINDING["subjects"]
    await client.create(ROLE_BINDING, {"metadata": own, "roleRef": ref, "subjects": subjects})
    return api.client(JANE)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/own/clusterrolebindings"),
        ("GET", "/api/v1/namespaces/own/nodes"),
        ("GET", "/api/v1/namespaces/own/nodes/n1"),
        ("GET", "/api/v1/namespaces/own/namespaces/kube-system"),
        ("DELETE", "/api/v1/namespaces/own/namespaces/kube-system"),
    ],
)
async def test_rights_in_a_namespace_reach_nothing_of_the_cluster(
    jane: Client, client: Client, method: str, path: str
) -> None:
    body = BINDING if method == "POST" else None
    with pytest.raises(Exception, match="could not find the requested resource"):
        await jane.transport.call(Call(method=method, path=path, body=body))
    assert not (await client.list(CLUSTER_ROLE_BINDING)).items
