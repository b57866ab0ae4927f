"""ServiceAccount: an identity for processes in pods."""

from edgek.kinds.columns import count
from edgek.kinds.kind import AGE, NAME, Column, Kind, Subresource

SERVICE_ACCOUNT = Kind(
    group="",
    version="v1",
    kind="ServiceAccount",
    plural="serviceaccounts",
    short_names=("sa",),
    columns=(
        NAME,
        Column(name="Secrets", read=count("secrets"), description="How many secrets it may use."),
        AGE,
    ),
    subresources=(
        Subresource(
            name="token",
            verbs=("create",),
            group="authentication.k8s.io",
            version="v1",
            kind="TokenRequest",
        ),
    ),
    example={
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "builder", "namespace": "default"},
    },
)
