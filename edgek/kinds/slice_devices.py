"""Validation of the devices of a ResourceSlice, each by itself (upstream: validateDevice)."""

import re

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.checks import check_quantity
from edgek.kinds.device_checks import (
    check_items,
    check_label_name,
    check_qualified,
    check_taint,
)

MAX_PROPERTIES = 32
MAX_TAINTS = 16
MAX_TEXT = 64
_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
    r"(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?"
)


def validate_device(device: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_label_name(device.get("name"), path.child("name"), errors)
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    total = len(attributes) + len(capacity)
    if total > MAX_PROPERTIES:
        text = f"the total number of attributes and capacities must not exceed {MAX_PROPERTIES}"
        errors.invalid(path, total, text)
    for name, value in attributes.items():
        where = path.child("attributes").key(name)
        check_qualified(name, path.child("attributes"), errors)
        _validate_attribute(value, where, errors)
    for name, amount in capacity.items():
        check_qualified(name, path.child("capacity"), errors)
        where = path.child("capacity").key(name)
        check_quantity(amount.get("value") or "0", where.child("value"), errors)
        if amount.get("requestPolicy") is not None and not device.get("allowMultipleAllocations"):
            errors.forbidden(where.child("requestPolicy"), "allowMultipleAllocations must be true")
    check_items(device.get("taints"), MAX_TAINTS, check_taint, path.child("taints"), errors)
    for index, part in enumerate(device.get("consumesCounters") or ()):
        where = path.child("consumesCounters").index(index)
        check_label_name(part.get("counterSet"), where.child("counterSet"), errors)
        _validate_counter_values(part, where, errors)


def _validate_attribute(attribute: Obj, path: FieldPath, errors: FieldErrors) -> None:
    given = [name for name, value in attribute.items() if value is not None]
    if len(given) != 1:
        errors.invalid(path, attribute if given else "", "exactly one value must be specified")
    for name in ("string", "version"):
        if len(attribute.get(name) or "") > MAX_TEXT:
            errors.too_long(path.child(name), MAX_TEXT)
    version = attribute.get("version")
    if version is not None and not _SEMVER.fullmatch(version):
        text = "must be a string compatible with semver.org spec 2.0.0"
        errors.invalid(path.child("version"), version, text)


def validate_counters(counters: Obj, path: FieldPath, errors: FieldErrors) -> None:
    check_label_name(counters.get("name"), path.child("name"), errors)
    _validate_counter_values(counters, path, errors)


def _validate_counter_values(part: Obj, path: FieldPath, errors: FieldErrors) -> None:
    if not part.get("counters"):
        errors.required(path.child("counters"))
    for name, counter in (part.get("counters") or {}).items():
        where = path.child("counters")
        check_label_name(name, where, errors)
        check_quantity(counter.get("value") or "0", where.key(name).child("value"), errors)
