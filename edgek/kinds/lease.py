"""Lease: a heartbeat or a lock; memory only, it costs no disk write."""

from edgek.kinds.kind import Kind

LEASE = Kind(
    group="coordination.k8s.io",
    version="v1",
    kind="Lease",
    plural="leases",
    durability="volatile",
)
