"""Node: a machine that runs pods."""

from edgek.kinds.kind import STATUS, Kind

NODE = Kind(
    group="",
    version="v1",
    kind="Node",
    plural="nodes",
    short_names=("no",),
    namespaced=False,
    subresources=(STATUS,),
)
