"""Checks that the kinds of resource.k8s.io share (upstream: pkg/apis/resource/validation)."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from edgek.api.meta import Obj
from edgek.api.validation import (
    FieldErrors,
    FieldPath,
    is_dns1123_label,
    is_dns1123_subdomain,
    is_label_value,
    is_qualified_name,
)
from edgek.kinds.storage_checks import check_driver_name

GROUP = "resource.k8s.io"
MAX_CONFIGS = 32
MAX_SELECTORS = 32
MAX_EXPRESSION = 10 * 1024
MAX_PARAMETERS = 10 * 1024
MAX_POOL_NAME = 253
MAX_IDENTIFIER = 32
TAINT_EFFECTS = ("NoExecute", "NoSchedule", "None")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IDENTIFIER_MESSAGE = (
    "a valid C identifier must start with alphabetic character or '_', followed by a string of "
    "alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for "
    "validation is '[A-Za-z_][A-Za-z0-9_]*')"
)

CheckItem = Callable[[Any, FieldPath, FieldErrors], None]


def check_items(
    items: Sequence[Any] | None, limit: int, check: CheckItem, path: FieldPath, errors: FieldErrors
) -> None:
    found = items or []
    if len(found) > limit:
        errors.too_many(path, len(found), limit)
    for index, item in enumerate(found):
        check(item, path.index(index), errors)


def check_unique(keys: Iterable[Any], path: FieldPath, errors: FieldErrors) -> None:
    seen = []
    for index, key in enumerate(keys):
        if key in seen:
            errors.duplicate(path.index(index), key)
        seen.append(key)


def check_label_name(value: str | None, path: FieldPath, errors: FieldErrors) -> None:
    """A DNS label that must be there."""
    for problem in is_dns1123_label(value or ""):
        errors.invalid(path, value or "", problem)


def check_pool_name(name: str, path: FieldPath, errors: FieldErrors) -> None:
    """DNS names, with slashes between."""
    if not name:
        errors.required(path)
        return
    if len(name) > MAX_POOL_NAME:
        errors.too_long(path, MAX_POOL_NAME)
    for part in name.split("/"):
        for problem in is_dns1123_subdomain(part):
            errors.invalid(path, part, problem)


def check_qualified(name: str, path: FieldPath, errors: FieldErrors) -> None:
    """``[driver/]identifier``, the name of an attribute or a capacity."""
    if not name:
        errors.required(path, "name required")
        return
    domain, slash, identifier = name.rpartition("/")
    if slash and not domain:
        errors.required(path, "the domain must not be empty")
    elif slash:
        check_driver_name(domain, path, errors)
    if not identifier:
        errors.required(path, "the name must not be empty")
    elif len(identifier) > MAX_IDENTIFIER:
        errors.too_long(path, MAX_IDENTIFIER)
    elif not _IDENTIFIER.fullmatch(identifier):
        errors.invalid(path, identifier, _IDENTIFIER_MESSAGE)


def check_fully_qualified(name: str, path: FieldPath, errors: FieldErrors) -> None:
    check_qualified(name, path, errors)
    if "/" not in name:
        errors.invalid(path, name, "must include a domain")


def check_selector(selector: Obj, path: FieldPath, errors: FieldErrors) -> None:
    """A CEL expression, which whoever allocates devices compiles."""
    cel, where = selector.get("cel"), path.child("cel")
    if cel is None:
        errors.required(where)
    elif not cel.get("expression"):
        errors.required(where.child("expression"))
    elif len(cel["expression"]) > MAX_EXPRESSION:
        errors.too_long(where.child("expression"), MAX_EXPRESSION)


def check_config(config: Obj, path: FieldPath, errors: FieldErrors) -> None:
    opaque, where = config.get("opaque"), path.child("opaque")
    if opaque is None:
        errors.required(where)
        return
    check_driver_name(opaque.get("driver"), where.child("driver"), errors)
    _check_parameters(opaque.get("parameters"), where.child("parameters"), errors)


def _check_parameters(parameters: Any, path: FieldPath, errors: FieldErrors) -> None:
    if parameters is None:
        errors.required(path)
    elif not isinstance(parameters, dict):
        errors.invalid(path, "<value omitted>", "must be a valid JSON object")
    elif len(orjson.dumps(parameters)) > MAX_PARAMETERS:
        errors.too_long(path, MAX_PARAMETERS)


def check_taint(taint: Obj, path: FieldPath, errors: FieldErrors) -> None:
    key, effect = taint.get("key") or "", taint.get("effect") or ""
    for problem in is_qualified_name(key):
        errors.invalid(path.child("key"), key, problem)
    for problem in is_label_value(taint.get("value") or ""):
        errors.invalid(path.child("value"), taint["value"], problem)
    if not effect:
        errors.required(path.child("effect"))
    elif effect not in TAINT_EFFECTS:
        errors.not_supported(path.child("effect"), effect, TAINT_EFFECTS)


def check_toleration(toleration: Obj, path: FieldPath, errors: FieldErrors) -> None:
    if key := toleration.get("key"):
        for problem in is_qualified_name(key):
            errors.invalid(path.child("key"), key, problem)
    value = toleration.get("value") or ""
    match toleration.get("operator") or "":
        case "Exists":
            if value:
                errors.invalid(path.child("value"), value, "must be empty for operator `Exists`")
        case "Equal":
            for problem in is_label_value(value):
                errors.invalid(path.child("value"), value, problem)
        case "":
            errors.required(path.child("operator"))
        case other:
            errors.not_supported(path.child("operator"), other, ("Equal", "Exists"))
    if (effect := toleration.get("effect")) and effect not in TAINT_EFFECTS:
        errors.not_supported(path.child("effect"), effect, TAINT_EFFECTS)
