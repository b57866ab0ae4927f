"""Validation of pods and pod templates (upstream: ValidatePodCreate, ValidatePodSpec).

The parts are in files of their own: containers, environment, probes, resources, volumes,
security and placement.
"""

from edgek.api.meta import Obj, resource_version
from edgek.api.validation import (
    FieldErrors,
    FieldPath,
    is_dns1123_label,
    is_dns1123_subdomain,
    is_qualified_name,
    validate_annotations,
    validate_labels,
)
from edgek.kinds.checks import (
    MAX_INT32,
    check_enum,
    check_ip,
    check_range,
    check_required,
    check_rule,
)
from edgek.kinds.container_validation import validate_containers
from edgek.kinds.ephemeral_volume import validate_ephemeral_volumes
from edgek.kinds.placement_validation import validate_placement
from edgek.kinds.pod_claims_validation import validate_pod_claims
from edgek.kinds.resource_validation import validate_resources
from edgek.kinds.restart_validation import POLICIES
from edgek.kinds.security_validation import validate_pod_security
from edgek.kinds.volume_validation import validate_volumes

SPEC = FieldPath("spec")
DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
SYSTEMS = ("linux", "windows")
MAX_NAMESERVERS = 3
MAX_SEARCH = 32
SUBDOMAIN_FIELDS = ("serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName")
LABEL_FIELDS = ("hostname", "subdomain")


def validate_pod(pod: Obj, errors: FieldErrors) -> None:
    spec = pod.get("spec") or {}
    validate_pod_spec(spec, SPEC, errors)
    if resource_version(pod):
        return
    # A pod that has no revision yet is being created (ValidatePodCreate).
    if spec.get("ephemeralContainers"):
        errors.forbidden(SPEC.child("ephemeralContainers"), "cannot be set on create")
    if spec.get("nodeName") and spec.get("schedulingGates"):
        text = "cannot be set until all schedulingGates have been cleared"
        errors.forbidden(SPEC.child("nodeName"), text)


def validate_template(template: Obj, path: FieldPath, errors: FieldErrors) -> None:
    """A template's metadata needs no name, but its labels end up on pods.

    As ValidatePodTemplateSpec, whose paths leave out "metadata" here.
    """
    meta = template.get("metadata") or {}
    validate_labels(meta.get("labels"), path.child("labels"), errors)
    validate_annotations(meta.get("annotations"), path.child("annotations"), errors)
    spec, where = template.get("spec") or {}, path.child("spec")
    validate_pod_spec(spec, where, errors)
    if spec.get("ephemeralContainers"):
        text = "ephemeral containers not allowed in pod template"
        errors.forbidden(where.child("ephemeralContainers"), text)


def validate_pod_spec(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    volumes = validate_volumes(spec.get("volumes") or [], path.child("volumes"), errors)
    validate_ephemeral_volumes(spec.get("volumes") or [], path.child("volumes"), errors)
    validate_containers(spec, volumes, path, errors)
    if resources := spec.get("resources"):
        validate_resources(resources, path.child("resources"), errors)
    policy = path.child("restartPolicy")
    check_enum(spec.get("restartPolicy"), POLICIES, policy, errors)
    _validate_dns(spec, path, errors)
    validate_labels(spec.get("nodeSelector"), path.child("nodeSelector"), errors)
    validate_pod_security(spec, path, errors)
    validate_placement(spec, path, errors)
    _validate_names(spec, path, errors)
    deadline = spec.get("activeDeadlineSeconds")
    check_range(deadline, 1, MAX_INT32, path.child("activeDeadlineSeconds"), errors)
    _validate_host_aliases(spec, path.child("hostAliases"), errors)
    _validate_gates(spec, path, errors)
    validate_pod_claims(spec, path, errors)
    if spec.get("os") is not None:
        _validate_os(spec["os"], path.child("os"), errors)


def _validate_os(os: Obj, path: FieldPath, errors: FieldErrors) -> None:
    if not os.get("name"):
        errors.required(path.child("name"), "cannot be empty")
    elif os["name"] not in SYSTEMS:
        errors.not_supported(path, os["name"], SYSTEMS)


def _validate_dns(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_enum(spec.get("dnsPolicy"), DNS_POLICIES, path.child("dnsPolicy"), errors)
    config, where = spec.get("dnsConfig"), path.child("dnsConfig")
    if spec.get("dnsPolicy") == "None" and config is None:
        text = "must provide `dnsConfig` when `dnsPolicy` is None"
        errors.required(where, text)
        return
    servers = (config or {}).get("nameservers") or []
    if spec.get("dnsPolicy") == "None" and not servers:
        text = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        errors.required(where.child("nameservers"), text)
    if len(servers) > MAX_NAMESERVERS:
        text = f"must not have more than {MAX_NAMESERVERS} nameservers"
        errors.invalid(where.child("nameservers"), servers, text)
    for index, server in enumerate(servers):
        check_ip(server, where.child("nameservers").index(index), errors)
    searches = (config or {}).get("searches") or []
    if len(searches) > MAX_SEARCH:
        text = f"must not have more than {MAX_SEARCH} search paths"
        errors.invalid(where.child("searches"), searches, text)


def _validate_names(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    for field in SUBDOMAIN_FIELDS:
        check_rule(spec.get(field), is_dns1123_subdomain, path.child(field), errors)
    for field in LABEL_FIELDS:
        check_rule(spec.get(field), is_dns1123_label, path.child(field), errors)
    for index, secret in enumerate(spec.get("imagePullSecrets") or ()):
        where = path.child("imagePullSecrets").index(index)
        check_required(secret, ("name",), where, errors)
    policy, where = spec.get("preemptionPolicy"), path.child("preemptionPolicy")
    check_enum(policy, ("Never", "PreemptLowerPriority"), where, errors, required=False)


def _validate_host_aliases(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        where = path.index(index)
        check_ip(alias.get("ip") or "", where.child("ip"), errors)
        for number, name in enumerate(alias.get("hostnames") or ()):
            check_rule(name, is_dns1123_subdomain, where.child("hostnames").index(number), errors)


def _validate_gates(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        where = path.child("readinessGates").index(index).child("conditionType")
        check_rule(gate.get("conditionType"), is_qualified_name, where, errors)
    seen: set[str] = set()
    for index, gate in enumerate(spec.get("schedulingGates") or ()):
        where, name = path.child("schedulingGates").index(index), gate.get("name") or ""
        for problem in is_qualified_name(name):
            errors.invalid(where, name, problem)
        if name in seen:
            errors.duplicate(where, name)
        seen.add(name)
