"""ServiceAccount: an identity for processes in pods."""

from edgek.kinds.kind import Kind

SERVICE_ACCOUNT = Kind(
    group="",
    version="v1",
    kind="ServiceAccount",
    plural="serviceaccounts",
    short_names=("sa",),
)
