"""Validation of Ingresses (upstream: pkg/apis/networking/validation)."""

from edgek.api.meta import Obj, annotations
from edgek.api.validation import (
    FieldErrors,
    FieldPath,
    is_dns1123_label,
    is_dns1123_subdomain,
    is_path_segment,
)
from edgek.kinds.checks import (
    check_ip,
    check_port,
    check_port_name,
    check_required,
    check_rule,
)
from edgek.kinds.network_checks import check_host, is_ip

SPEC = FieldPath("spec")
CLASS_ANNOTATION = "kubernetes.io/ingress.class"
PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
BAD_ENDS = ("/..", "/.")
_NOT_AN_IP = "must be a DNS name, not an IP address"


def validate_ingress(ingress: Obj, errors: FieldErrors) -> None:
    spec = ingress.get("spec") or {}
    rules, backend = spec.get("rules"), spec.get("defaultBackend")
    if not rules and backend is None:
        text = "either `defaultBackend` or `rules` must be specified"
        errors.invalid(SPEC, rules, text)
    if backend is not None:
        _validate_backend(backend, SPEC.child("defaultBackend"), errors)
    for index, rule in enumerate(rules or ()):
        _validate_rule(rule, SPEC.child("rules").index(index), errors)
    for index, tls in enumerate(spec.get("tls") or ()):
        _validate_tls(tls, SPEC.child("tls").index(index), errors)
    _validate_class(ingress, spec, errors)
    _validate_status(ingress.get("status") or {}, errors)


def _validate_class(ingress: Obj, spec: Obj, errors: FieldErrors) -> None:
    name = spec.get("ingressClassName")
    if name is None:
        return
    for problem in is_dns1123_subdomain(name):
        errors.invalid(SPEC.child("ingressClassName"), name, problem)
    # Upstream asks this on create alone; what was made of old annotations stays writable.
    given = annotations(ingress).get(CLASS_ANNOTATION)
    if given is not None and given != name and "resourceVersion" not in ingress["metadata"]:
        text = "must match `ingressClassName` when both are specified"
        errors.invalid(FieldPath("annotations").child(CLASS_ANNOTATION), given, text)


def _validate_tls(tls: Obj, path: FieldPath, errors: FieldErrors) -> None:
    for index, host in enumerate(tls.get("hosts") or ()):
        check_host(host, path.child("hosts").index(index), errors)
    check_rule(tls.get("secretName"), is_dns1123_subdomain, path.child("secretName"), errors)


def _validate_rule(rule: Obj, path: FieldPath, errors: FieldErrors) -> None:
    host = rule.get("host") or ""
    if is_ip(host):
        errors.invalid(path.child("host"), host, _NOT_AN_IP)
    check_host(host, path.child("host"), errors)
    http = rule.get("http")
    if http is None:
        return
    where = path.child("http", "paths")
    if not http.get("paths"):
        errors.required(where)
    for index, entry in enumerate(http.get("paths") or ()):
        _validate_path(entry, where.index(index), errors)


def _validate_path(entry: Obj, path: FieldPath, errors: FieldErrors) -> None:
    kind, text = entry.get("pathType"), entry.get("path") or ""
    if kind is None:
        errors.required(path.child("pathType"), "pathType must be specified")
        return
    if kind not in PATH_TYPES:
        errors.not_supported(path.child("pathType"), kind, PATH_TYPES)
    elif kind == "ImplementationSpecific":
        if text and not text.startswith("/"):
            errors.invalid(path.child("path"), text, "must be an absolute path")
    else:
        _validate_exact_path(text, path.child("path"), errors)
    _validate_backend(entry.get("backend") or {}, path.child("backend"), errors)


def _validate_exact_path(text: str, path: FieldPath, errors: FieldErrors) -> None:
    if not text.startswith("/"):
        errors.invalid(path, text, "must be an absolute path")
    for bad in BAD_SEQUENCES:
        if bad in text:
            errors.invalid(path, text, f"must not contain '{bad}'")
    for bad in BAD_ENDS:
        if text.endswith(bad):
            errors.invalid(path, text, f"cannot end with '{bad}'")


def _validate_backend(backend: Obj, path: FieldPath, errors: FieldErrors) -> None:
    resource, service = backend.get("resource"), backend.get("service")
    if resource is not None and service is not None:
        errors.invalid(path, "", "cannot set both resource and service backends")
    elif resource is not None:
        validate_local_reference(resource, path.child("resource"), errors)
    elif service is not None:
        _validate_service(service, path, errors)
    else:
        errors.invalid(path, "", "resource or service backend is required")


def _validate_service(service: Obj, path: FieldPath, errors: FieldErrors) -> None:
    where, port = path.child("service"), service.get("port") or {}
    check_required(service, ("name",), where, errors)
    check_rule(service.get("name"), is_dns1123_label, where.child("name"), errors)
    if port.get("name") and port.get("number"):
        errors.invalid(path, "", "cannot set both port name & port number")
    elif port.get("name"):
        check_port_name(port["name"], where.child("port", "name"), errors)
    elif port.get("number"):
        check_port(port["number"], where.child("port", "number"), errors)
    else:
        errors.required(path, "port name or number is required")


def validate_local_reference(ref: Obj, path: FieldPath, errors: FieldErrors) -> None:
    """apiGroup, kind and name of something in the same namespace or of the cluster."""
    if ref.get("apiGroup") is not None:
        for problem in is_dns1123_subdomain(ref["apiGroup"]):
            errors.invalid(path.child("apiGroup"), ref["apiGroup"], problem)
    for field in ("kind", "name"):
        check_required(ref, (field,), path, errors)
        check_rule(ref.get(field), is_path_segment, path.child(field), errors)


def _validate_status(status: Obj, errors: FieldErrors) -> None:
    """As ValidateIngressLoadBalancerStatus."""
    path = FieldPath("status").child("loadBalancer", "ingress")
    for index, given in enumerate((status.get("loadBalancer") or {}).get("ingress") or ()):
        where, name = path.index(index), given.get("hostname") or ""
        if given.get("ip"):
            check_ip(given["ip"], where.child("ip"), errors)
        check_rule(name, is_dns1123_subdomain, where.child("hostname"), errors)
        if is_ip(name):
            errors.invalid(where.child("hostname"), name, _NOT_AN_IP)
