"""Validation of what a Job does about failed and succeeded pods: podFailurePolicy, successPolicy.

As pkg/apis/batch/validation; ``spec`` is a JobSpec, of a Job or of a CronJob's template.
"""

from collections.abc import Iterable
from typing import Any

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath, is_qualified_name
from edgek.kinds.checks import check_not_negative, repeated
from edgek.kinds.job_indexes import count_indexes, parse_indexes

MAX_RULES = 20
MAX_PATTERNS = 20
MAX_EXIT_CODES = 255
MAX_INDEXES_LENGTH = 64 * 1024
ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
STATUSES = ("False", "True", "Unknown")
OPERATORS = ("In", "NotIn")


def validate_failure_policy(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    rules = (spec.get("podFailurePolicy") or {}).get("rules") or []
    where = path.child("rules")
    if len(rules) > MAX_RULES:
        errors.too_many(where, len(rules), MAX_RULES)
    pod = (spec.get("template") or {}).get("spec") or {}
    names = {c.get("name") for f in ("containers", "initContainers") for c in pod.get(f) or ()}
    for index, rule in enumerate(rules):
        _validate_rule(spec, rule, names, where.index(index), errors)


def _validate_rule(
    spec: Obj, rule: Obj, names: set[Any], path: FieldPath, errors: FieldErrors
) -> None:
    action, where = rule.get("action"), path.child("action")
    if action == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
        errors.invalid(where, action, "requires the backoffLimitPerIndex to be set")
    _check_choice(action, ACTIONS, where, errors)
    codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or []
    if codes is not None:
        _validate_exit_codes(codes, names, path.child("onExitCodes"), errors)
    if conditions:
        _validate_patterns(conditions, path.child("onPodConditions"), errors)
    if codes is not None and conditions:
        text = "specifying both OnExitCodes and OnPodConditions is not supported"
        errors.invalid_unshown(path, text)
    if codes is None and not conditions:
        text = "specifying one of OnExitCodes and OnPodConditions is required"
        errors.invalid_unshown(path, text)


def _check_choice(value: Any, choices: Iterable[str], path: FieldPath, errors: FieldErrors) -> None:
    """As check_enum, but telling the choices where there is no value, as Go prints a list."""
    if not value:
        shown = " ".join(f'"{choice}"' for choice in choices)
        errors.required(path, f"valid values: [{shown}]")
    elif value not in choices:
        errors.not_supported(path, value, choices)


def _validate_patterns(patterns: list[Obj], path: FieldPath, errors: FieldErrors) -> None:
    if len(patterns) > MAX_PATTERNS:
        errors.too_many(path, len(patterns), MAX_PATTERNS)
    for index, pattern in enumerate(patterns):
        where = path.index(index)
        for problem in is_qualified_name(pattern.get("type") or ""):
            errors.invalid(where.child("type"), pattern.get("type") or "", problem)
        _check_choice(pattern.get("status"), STATUSES, where.child("status"), errors)


def _validate_exit_codes(codes: Obj, names: set[Any], path: FieldPath, errors: FieldErrors) -> None:
    operator, name = codes.get("operator"), codes.get("containerName")
    _check_choice(operator, OPERATORS, path.child("operator"), errors)
    if name is not None and name not in names:
        text = "must be one of the container or initContainer names in the pod template"
        errors.invalid(path.child("containerName"), name, text)
    values, where = codes.get("values") or [], path.child("values")
    if not values:
        errors.invalid(where, values, "at least one value is required")
    elif len(values) > MAX_EXIT_CODES:
        errors.too_many(where, len(values), MAX_EXIT_CODES)
    again = repeated(values)
    for index, value in enumerate(values):
        if operator == "In" and value == 0:
            errors.invalid(where.index(index), value, "must not be 0 for the In operator")
        if index in again:
            errors.duplicate(where.index(index), value)
    if values != sorted(values):
        errors.invalid(where, values, "must be ordered")


def validate_success_policy(spec: Obj, path: FieldPath, errors: FieldErrors) -> None:
    if spec.get("completionMode") != "Indexed":
        errors.invalid(path, spec["successPolicy"], "requires indexed completion mode")
        return
    rules, where = spec["successPolicy"].get("rules") or [], path.child("rules")
    if not rules:
        text = "at least one rules must be specified when the successPolicy is specified"
        errors.required(where, text)
    if len(rules) > MAX_RULES:
        errors.too_many(where, len(rules), MAX_RULES)
    for index, rule in enumerate(rules):
        _validate_success_rule(rule, spec.get("completions") or 0, where.index(index), errors)


def _validate_success_rule(
    rule: Obj, completions: int, path: FieldPath, errors: FieldErrors
) -> None:
    count, indexes = rule.get("succeededCount"), rule.get("succeededIndexes")
    if count is None and indexes is None:
        text = "at least one of succeededCount or succeededIndexes must be specified"
        errors.required(path, text)
    named = 0
    if indexes is not None:
        named = _validate_indexes(indexes, completions, path.child("succeededIndexes"), errors)
    if count is None:
        return
    where = path.child("succeededCount")
    check_not_negative(count, where, errors)
    if count > completions:
        text = f"must be less than or equal to {completions} (the number of specified completions)"
        errors.invalid(where, count, text)
    if indexes is not None and count > named:
        text = (
            f"must be less than or equal to {named} (the number of indexes in the specified "
            "succeededIndexes field)"
        )
        errors.invalid(where, count, text)


def _validate_indexes(text: str, completions: int, path: FieldPath, errors: FieldErrors) -> int:
    """How many there are; 0 where they cannot be read."""
    if len(text) > MAX_INDEXES_LENGTH:
        errors.too_long(path, MAX_INDEXES_LENGTH)
    try:
        return count_indexes(parse_indexes(text, completions))
    except ValueError as problem:
        errors.invalid(path, text, f"error parsing succeededIndexes: {problem}")
        return 0
