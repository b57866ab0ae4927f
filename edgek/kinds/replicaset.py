"""ReplicaSet: keeps a number of equal pods running."""

from edgek.kinds.kind import SCALE, STATUS, Kind

REPLICA_SET = Kind(
    group="apps",
    version="v1",
    kind="ReplicaSet",
    plural="replicasets",
    short_names=("rs",),
    subresources=(
        STATUS,
        SCALE,
    ),
)
