"""Endpoints: the addresses behind a Service, old form."""

from edgek.kinds.kind import Kind

ENDPOINTS = Kind(
    group="",
    version="v1",
    kind="Endpoints",
    plural="endpoints",
    short_names=("ep",),
)
