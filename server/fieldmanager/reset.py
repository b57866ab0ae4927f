"""Fields that a URL cannot set, so that who writes them there does not own them.

A main resource ignores the status, /status ignores all else. As the GetResetFields of upstream's
strategies; and the metadata that stripmeta.go keeps out of every set.
"""

from collections.abc import Mapping
from typing import Any

from edgek.kinds.kind import Kind
from edgek.schema.fieldset import Fields, from_paths

TYPE_META = frozenset({"apiVersion", "kind"})
SERVER_META = frozenset(
    {"name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation",
     "managedFields", "resourceVersion"}
)  # fmt: skip
_STATUS_META = frozenset({"deletionTimestamp", "ownerReferences"})
_WITH_STATUS = TYPE_META | {"status"}

STRIPPED: Fields = from_paths(
    ("f:apiVersion",), ("f:kind",), ("f:metadata",),
    *(("f:metadata", "f:" + name) for name in sorted(SERVER_META)),
)  # fmt: skip


def skipped(kind: Kind, subresource: str, *objs: Mapping[str, Any]) -> frozenset[str]:
    """The entries of these objects that are nobody's in a write through ``subresource``."""
    if subresource in ("status", "approval"):
        return TYPE_META.union(*objs) - {"metadata", "status"}
    if subresource == "finalize" or kind.has_status:
        return _WITH_STATUS
    return TYPE_META


def skipped_meta(subresource: str) -> frozenset[str]:
    return SERVER_META | _STATUS_META if subresource == "status" else SERVER_META


def reset_fields(kind: Kind, subresource: str, *objs: Mapping[str, Any]) -> Fields:
    """The same as a set, for what an applied body names."""
    names = sorted(skipped(kind, subresource, *objs) - TYPE_META)
    return from_paths(*(("f:" + name,) for name in names))
