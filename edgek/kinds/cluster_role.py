"""ClusterRole: permissions cluster-wide, or to be bound in a namespace."""

from edgek.kinds.kind import Kind

CLUSTER_ROLE = Kind(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="ClusterRole",
    plural="clusterroles",
    namespaced=False,
)
