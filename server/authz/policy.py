"""Short hands for writing RBAC objects down as data: words become lists, metadata is added."""

from typing import Any

from edgek.api.meta import Obj
from edgek.kinds.cluster_role import CLUSTER_ROLE
from edgek.kinds.cluster_role_binding import CLUSTER_ROLE_BINDING
from edgek.kinds.kind import Kind
from edgek.kinds.role import ROLE
from edgek.kinds.role_binding import ROLE_BINDING

AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
READ = "get list watch"
WRITE = "create delete deletecollection patch update"
_GROUP = "rbac.authorization.k8s.io"


def rule(verbs: str, group: str, resources: str) -> Obj:
    return {"verbs": verbs.split(), "apiGroups": [group], "resources": resources.split()}


def paths(verb: str, *urls: str) -> Obj:
    return {"verbs": [verb], "nonResourceURLs": list(urls)}


def cluster_role(name: str, *rules: Obj, labels: Any = None, aggregate: str = "") -> Obj:
    """``aggregate`` names the label whose roles this one sums up."""
    obj = _object(CLUSTER_ROLE, {"name": name}, labels)
    if aggregate:
        selector = {"matchLabels": {aggregate: "true"}}
        obj["aggregationRule"] = {"clusterRoleSelectors": [selector]}
    return obj | {"rules": list(rules)}


def role(namespace: str, name: str, *rules: Obj) -> Obj:
    return _object(ROLE, {"name": name, "namespace": namespace}) | {"rules": list(rules)}


def cluster_binding(name: str, role_name: str, *subjects: Obj) -> Obj:
    obj = _object(CLUSTER_ROLE_BINDING, {"name": name})
    ref = {"apiGroup": _GROUP, "kind": "ClusterRole", "name": role_name}
    return obj | {"roleRef": ref, "subjects": list(subjects)}


def binding(namespace: str, name: str, role_name: str, *subjects: Obj) -> Obj:
    obj = _object(ROLE_BINDING, {"name": name, "namespace": namespace})
    ref = {"apiGroup": _GROUP, "kind": "Role", "name": role_name}
    return obj | {"roleRef": ref, "subjects": list(subjects)}


def group(name: str) -> Obj:
    return {"kind": "Group", "apiGroup": _GROUP, "name": name}


def user(name: str) -> Obj:
    return {"kind": "User", "apiGroup": _GROUP, "name": name}


def account(namespace: str, name: str) -> Obj:
    return {"kind": "ServiceAccount", "namespace": namespace, "name": name}


def _object(kind: Kind, metadata: Obj, labels: Any = None) -> Obj:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            **metadata,
            "labels": {"kubernetes.io/bootstrapping": "rbac-defaults", **(labels or {})},
            "annotations": {AUTOUPDATE: "true"},
        },
    }
