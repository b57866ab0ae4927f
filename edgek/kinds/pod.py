"""Pod: containers that run together on one node."""

from edgek.kinds.kind import STATUS, Kind

POD = Kind(
    group="",
    version="v1",
    kind="Pod",
    plural="pods",
    short_names=("po",),
    subresources=(STATUS,),
    selectable=("spec.nodeName", "status.phase"),
)
