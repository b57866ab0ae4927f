"""ClusterRoleBinding: grants a ClusterRole to subjects everywhere."""

from edgek.kinds.kind import Kind

CLUSTER_ROLE_BINDING = Kind(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="ClusterRoleBinding",
    plural="clusterrolebindings",
    namespaced=False,
)
