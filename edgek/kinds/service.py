"""Service: a stable address for a set of pods."""

from edgek.kinds.kind import STATUS, Kind

SERVICE = Kind(
    group="",
    version="v1",
    kind="Service",
    plural="services",
    short_names=("svc",),
    subresources=(STATUS,),
)
