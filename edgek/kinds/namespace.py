"""Namespace: a scope for names."""

from edgek.kinds.kind import STATUS, Kind, Subresource

NAMESPACE = Kind(
    group="",
    version="v1",
    kind="Namespace",
    plural="namespaces",
    short_names=("ns",),
    namespaced=False,
    subresources=(
        STATUS,
        Subresource(name="finalize", verbs=("update",)),
    ),
)
