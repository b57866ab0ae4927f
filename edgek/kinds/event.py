"""Event: what happened to an object, kept for an hour."""

from edgek.kinds.kind import Kind

EVENT = Kind(
    group="",
    version="v1",
    kind="Event",
    plural="events",
    short_names=("ev",),
    durability="lazy",
    ttl_seconds=3600,
)
