"""Role: permissions within a namespace."""

from edgek.kinds.kind import Kind

ROLE = Kind(
    group="rbac.authorization.k8s.io",
    version="v1",
    kind="Role",
    plural="roles",
)
