"""Defaults and strategy of Services (upstream: core/v1/defaults.go, core/service/strategy.go)."""

from edgek.api.meta import Obj
from edgek.kinds.strategy import ensure, keep_status, set_default

AFFINITY_SECONDS = 10800
WITH_NODE_PORTS = ("NodePort", "LoadBalancer")
WITH_CLUSTER_IP = ("ClusterIP", *WITH_NODE_PORTS)


def is_externally_accessible(spec: Obj) -> bool:
    kind = spec.get("type")
    return kind in WITH_NODE_PORTS or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def default_service(service: Obj) -> None:
    spec = ensure(service, "spec")
    set_default(spec, "type", "ClusterIP")
    _default_affinity(spec)
    for port in spec.get("ports") or ():
        set_default(port, "protocol", "TCP")
        if port.get("targetPort") in (None, "", 0):
            port["targetPort"] = port.get("port")
    if spec["type"] in WITH_CLUSTER_IP:
        set_default(spec, "internalTrafficPolicy", "Cluster")
    if is_externally_accessible(spec):
        set_default(spec, "externalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is None:
        spec["allocateLoadBalancerNodePorts"] = True


def _default_affinity(spec: Obj) -> None:
    set_default(spec, "sessionAffinity", "None")
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        config = ensure(spec, "sessionAffinityConfig", "clientIP")
        if config.get("timeoutSeconds") is None:
            config["timeoutSeconds"] = AFFINITY_SECONDS


def prepare_service(service: Obj, old: Obj | None) -> None:
    keep_status(service, old)
    if not service["status"]:
        service["status"] = {"loadBalancer": {}}
    if old is not None:
        _drop_type_dependent(service["spec"], old.get("spec") or {})


def _drop_type_dependent(spec: Obj, old: Obj) -> None:
    """Fields sent back unchanged that the new type has no use for are not meant.

    As dropTypeDependentFields; clusterIP and nodePort are dropped where they are allocated.
    """
    if spec.get("type") == old.get("type"):
        return
    useless = {
        "externalName": spec.get("type") != "ExternalName",
        "internalTrafficPolicy": spec.get("type") not in WITH_CLUSTER_IP,
        "externalTrafficPolicy": not is_externally_accessible(spec),
        "healthCheckNodePort": spec.get("type") != "LoadBalancer",
        "allocateLoadBalancerNodePorts": spec.get("type") != "LoadBalancer",
        "loadBalancerClass": spec.get("type") != "LoadBalancer",
    }
    for field, is_useless in useless.items():
        if is_useless and spec.get(field) == old.get(field):
            spec.pop(field, None)
