"""Deployment: declarative updates for pods and ReplicaSets."""

from edgek.kinds.kind import SCALE, STATUS, Kind

DEPLOYMENT = Kind(
    group="apps",
    version="v1",
    kind="Deployment",
    plural="deployments",
    short_names=("deploy",),
    subresources=(
        STATUS,
        SCALE,
    ),
)
