"""ClusterRole: permissions cluster-wide, or to be bound in a namespace."""

from edgek.api.validation import is_path_segment
from edgek.kinds.kind import Kind
from edgek.kinds.rbac import GROUP, ROLE_COLUMNS, validate_cluster_role

CLUSTER_ROLE = Kind(
    group=GROUP,
    version="v1",
    kind="ClusterRole",
    plural="clusterroles",
    namespaced=False,
    columns=ROLE_COLUMNS,
    validate=validate_cluster_role,
    validate_name=is_path_segment,
    example={
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "health-reader"},
        "rules": [{"nonResourceURLs": ["/healthz", "/livez", "/readyz"], "verbs": ["get"]}],
    },
)
