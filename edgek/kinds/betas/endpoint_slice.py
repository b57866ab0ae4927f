"""EndpointSlice before v1: an endpoint's zone and node are labels in ``topology``.

As pkg/apis/discovery/v1beta1/conversion.go.
"""

from collections.abc import Callable

from edgek.api.meta import Obj
from edgek.kinds.betas.beta_of import beta_of
from edgek.kinds.endpoint_slice import ENDPOINT_SLICE

ZONE = "topology.kubernetes.io/zone"
HOSTNAME = "kubernetes.io/hostname"


def _new(endpoint: Obj) -> Obj:
    made = {f: v for f, v in endpoint.items() if f != "topology"}
    labels = dict(endpoint.get("topology") or {})
    if (zone := labels.pop(ZONE, None)) is not None:
        made["zone"] = zone
    if HOSTNAME in labels and labels[HOSTNAME] == made.get("nodeName"):
        del labels[HOSTNAME]
    if labels:
        made["deprecatedTopology"] = labels
    return made


def _old(endpoint: Obj) -> Obj:
    made = {f: v for f, v in endpoint.items() if f not in ("zone", "deprecatedTopology")}
    labels = dict(endpoint.get("deprecatedTopology") or {})
    if endpoint.get("zone") is not None:
        labels[ZONE] = endpoint["zone"]
    if endpoint.get("nodeName") is not None:
        labels[HOSTNAME] = endpoint["nodeName"]
    if labels:
        made["topology"] = labels
    return made


def _turned(obj: Obj, turn: Callable[[Obj], Obj]) -> Obj:
    endpoints = obj.get("endpoints")
    return {**obj, "endpoints": [turn(e) for e in endpoints]} if endpoints else dict(obj)


def to_v1(obj: Obj) -> Obj:
    return _turned(obj, _new)


def to_beta(obj: Obj) -> Obj:
    return _turned(obj, _old)


DISCOVERY_ENDPOINT_SLICE = beta_of(
    ENDPOINT_SLICE, version="v1beta1", since="1.21", until="1.25", serving=to_beta, storing=to_v1
)
