"""APIService: who answers one version of an API group, this server or another behind it.

As kube-aggregator pkg/apis/apiregistration; server/aggregation/ passes requests on.
"""

from typing import Any

from edgek.api.conditions import find_condition
from edgek.api.meta import Obj, get_path
from edgek.api.validation import (
    FieldErrors,
    FieldPath,
    is_dns1035_label,
    is_dns1123_subdomain,
    is_path_segment,
)
from edgek.kinds.api_priority import priority_of
from edgek.kinds.checks import check_rule
from edgek.kinds.kind import AGE, NAME, STATUS, Column, Kind
from edgek.kinds.strategy import keep_status, only_status
from edgek.kinds.webhook_client_config import DEFAULT_PORT, check_service_port

AVAILABLE = "Available"
LOCAL_MESSAGE = "Local APIServices are always available"
AUTO_MANAGED = "kube-aggregator.kubernetes.io/automanaged"
ON_START = "onstart"
SPEC = FieldPath("spec")
STATUSES = ("False", "True", "Unknown")


def _default(obj: Obj) -> None:
    service = get_path(obj, "spec", "service")
    if service is not None and service.get("port") is None:
        service["port"] = DEFAULT_PORT


def _prepare(obj: Obj, old: Obj | None) -> None:
    keep_status(obj, old)
    if old is None and get_path(obj, "spec", "service") is None:
        now = obj["metadata"].get("creationTimestamp")
        obj["status"] = {"conditions": [local_condition(now)]}


def local_condition(now: Any) -> Obj:
    """What is answered here is always there."""
    return {
        "type": AVAILABLE,
        "status": "True",
        "lastTransitionTime": now,
        "reason": "Local",
        "message": LOCAL_MESSAGE,
    }


def local_api_service(group: str, version: str, *, managed: str) -> Obj:
    """Of a group-version that the server answers itself. ``managed`` as the label says it:
    ON_START for built-in ones, "true" for those that come and go."""
    priority = priority_of(group, version)
    spec: Obj = {
        "version": version,
        "groupPriorityMinimum": priority.group,
        "versionPriority": priority.version,
    }
    if group:
        spec["group"] = group
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{version}.{group}", "labels": {AUTO_MANAGED: managed}},
        "spec": spec,
    }


def _validate(obj: Obj, errors: FieldErrors) -> None:
    spec = obj.get("spec") or {}
    group, version = spec.get("group") or "", spec.get("version") or ""
    name = obj["metadata"].get("name") or ""
    if name and not is_path_segment(name) and name != f"{version}.{group}":
        why = f'must be `spec.version+"."+spec.group`: "{version}.{group}"'
        errors.invalid(FieldPath("metadata.name"), name, why)
    if not group and version != "v1":
        why = "only v1 may have an empty group and it better be legacy kube"
        errors.required(SPEC.child("group"), why)
    check_rule(group, is_dns1123_subdomain, SPEC.child("group"), errors)
    for problem in is_dns1035_label(version):
        errors.invalid(SPEC.child("version"), version, problem)
    for field, most in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
        given = spec.get(field) or 0
        if not 0 < given <= most:
            errors.invalid(SPEC.child(field), given, f"must be positive and less than {most}")
    _check_service(spec, errors)
    for index, condition in enumerate(get_path(obj, "status", "conditions", default=())):
        path = FieldPath("status.conditions").index(index).child("status")
        if condition.get("status") not in STATUSES:
            errors.not_supported(path, condition.get("status") or "", STATUSES)


def _check_service(spec: Obj, errors: FieldErrors) -> None:
    service, bundle = spec.get("service"), spec.get("caBundle")
    insecure, insecure_path = spec.get("insecureSkipTLSVerify"), SPEC.child("insecureSkipTLSVerify")
    if service is None:
        if bundle:
            why = "local APIServices may not have a caBundle"
            errors.invalid(SPEC.child("caBundle"), f"{_decoded_size(bundle)} bytes", why)
        if insecure:
            why = "local APIServices may not have insecureSkipTLSVerify"
            errors.invalid(insecure_path, insecure, why)
        return
    path = SPEC.child("service")
    for field in ("namespace", "name"):
        if not service.get(field):
            errors.required(path.child(field))
    check_service_port(service.get("port"), path.child("port"), errors)
    if insecure and bundle:
        errors.invalid(insecure_path, insecure, "may not be true if caBundle is present")


def _decoded_size(text: str) -> int:
    return len(text) * 3 // 4 - text[-2:].count("=")


def is_local(obj: Obj) -> bool:
    return get_path(obj, "spec", "service") is None


def available_condition(obj: Obj) -> Obj | None:
    return find_condition(get_path(obj, "status", "conditions"), AVAILABLE)


def _service(obj: Obj) -> str:
    if is_local(obj):
        return "Local"
    service = obj["spec"]["service"]
    return f"{service.get('namespace')}/{service.get('name')}"


def _available(obj: Obj) -> str:
    found = available_condition(obj)
    if found is None:
        return "Unknown"
    status, reason = found.get("status") or "", found.get("reason")
    return f"{status} ({reason})" if reason and status != "True" else status


API_SERVICE = Kind(
    group="apiregistration.k8s.io",
    version="v1",
    kind="APIService",
    plural="apiservices",
    categories=("api-extensions",),
    namespaced=False,
    columns=(
        NAME,
        Column(name="Service", read=_service, description="Who answers: a Service, or Local."),
        Column(name="Available", read=_available, description="Whether it answers."),
        AGE,
    ),
    subresources=(STATUS,),
    default=_default,
    prepare=_prepare,
    prepare_status=only_status,
    validate=_validate,
    validate_name=is_path_segment,
    example={
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"namespace": "kube-system", "name": "metrics-server"},
        },
    },
)
