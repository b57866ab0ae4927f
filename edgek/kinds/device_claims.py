"""What a claim for devices asks: requests, constraints, settings (upstream: validateDeviceClaim).

Shared by ResourceClaims and their templates.
"""

from functools import partial

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_subdomain
from edgek.kinds.device_checks import (
    MAX_CONFIGS,
    MAX_SELECTORS,
    check_config,
    check_fully_qualified,
    check_items,
    check_label_name,
    check_selector,
    check_toleration,
    check_unique,
)
from edgek.kinds.strategy import set_default

MAX_REQUESTS = 32
MAX_CONSTRAINTS = 32
MAX_ALTERNATIVES = 8
MAX_TOLERATIONS = 16
MODES = ("All", "ExactCount")
_ONE_KIND = "exactly one of `exactly` or `firstAvailable` is required"
_ONE_ATTRIBUTE = 'exactly one of "matchAttribute" or "distinctAttribute" is required'
_NO_REQUEST = (
    "must be the name of a request in the claim or the name of a request and a subrequest "
    "separated by '/'"
)


def default_claim(spec: Obj) -> None:
    """One device of each request, where nothing else is said."""
    for request in (spec.get("devices") or {}).get("requests") or ():
        if (exactly := request.get("exactly")) is not None:
            _default_request(exactly)
        for alternative in request.get("firstAvailable") or ():
            _default_request(alternative)


def _default_request(request: Obj) -> None:
    set_default(request, "allocationMode", "ExactCount")
    if request["allocationMode"] == "ExactCount" and not request.get("count"):
        request["count"] = 1
    for toleration in request.get("tolerations") or ():
        set_default(toleration, "operator", "Equal")


def request_names(spec: Obj) -> set[str]:
    """``gpu`` and, where it has alternatives, ``gpu/small``."""
    found: set[str] = set()
    for request in (spec.get("devices") or {}).get("requests") or ():
        name = request.get("name") or ""
        alternatives = request.get("firstAvailable") or ()
        found |= {name, *(f"{name}/{a.get('name') or ''}" for a in alternatives)}
    return found


def validate_claim_devices(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    devices, where = spec.get("devices") or {}, path.child("devices")
    names = request_names(spec)
    requests = devices.get("requests") or []
    check_items(requests, MAX_REQUESTS, _validate_request, where.child("requests"), errors)
    check_unique((r.get("name") for r in requests), where.child("requests"), errors)
    constraint = partial(_validate_constraint, names)
    check_items(
        devices.get("constraints"), MAX_CONSTRAINTS, constraint, where.child("constraints"), errors
    )
    config = partial(_validate_config, names)
    check_items(devices.get("config"), MAX_CONFIGS, config, where.child("config"), errors)


def _validate_request(request: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_label_name(request.get("name"), path.child("name"), errors)
    exactly, alternatives = request.get("exactly"), request.get("firstAvailable") or []
    if exactly is not None and alternatives:
        errors.invalid(path, None, f"{_ONE_KIND}, but multiple fields are set")
    elif exactly is not None:
        _validate_device(exactly, path.child("exactly"), errors)
    elif alternatives:
        where = path.child("firstAvailable")
        check_items(alternatives, MAX_ALTERNATIVES, _validate_alternative, where, errors)
        check_unique((a.get("name") for a in alternatives), where, errors)
    else:
        errors.required(path, _ONE_KIND)


def _validate_alternative(request: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_label_name(request.get("name"), path.child("name"), errors)
    _validate_device(request, path, errors)


def _validate_device(request: Obj, path: FieldPath, errors: FieldErrors) -> None:
    name = request.get("deviceClassName") or ""
    if not name:
        errors.required(path.child("deviceClassName"))
    else:
        for problem in is_dns1123_subdomain(name):
            errors.invalid(path.child("deviceClassName"), name, problem)
    selectors = path.child("selectors")
    check_items(request.get("selectors"), MAX_SELECTORS, check_selector, selectors, errors)
    _validate_count(request, path, errors)
    tolerations = path.child("tolerations")
    check_items(request.get("tolerations"), MAX_TOLERATIONS, check_toleration, tolerations, errors)


def _validate_count(request: Obj, path: FieldPath, errors: FieldErrors) -> None:
    mode, count = request.get("allocationMode") or "", request.get("count") or 0
    if mode not in MODES:
        errors.not_supported(path.child("allocationMode"), mode, MODES)
    elif mode == "All" and count:
        text = "must not be specified when allocationMode is 'All'"
        errors.invalid(path.child("count"), count, text)
    elif mode == "ExactCount" and count <= 0:
        errors.invalid(path.child("count"), count, "must be greater than zero")


def check_request_name(names: set[str], name: str, path: FieldPath, errors: FieldErrors) -> None:
    """A reference to a request, or to one of its alternatives."""
    parts = name.split("/")
    for part in parts if len(parts) <= 2 else ():
        check_label_name(part, path, errors)
    if name not in names:
        errors.invalid(path, name, _NO_REQUEST)


def check_request_names(
    names: set[str], given: list[str] | None, path: FieldPath, errors: FieldErrors
) -> None:
    check_items(given, MAX_REQUESTS, partial(check_request_name, names), path, errors)
    check_unique(given or (), path, errors)


def _validate_constraint(
    names: set[str], constraint: Obj, path: FieldPath, errors: FieldErrors
) -> None:
    check_request_names(names, constraint.get("requests"), path.child("requests"), errors)
    for field in ("matchAttribute", "distinctAttribute"):
        if constraint.get(field) is not None:
            check_fully_qualified(constraint[field], path.child(field), errors)
            return
    errors.required(path, f"{_ONE_ATTRIBUTE}, but multiple fields are set")  # as upstream says it


def _validate_config(names: set[str], config: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_request_names(names, config.get("requests"), path.child("requests"), errors)
    check_config(config, path, errors)
