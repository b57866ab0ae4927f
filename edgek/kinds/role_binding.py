"""RoleBinding: grants a role to subjects within a namespace."""

from edgek.api.validation import is_path_segment
from edgek.kinds.kind import Kind
from edgek.kinds.rbac import (
    BINDING_COLUMNS,
    GROUP,
    default_binding,
    validate_binding_update,
    validate_role_binding,
)

ROLE_BINDING = Kind(
    group=GROUP,
    version="v1",
    kind="RoleBinding",
    plural="rolebindings",
    columns=BINDING_COLUMNS,
    default=default_binding,
    validate=validate_role_binding,
    validate_update=validate_binding_update,
    validate_name=is_path_segment,
    example={
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "pod-readers", "namespace": "default"},
        "roleRef": {"kind": "Role", "name": "pod-reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
    },
)
