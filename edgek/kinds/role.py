"""Role: permissions within a namespace."""

from edgek.api.validation import is_path_segment
from edgek.kinds.kind import Kind
from edgek.kinds.rbac import GROUP, ROLE_COLUMNS, validate_role

ROLE = Kind(
    group=GROUP,
    version="v1",
    kind="Role",
    plural="roles",
    columns=ROLE_COLUMNS,
    validate=validate_role,
    validate_name=is_path_segment,
    example={
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "pod-reader", "namespace": "default"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}],
    },
)
