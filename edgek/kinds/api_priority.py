"""Which group and version comes first, where several have what a client asks for by short name.

As apiVersionPriorities in pkg/controlplane/apiserver/aggregator.go, of what is served here.
"""

from typing import NamedTuple


class Priority(NamedTuple):
    group: int
    version: int


_GROUPS = {
    "apiregistration.k8s.io": 20000,  # upstream's aggregator names itself first
    "": 18000,
    "apps": 17800,
    "events.k8s.io": 17750,
    "authentication.k8s.io": 17700,
    "authorization.k8s.io": 17600,
    "autoscaling": 17500,
    "batch": 17400,
    "certificates.k8s.io": 17300,
    "networking.k8s.io": 17200,
    "policy": 17100,
    "rbac.authorization.k8s.io": 17000,
    "storage.k8s.io": 16800,
    "apiextensions.k8s.io": 16700,
    "admissionregistration.k8s.io": 16700,
    "scheduling.k8s.io": 16600,
    "coordination.k8s.io": 16500,
    "node.k8s.io": 16300,
    "discovery.k8s.io": 16200,
    "flowcontrol.apiserver.k8s.io": 16100,
    "internal.apiserver.k8s.io": 16000,
    "resource.k8s.io": 15900,
    "storagemigration.k8s.io": 15800,
}
_VERSIONS = {
    ("", "v1"): 1,
    ("autoscaling", "v2"): 30,
    ("flowcontrol.apiserver.k8s.io", "v1"): 21,
}
_BETA = 9
_STABLE = 15
CUSTOM = Priority(1000, 100)
"""Of groups made by CustomResourceDefinitions."""


def priority_of(group: str, version: str) -> Priority:
    """Of a group-version that the server itself answers."""
    if group not in _GROUPS:
        return CUSTOM
    usual = _BETA if "beta" in version or "alpha" in version else _STABLE
    return Priority(_GROUPS[group], _VERSIONS.get((group, version), usual))
