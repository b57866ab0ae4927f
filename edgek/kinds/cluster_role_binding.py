"""ClusterRoleBinding: grants a ClusterRole to subjects everywhere."""

from edgek.api.validation import is_path_segment
from edgek.kinds.kind import Kind
from edgek.kinds.rbac import (
    BINDING_COLUMNS,
    GROUP,
    default_binding,
    validate_binding_update,
    validate_cluster_role_binding,
)

CLUSTER_ROLE_BINDING = Kind(
    group=GROUP,
    version="v1",
    kind="ClusterRoleBinding",
    plural="clusterrolebindings",
    namespaced=False,
    columns=BINDING_COLUMNS,
    default=default_binding,
    validate=validate_cluster_role_binding,
    validate_update=validate_binding_update,
    validate_name=is_path_segment,
    example={
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "health-readers"},
        "roleRef": {"kind": "ClusterRole", "name": "health-reader"},
        "subjects": [{"kind": "Group", "name": "monitoring"}],
    },
)
