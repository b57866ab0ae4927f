"""Validation of Services (upstream: ValidateService and ValidateServiceUpdate)."""

from edgek.api.meta import Obj, get_path
from edgek.api.validation import (
    FieldErrors,
    FieldPath,
    is_dns1123_label,
    is_dns1123_subdomain,
    is_qualified_name,
    validate_labels,
)
from edgek.kinds.checks import PROTOCOLS, check_enum, check_ip, check_port, check_rule
from edgek.kinds.service_defaults import WITH_CLUSTER_IP, is_externally_accessible

SPEC = FieldPath("spec")
TYPES = (*WITH_CLUSTER_IP, "ExternalName")
POLICIES = ("Cluster", "Local")
MAX_AFFINITY_SECONDS = 86400


def validate_service(service: Obj, errors: FieldErrors) -> None:
    spec = service.get("spec") or {}
    check_enum(spec.get("type"), TYPES, SPEC.child("type"), errors)
    headless = spec.get("clusterIP") == "None"
    if not spec.get("ports") and not headless and spec.get("type") != "ExternalName":
        errors.required(SPEC.child("ports"))
    _validate_type(spec, errors)
    _validate_ports(spec, errors)
    validate_labels(spec.get("selector"), SPEC.child("selector"), errors)
    _validate_affinity(spec, errors)
    _validate_addresses(spec, errors)
    _validate_policies(spec, errors)


def _validate_type(spec: Obj, errors: FieldErrors) -> None:
    kind, path = spec.get("type"), SPEC.child("clusterIPs")
    if kind in ("LoadBalancer", "NodePort") and spec.get("clusterIP") == "None":
        text = f"may not be set to 'None' for {kind} services"
        errors.invalid(path.index(0), "None", text)
    if kind != "ExternalName":
        return
    if spec.get("clusterIP") or spec.get("clusterIPs"):
        errors.forbidden(path, "may not be set for ExternalName services")
    name = (spec.get("externalName") or "").removesuffix(".")
    if not name:
        errors.required(SPEC.child("externalName"))
    check_rule(name, is_dns1123_subdomain, SPEC.child("externalName"), errors)


def _validate_ports(spec: Obj, errors: FieldErrors) -> None:
    ports = spec.get("ports") or []
    names: set[str] = set()
    pairs: set[tuple[object, object]] = set()
    node_ports: set[tuple[object, object]] = set()
    for index, port in enumerate(ports):
        path = SPEC.child("ports").index(index)
        _validate_name(port, path, names, errors, required=len(ports) > 1)
        _validate_port(port, path, errors)
        _once((port.get("port"), port.get("protocol")), "port", pairs, path, errors)
        node_port = port.get("nodePort")
        if node_port and spec.get("type") == "ClusterIP":
            text = "may not be used when `type` is 'ClusterIP'"
            errors.forbidden(path.child("nodePort"), text)
        elif node_port:
            pair = (node_port, port.get("protocol"))
            _once(pair, "nodePort", node_ports, path.child("nodePort"), errors)


def _validate_name(
    port: Obj, path: FieldPath, seen: set[str], errors: FieldErrors, *, required: bool
) -> None:
    name = port.get("name") or ""
    if not name:
        if required:
            errors.required(path.child("name"))
        return
    check_rule(name, is_dns1123_label, path.child("name"), errors)
    if name in seen:
        errors.duplicate(path.child("name"), name)
    seen.add(name)


def _validate_port(port: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_port(port.get("port"), path.child("port"), errors)
    check_enum(port.get("protocol"), PROTOCOLS, path.child("protocol"), errors)
    check_port(port.get("targetPort"), path.child("targetPort"), errors)
    check_rule(port.get("appProtocol"), is_qualified_name, path.child("appProtocol"), errors)


def _once(
    pair: tuple[object, object], field: str, seen: set[tuple[object, object]], path: FieldPath,
    errors: FieldErrors,
) -> None:  # fmt: skip
    if pair in seen:
        errors.duplicate(path, {field: pair[0], "protocol": pair[1]})
    seen.add(pair)


def _validate_affinity(spec: Obj, errors: FieldErrors) -> None:
    check_enum(
        spec.get("sessionAffinity"), ("ClientIP", "None"), SPEC.child("sessionAffinity"), errors
    )
    if spec.get("sessionAffinity") != "ClientIP":
        return
    seconds = get_path(spec, "sessionAffinityConfig", "clientIP", "timeoutSeconds")
    path = SPEC.child("sessionAffinityConfig", "clientIP", "timeoutSeconds")
    if seconds is None:
        errors.required(path)
    elif not 0 < seconds <= MAX_AFFINITY_SECONDS:
        text = f"must be greater than 0 and less than {MAX_AFFINITY_SECONDS}"
        errors.invalid(path, seconds, text)


def _validate_addresses(spec: Obj, errors: FieldErrors) -> None:
    ips = spec.get("clusterIPs") or []
    for index, ip in enumerate(ips or [i for i in [spec.get("clusterIP")] if i]):
        if ip != "None":
            check_ip(ip, SPEC.child("clusterIPs").index(index), errors)
    if ips and spec.get("clusterIP") and ips[0] != spec["clusterIP"]:
        errors.invalid(SPEC.child("clusterIPs"), ips, "first value must match `clusterIP`")
    for index, ip in enumerate(spec.get("externalIPs") or ()):
        check_ip(ip, SPEC.child("externalIPs").index(index), errors)
    if spec.get("loadBalancerSourceRanges") and spec.get("type") != "LoadBalancer":
        path = SPEC.child("loadBalancerSourceRanges")
        errors.forbidden(path, "may only be used when `type` is 'LoadBalancer'")


def _validate_policies(spec: Obj, errors: FieldErrors) -> None:
    external, path = spec.get("externalTrafficPolicy"), SPEC.child("externalTrafficPolicy")
    if is_externally_accessible(spec):
        check_enum(external, POLICIES, path, errors)
    elif external:
        text = "may only be set for externally-accessible services"
        errors.invalid(path, external, text)
    internal, path = spec.get("internalTrafficPolicy"), SPEC.child("internalTrafficPolicy")
    check_enum(internal, POLICIES, path, errors, required=spec.get("type") in WITH_CLUSTER_IP)


def validate_service_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    """A cluster IP stays for as long as the type has one."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    if before.get("type") not in WITH_CLUSTER_IP or after.get("type") not in WITH_CLUSTER_IP:
        return
    had, has = before.get("clusterIP"), after.get("clusterIP")
    if had and had != has:
        errors.invalid(SPEC.child("clusterIPs").index(0), has or "", "may not change once set")
