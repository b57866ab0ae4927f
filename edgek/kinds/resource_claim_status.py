"""Validation of a ResourceClaim's status: what was allocated, and for whom.

As validateResourceClaimStatusUpdate.
"""

from functools import partial

from edgek.api.meta import Obj, is_deleting
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import check_required
from edgek.kinds.device_checks import (
    MAX_CONFIGS,
    check_config,
    check_items,
    check_label_name,
    check_pool_name,
    check_unique,
)
from edgek.kinds.device_claims import check_request_name, check_request_names, request_names
from edgek.kinds.metadata import immutable
from edgek.kinds.placement_validation import validate_node_selector
from edgek.kinds.storage_checks import check_driver_name

STATUS = FieldPath("status")
RESERVED = STATUS.child("reservedFor")
ALLOCATION = STATUS.child("allocation")
MAX_CONSUMERS = 256
MAX_RESULTS = 32
SOURCES = ("FromClaim", "FromClass")
_NO_NEW = (
    "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
)


def validate_status(claim: Obj, errors: FieldErrors) -> None:
    status = claim.get("status") or {}
    consumers, allocation = status.get("reservedFor") or [], status.get("allocation")
    check_items(consumers, MAX_CONSUMERS, _validate_consumer, RESERVED, errors)
    check_unique((c.get("uid") for c in consumers), RESERVED, errors)
    _validate_devices(status.get("devices") or [], allocation or {}, errors)
    if consumers and allocation is None:
        errors.forbidden(RESERVED, "may not be specified when `allocated` is not set")
    if allocation is not None:
        _validate_allocation(allocation, request_names(claim.get("spec") or {}), errors)


def validate_status_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    """What is allocated stays until it is given back; nobody comes to a claim that is to go."""
    has, had = new.get("status") or {}, old.get("status") or {}
    if has.get("allocation") is not None and had.get("allocation") is not None:
        immutable(has["allocation"], had["allocation"], ALLOCATION, errors)
    before = had.get("reservedFor") or []
    if is_deleting(new) and any(c not in before for c in has.get("reservedFor") or ()):
        errors.forbidden(RESERVED, _NO_NEW)


def _validate_consumer(ref: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_required(ref, ("resource", "name", "uid"), path, errors)


def _device_id(device: Obj) -> str:
    parts = (device.get("driver"), device.get("pool"), device.get("device"))
    share = f"/{device['shareID']}" if device.get("shareID") else ""
    return "/".join(p or "" for p in parts) + share


def _validate_devices(devices: list[Obj], allocation: Obj, errors: FieldErrors) -> None:
    path = STATUS.child("devices")
    results = (allocation.get("devices") or {}).get("results") or ()
    allocated = {_device_id(result) for result in results}
    for index, device in enumerate(devices):
        if _device_id(device) not in allocated:
            text = "must be an allocated device in the claim"
            errors.invalid(path.index(index), _device_id(device), text)
    check_unique((_device_id(d) for d in devices), path, errors)


def _validate_allocation(allocation: Obj, names: set[str], errors: FieldErrors) -> None:
    devices, path = allocation.get("devices") or {}, ALLOCATION.child("devices")
    result = partial(_validate_result, names)
    check_items(devices.get("results"), MAX_RESULTS, result, path.child("results"), errors)
    config = partial(_validate_config, names)
    check_items(devices.get("config"), 2 * MAX_CONFIGS, config, path.child("config"), errors)
    if (selector := allocation.get("nodeSelector")) is not None:
        validate_node_selector(selector, ALLOCATION.child("nodeSelector"), errors)


def _validate_result(names: set[str], result: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_request_name(names, result.get("request") or "", path.child("request"), errors)
    check_driver_name(result.get("driver"), path.child("driver"), errors)
    check_pool_name(result.get("pool") or "", path.child("pool"), errors)
    check_label_name(result.get("device"), path.child("device"), errors)


def _validate_config(names: set[str], config: Obj, path: FieldPath, errors: FieldErrors) -> None:
    source, where = config.get("source") or "", path.child("source")
    if not source:
        errors.required(where)
    elif source not in SOURCES:
        errors.not_supported(where, source, SOURCES)
    check_request_names(names, config.get("requests"), path.child("requests"), errors)
    check_config(config, path, errors)
