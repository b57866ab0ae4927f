"""Validation of probes and lifecycle hooks."""

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import check_enum, check_numbers, check_port, check_required

NUMBERS = (
    "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold",
    "failureThreshold",
)  # fmt: skip
HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
ONE_SUCCESS = ("livenessProbe", "startupProbe")


def validate_probes(container: Obj, path: FieldPath, errors: FieldErrors) -> None:
    for field in ("livenessProbe", "readinessProbe", "startupProbe"):
        if (probe := container.get(field)) is not None:
            _validate_probe(field, probe, path.child(field), errors)


def _validate_probe(field: str, probe: Obj, path: FieldPath, errors: FieldErrors) -> None:
    validate_handler(probe, path, errors, allowed=HANDLERS[:4])
    check_numbers(probe, NUMBERS, path, errors)
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and field == "readinessProbe":
        text = "must not be set for readinessProbes"
        errors.invalid(path.child("terminationGracePeriodSeconds"), grace, text)
    elif grace is not None and grace <= 0:
        text = "must be greater than 0"
        errors.invalid(path.child("terminationGracePeriodSeconds"), grace, text)
    if field in ONE_SUCCESS and probe.get("successThreshold", 1) != 1:
        errors.invalid(path.child("successThreshold"), probe["successThreshold"], "must be 1")


def validate_lifecycle(lifecycle: Obj, path: FieldPath, errors: FieldErrors) -> None:
    for hook in ("postStart", "preStop"):
        if (handler := lifecycle.get(hook)) is not None:
            allowed = ("exec", "httpGet", "tcpSocket", "sleep")
            validate_handler(handler, path.child(hook), errors, allowed=allowed)


def validate_handler(
    handler: Obj, path: FieldPath, errors: FieldErrors, *, allowed: tuple[str, ...]
) -> None:
    """Exactly one way of asking."""
    found = [name for name in allowed if handler.get(name) is not None]
    if not found:
        errors.required(path, "must specify a handler type")
    for extra in found[1:]:
        errors.forbidden(path.child(extra), "may not specify more than 1 handler type")
    for name in found[:1]:
        _validate_action(name, handler[name], path.child(name), errors)


def _validate_action(name: str, action: Obj, path: FieldPath, errors: FieldErrors) -> None:
    match name:
        case "exec":
            check_required(action, ("command",), path, errors)
        case "httpGet":
            check_required(action, ("path",), path, errors)
            check_port(action.get("port"), path.child("port"), errors)
            check_enum(action.get("scheme"), ("HTTP", "HTTPS"), path.child("scheme"), errors)
            _validate_headers(action.get("httpHeaders") or [], path.child("httpHeaders"), errors)
        case "tcpSocket" | "grpc":
            check_port(action.get("port"), path.child("port"), errors)


def _validate_headers(headers: list[Obj], path: FieldPath, errors: FieldErrors) -> None:
    for index, header in enumerate(headers):
        name = header.get("name") or ""
        if not name or not all(c.isascii() and (c.isalnum() or c == "-") for c in name):
            text = (
                "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. "
                "'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')"
            )
            errors.invalid(path.index(index).child("name"), name, text)
