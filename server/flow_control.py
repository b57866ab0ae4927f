"""The FlowSchemas and PriorityLevelConfigurations that a cluster starts with.

As apiserver pkg/apis/flowcontrol/bootstrap/default.go, with the numbers of 1.37: the mandatory
ones (edgek/kinds/flow_control.py) and those that are suggested. They are made where they are
missing (server/bootstrap.py); who changes the suggested ones keeps them changed.
"""

from collections.abc import Iterator

from edgek.api.meta import Obj, deep_copy
from edgek.kinds import FLOW_SCHEMA, PRIORITY_LEVEL
from edgek.kinds.flow_control import (
    AUTO_UPDATE,
    EVERYBODY,
    MANDATORY_FLOWS,
    MANDATORY_LEVELS,
    every_request_of,
    flow_spec,
    group,
)
from edgek.kinds.kind import Kind

NODES = group("system:nodes")
MANAGER = {"kind": "User", "user": {"name": "system:kube-controller-manager"}}
SCHEDULER = {"kind": "User", "user": {"name": "system:kube-scheduler"}}


def _account(name: str) -> Obj:
    ref = {"name": name, "namespace": "kube-system"}
    return {"kind": "ServiceAccount", "serviceAccount": ref}


def _limited(shares: int, queues: int, *, hand: int = 6, lendable: int) -> Obj:
    queuing = {"queues": queues, "handSize": hand, "queueLengthLimit": 50}
    limited = {
        "nominalConcurrencyShares": shares,
        "limitResponse": {"type": "Queue", "queuing": queuing},
        "lendablePercent": lendable,
    }
    return {"type": "Limited", "limited": limited}


def _only(subjects: list[Obj], *rules: Obj) -> Obj:
    return {"subjects": subjects, "resourceRules": list(rules)}


def _on(verbs: str, api_group: str, resources: str, *, cluster: bool = False) -> Obj:
    rule: Obj = {
        "verbs": verbs.split(),
        "apiGroups": [api_group],
        "resources": resources.split(),
        "namespaces": ["*"],
    }
    return rule | {"clusterScope": True} if cluster else rule


_LEASES = _on("get create update", "coordination.k8s.io", "leases")
_ALL_LEASES = _on("*", "coordination.k8s.io", "leases")
_NODES = _on("*", "", "nodes nodes/status", cluster=True)
_ENDPOINTS = _on("get create update", "", "endpoints")
_PROBES: Obj = {
    "subjects": list(EVERYBODY),
    "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}],
}
_ANY_ACCOUNT = _account("*")
_ENDPOINT_MAKERS = [
    MANAGER,
    _account("endpoint-controller"),
    _account("endpointslicemirroring-controller"),
]

LEVELS = {
    **MANDATORY_LEVELS,
    "system": _limited(30, 64, lendable=33),
    "node-high": _limited(40, 64, lendable=25),
    "leader-election": _limited(10, 16, hand=4, lendable=0),
    "workload-high": _limited(40, 128, lendable=50),
    "workload-low": _limited(100, 128, lendable=90),
    "global-default": _limited(20, 128, lendable=50),
}
FLOWS = {
    **MANDATORY_FLOWS,
    "system-nodes": flow_spec("system", 500, every_request_of(NODES), by="ByUser"),
    "system-node-high": flow_spec(
        "node-high", 400, _only([NODES], _NODES, _ALL_LEASES), by="ByUser"
    ),
    "probes": flow_spec("exempt", 2, _PROBES),
    "system-leader-election": flow_spec(
        "leader-election", 100, _only([MANAGER, SCHEDULER, _ANY_ACCOUNT], _LEASES), by="ByUser"
    ),
    "endpoint-controller": flow_spec(
        "workload-high", 150, _only(_ENDPOINT_MAKERS, _ENDPOINTS), by="ByUser"
    ),
    "workload-leader-election": flow_spec(
        "leader-election", 200, _only([_ANY_ACCOUNT], _LEASES), by="ByUser"
    ),
    "kube-controller-manager": flow_spec(
        "workload-high", 800, every_request_of(MANAGER), by="ByNamespace"
    ),
    "kube-scheduler": flow_spec(
        "workload-high", 800, every_request_of(SCHEDULER), by="ByNamespace"
    ),
    "kube-system-service-accounts": flow_spec(
        "workload-high", 900, every_request_of(_ANY_ACCOUNT), by="ByNamespace"
    ),
    "service-accounts": flow_spec(
        "workload-low", 9000, every_request_of(group("system:serviceaccounts")), by="ByUser"
    ),
    "global-default": flow_spec("global-default", 9900, every_request_of(*EVERYBODY), by="ByUser"),
}


def flow_control_objects() -> Iterator[tuple[Kind, Obj]]:
    """In the order to make them, each the caller's own."""
    for kind, specs in ((PRIORITY_LEVEL, LEVELS), (FLOW_SCHEMA, FLOWS)):
        for name, spec in specs.items():
            yield (
                kind,
                {
                    "apiVersion": kind.api_version,
                    "kind": kind.kind,
                    "metadata": {"name": name, "annotations": {AUTO_UPDATE: "true"}},
                    "spec": deep_copy(spec),
                },
            )
