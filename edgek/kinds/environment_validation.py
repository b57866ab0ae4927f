"""Validation of a container's environment (upstream: ValidateEnv, ValidateEnvFrom)."""

import re

from edgek.api.meta import Obj
from edgek.api.validation import ENV_VAR_NAME, FieldErrors, FieldPath, is_dns1123_subdomain
from edgek.kinds.checks import check_quantity, check_required, check_rule
from edgek.kinds.data import is_config_map_key

SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
ENV_FIELDS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
    "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
VOLUME_FIELDS = (
    "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace",
    "metadata.uid",
)  # fmt: skip
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_RESOURCE = re.compile(
    r"(limits|requests)\.(cpu|memory|ephemeral-storage|hugepages-[0-9]+[KMGTPE]i?)"
)
_RESOURCES = tuple(
    f"{which}.{name}"
    for which in ("limits", "requests")
    for name in ("cpu", "ephemeral-storage", "memory")
)


def is_env_name(name: str) -> list[str]:
    """Any printable ASCII without ``=`` (relaxed since 1.34)."""
    if ENV_VAR_NAME.fullmatch(name) and name.isascii():
        return []
    text = "a valid environment variable name must consist only of printable ASCII characters"
    return [f"{text} other than '='"]


def validate_env(env: list[Obj], path: FieldPath, errors: FieldErrors) -> None:
    for index, variable in enumerate(env):
        where = path.index(index)
        check_required(variable, ("name",), where, errors)
        check_rule(variable.get("name"), is_env_name, where.child("name"), errors)
        if (source := variable.get("valueFrom")) is not None:
            _validate_source(variable, source, where.child("valueFrom"), errors)


def _validate_source(variable: Obj, source: Obj, path: FieldPath, errors: FieldErrors) -> None:
    found = [name for name in SOURCES if source.get(name) is not None]
    if not found:
        names = ", ".join(f"`{s}`" for s in SOURCES[:-1])
        errors.invalid(path, "", f"must specify one of: {names} or `{SOURCES[-1]}`")
    elif variable.get("value"):
        errors.invalid(path, "", "may not be specified when `value` is not empty")
    elif len(found) > 1:
        errors.invalid(path, "", "may not have more than one field specified at a time")
    for name in found:
        _validate_reference(name, source[name], path.child(name), errors)


def _validate_reference(name: str, ref: Obj, path: FieldPath, errors: FieldErrors) -> None:
    match name:
        case "fieldRef":
            validate_field_ref(ref, ENV_FIELDS, path, errors)
        case "resourceFieldRef":
            validate_resource_ref(ref, path, errors)
        case "configMapKeyRef" | "secretKeyRef":
            check_required(ref, ("key",), path, errors)
            check_rule(ref.get("key"), is_config_map_key, path.child("key"), errors)
        case "fileKeyRef":
            check_required(ref, ("key", "volumeName", "path"), path, errors)


def validate_field_ref(
    ref: Obj, allowed: tuple[str, ...], path: FieldPath, errors: FieldErrors
) -> None:
    check_required(ref, ("apiVersion", "fieldPath"), path, errors)
    field = ref.get("fieldPath")
    if not field or _SUBSCRIPT.fullmatch(field) or field in allowed:
        return
    where = path.child("fieldPath")
    if field in (*ENV_FIELDS, *VOLUME_FIELDS):
        errors.not_supported(where, field, allowed)
    else:
        text = f"error converting fieldPath: field label not supported: {field}"
        errors.invalid(where, field, text)


def validate_resource_ref(
    ref: Obj, path: FieldPath, errors: FieldErrors, *, volume: bool = False
) -> None:
    if volume:
        check_required(ref, ("containerName",), path, errors)
    check_required(ref, ("resource",), path, errors)
    resource = ref.get("resource")
    if resource and not _RESOURCE.fullmatch(resource):
        errors.not_supported(path.child("resource"), resource, _RESOURCES)
    check_quantity(ref.get("divisor") or "0", path.child("divisor"), errors)


def validate_env_from(sources: list[Obj], path: FieldPath, errors: FieldErrors) -> None:
    for index, source in enumerate(sources):
        where = path.index(index)
        check_rule(source.get("prefix"), is_env_name, where.child("prefix"), errors)
        found = [n for n in ("configMapRef", "secretRef") if source.get(n) is not None]
        if not found:
            errors.invalid(where, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(found) > 1:
            errors.invalid(where, "", "may not have more than one field specified at a time")
        for name in found:
            named = where.child(name)
            check_required(source[name], ("name",), named, errors)
            check_rule(source[name].get("name"), is_dns1123_subdomain, named.child("name"), errors)
