"""Validation of containers (upstream: validateContainers, validateInitContainers)."""

from collections.abc import Mapping

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_label
from edgek.kinds.checks import (
    PROTOCOLS,
    check_enum,
    check_path,
    check_port_name,
    check_range,
    check_required,
    check_rule,
)
from edgek.kinds.environment_validation import validate_env, validate_env_from
from edgek.kinds.ephemeral_containers import validate_ephemeral
from edgek.kinds.pods import is_sidecar
from edgek.kinds.probe_validation import validate_lifecycle, validate_probes
from edgek.kinds.resource_validation import validate_resources
from edgek.kinds.restart_validation import validate_restarts
from edgek.kinds.security_validation import validate_security_context

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MESSAGE_POLICIES = ("FallbackToLogsOnError", "File")
NOT_FOR_INIT = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
PORT_BOUNDS = (1, 65535)
RESIZABLE = ("cpu", "memory")
RESIZE_POLICIES = ("NotRequired", "RestartContainer")


def validate_containers(
    spec: Obj, volumes: Mapping[str, Obj], path: FieldPath, errors: FieldErrors
) -> None:
    """All lists of containers of a pod; names are unique across them."""
    names: set[str] = set()
    if not spec.get("containers"):
        errors.required(path.child("containers"))
    for field in ("containers", "initContainers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(field) or ()):
            where = path.child(field).index(index)
            _validate_name(container, names, where, errors)
            _validate_container(container, volumes, where, errors)
            if field == "initContainers":
                _validate_init(container, where, errors)
            _validate_resize_policies(container, spec, where.child("resizePolicy"), errors)
    own = {c.get("name") for f in ("containers", "initContainers") for c in spec.get(f) or ()}
    for index, container in enumerate(spec.get("ephemeralContainers") or ()):
        where = path.child("ephemeralContainers").index(index)
        validate_ephemeral(container, own, where, errors)
    for field in ("containers", "initContainers"):
        _validate_host_ports(spec, field, path.child(field), errors)


def _validate_name(container: Obj, names: set[str], path: FieldPath, errors: FieldErrors) -> None:
    check_required(container, ("name",), path, errors)
    name = container.get("name") or ""
    check_rule(name, is_dns1123_label, path.child("name"), errors)
    if name in names:
        errors.duplicate(path.child("name"), name)
    names.add(name)


def _validate_container(
    container: Obj, volumes: Mapping[str, Obj], path: FieldPath, errors: FieldErrors
) -> None:
    _validate_image(container, path, errors)
    check_enum(
        container.get("imagePullPolicy"), PULL_POLICIES, path.child("imagePullPolicy"), errors
    )
    policy = path.child("terminationMessagePolicy")
    check_enum(container.get("terminationMessagePolicy"), MESSAGE_POLICIES, policy, errors)
    validate_restarts(container, path, errors)
    _validate_ports(container.get("ports") or [], path.child("ports"), errors)
    validate_env(container.get("env") or [], path.child("env"), errors)
    validate_env_from(container.get("envFrom") or [], path.child("envFrom"), errors)
    _validate_mounts(container, volumes, path, errors)
    _validate_devices(container, volumes, path, errors)
    validate_probes(container, path, errors)
    validate_lifecycle(container.get("lifecycle") or {}, path.child("lifecycle"), errors)
    validate_resources(container.get("resources") or {}, path.child("resources"), errors)
    context = container.get("securityContext") or {}
    validate_security_context(context, path.child("securityContext"), errors)


def _validate_image(container: Obj, path: FieldPath, errors: FieldErrors) -> None:
    image = container.get("image") or ""
    if not image:
        errors.required(path.child("image"))
    elif image != image.strip():
        text = "must not have leading or trailing whitespace"
        errors.invalid(path.child("image"), image, text)


def _validate_init(container: Obj, path: FieldPath, errors: FieldErrors) -> None:
    if is_sidecar(container):
        return
    for field in NOT_FOR_INIT:
        if container.get(field) is not None:
            text = "may not be set for init containers without restartPolicy=Always"
            errors.forbidden(path.child(field), text)


def _validate_resize_policies(
    container: Obj, spec: Obj, path: FieldPath, errors: FieldErrors
) -> None:
    seen: set[str] = set()
    for index, policy in enumerate(container.get("resizePolicy") or ()):
        resource, restart = policy.get("resourceName") or "", policy.get("restartPolicy") or ""
        if resource in seen:
            errors.duplicate(path.index(index), resource)
        seen.add(resource)
        check_enum(resource, RESIZABLE, path, errors)
        check_enum(restart, RESIZE_POLICIES, path, errors)
        if spec.get("restartPolicy") == "Never" and restart != "NotRequired":
            text = "must be 'NotRequired' when `restartPolicy` is 'Never'"
            errors.invalid(path, restart, text)


def _validate_ports(ports: list[Obj], path: FieldPath, errors: FieldErrors) -> None:
    names: set[str] = set()
    for index, port in enumerate(ports):
        where = path.index(index)
        if name := port.get("name"):
            check_port_name(name, where.child("name"), errors)
            if name in names:
                errors.duplicate(where.child("name"), name)
            names.add(name)
        if not port.get("containerPort"):
            errors.required(where.child("containerPort"))
        else:
            check_range(port["containerPort"], *PORT_BOUNDS, where.child("containerPort"), errors)
        if port.get("hostPort"):
            check_range(port["hostPort"], *PORT_BOUNDS, where.child("hostPort"), errors)
        check_enum(port.get("protocol"), PROTOCOLS, where.child("protocol"), errors)


def _validate_host_ports(spec: Obj, field: str, path: FieldPath, errors: FieldErrors) -> None:
    """On the host's network both numbers are one; and no host port is asked for twice."""
    taken: set[tuple[object, ...]] = set()
    for number, container in enumerate(spec.get(field) or ()):
        for index, port in enumerate(container.get("ports") or ()):
            where, host = path.index(number).child("ports").index(index), port.get("hostPort")
            # A template may leave it out: its pods are given it as a default.
            if spec.get("hostNetwork") and host and host != port.get("containerPort"):
                text = "must match `hostPort` when `hostNetwork` is true"
                errors.invalid(where.child("containerPort"), port.get("containerPort"), text)
            key = (port.get("protocol"), port.get("hostIP") or "", host)
            if host and key in taken:
                errors.duplicate(where.child("hostPort"), "/".join(str(part) for part in key))
            taken.add(key)


def _validate_mounts(
    container: Obj, volumes: Mapping[str, Obj], path: FieldPath, errors: FieldErrors
) -> None:
    seen: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        where = path.child("volumeMounts").index(index)
        check_required(mount, ("name",), where, errors)
        if mount.get("name") and mount["name"] not in volumes:
            errors.not_found(where.child("name"), mount["name"])
        target = mount.get("mountPath") or ""
        if not target:
            errors.required(where.child("mountPath"))
        if target in seen:
            errors.invalid(where.child("mountPath"), target, "must be unique")
        seen.add(target)
        _validate_sub_path(mount, where, errors)


def _validate_sub_path(mount: Obj, path: FieldPath, errors: FieldErrors) -> None:
    for field in ("subPath", "subPathExpr"):
        if mount.get(field):
            check_path(mount[field], path.child(field), errors)
    if mount.get("subPath") and mount.get("subPathExpr"):
        text = "subPathExpr and subPath are mutually exclusive"
        errors.invalid(path.child("subPathExpr"), mount["subPathExpr"], text)
    propagation, where = mount.get("mountPropagation"), path.child("mountPropagation")
    allowed = ("Bidirectional", "HostToContainer", "None")
    check_enum(propagation, allowed, where, errors, required=False)


def _validate_devices(
    container: Obj, volumes: Mapping[str, Obj], path: FieldPath, errors: FieldErrors
) -> None:
    for index, device in enumerate(container.get("volumeDevices") or ()):
        where = path.child("volumeDevices").index(index)
        check_required(device, ("name", "devicePath"), where, errors)
        if device.get("name") and device["name"] not in volumes:
            errors.not_found(where.child("name"), device["name"])
