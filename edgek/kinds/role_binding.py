"""RoleBinding: grants a role to subjects within a namespace."""

from edgek.kinds.kind import Kind

ROLE_BINDING = Kind(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="RoleBinding",
    plural="rolebindings",
)
