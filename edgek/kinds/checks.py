"""Small checks that the validations of all kinds are made of, with upstream's sentences."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from fractions import Fraction
from typing import Any

from edgek.api.quantity import parse_quantity
from edgek.api.validation import (
    PORT_NAME,
    FieldErrors,
    FieldPath,
    is_label_value,
    is_qualified_name,
    validate_labels,
)

NOT_NEGATIVE = "must be greater than or equal to 0"
PORT_RANGE = "must be between 1 and 65535, inclusive"
MAX_INT32 = 2**31 - 1
PROTOCOLS = ("SCTP", "TCP", "UDP")
SELECTOR_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def check_enum(
    value: Any,
    allowed: Iterable[str],
    path: FieldPath,
    errors: FieldErrors,
    *,
    required: bool = True,
) -> None:
    if value in (None, ""):
        if required:
            errors.required(path)
    elif value not in allowed:
        errors.not_supported(path, value, allowed)


def check_required(
    obj: Mapping[str, Any], fields: Iterable[str], path: FieldPath, errors: FieldErrors
) -> None:
    for field in fields:
        if obj.get(field) in (None, "", [], {}):
            errors.required(path.child(field))


def check_rule(
    value: Any, rule: Callable[[str], list[str]], path: FieldPath, errors: FieldErrors
) -> None:
    """Nothing for an empty value; use ``check_required`` for that."""
    if value:
        for problem in rule(value):
            errors.invalid(path, value, problem)


def check_not_negative(value: Any, path: FieldPath, errors: FieldErrors) -> None:
    if value is not None and value < 0:
        errors.invalid(path, value, NOT_NEGATIVE)


def check_numbers(
    obj: Mapping[str, Any], fields: Iterable[str], path: FieldPath, errors: FieldErrors
) -> None:
    """Each of those fields, where given, is not negative."""
    for field in fields:
        check_not_negative(obj.get(field), path.child(field), errors)


def check_range(value: Any, least: int, most: int, path: FieldPath, errors: FieldErrors) -> None:
    if value is not None and not least <= value <= most:
        errors.invalid(path, value, f"must be between {least} and {most}, inclusive")


def is_valid_port_name(name: str) -> list[str]:
    """IANA_SVC_NAME, the form of a port's name."""
    out = []
    if len(name) > 15:
        out.append("must be no more than 15 bytes")
    if not PORT_NAME.fullmatch(name):
        out.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not any("a" <= c <= "z" for c in name):
        out.append("must contain at least one letter (a-z)")
    if "--" in name:
        out.append("must not contain consecutive hyphens")
    if name.startswith("-") or name.endswith("-"):
        out.append("must not begin or end with a hyphen")
    return out


def repeated(values: Iterable[Hashable]) -> frozenset[int]:
    """The indexes of values that have come before, found in one pass: lists in objects may be
    long, and to look back from each entry would take minutes."""
    seen: set[Hashable] = set()
    found = set()
    for index, value in enumerate(values):
        if value in seen:
            found.add(index)
        seen.add(value)
    return frozenset(found)


def check_port(value: Any, path: FieldPath, errors: FieldErrors) -> None:
    """A port's number, or a container port's name."""
    if isinstance(value, str):
        check_port_name(value, path, errors)
    elif not isinstance(value, int) or not 1 <= value <= 65535:
        errors.invalid(path, value or 0, PORT_RANGE)


def check_port_name(value: str, path: FieldPath, errors: FieldErrors) -> None:
    for problem in is_valid_port_name(value):
        errors.invalid(path, value, problem)


def check_ip(value: Any, path: FieldPath, errors: FieldErrors) -> None:
    import ipaddress

    try:
        ipaddress.ip_address(value)
    except ValueError:
        errors.invalid(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")


def check_quantity(value: Any, path: FieldPath, errors: FieldErrors) -> Fraction | None:
    """The amount, or None where it is no quantity or a negative one."""
    try:
        amount = parse_quantity(value)
    except (ValueError, TypeError) as problem:
        errors.invalid(path, value, str(problem))
        return None
    if amount < 0:
        errors.invalid(path, value, NOT_NEGATIVE)
        return None
    return amount


def check_path(value: str, path: FieldPath, errors: FieldErrors) -> None:
    """A relative path that stays below where it starts."""
    if value.startswith("/"):
        errors.invalid(path, value, "must be a relative path")
    check_no_backsteps(value, path, errors)


def check_no_backsteps(value: str, path: FieldPath, errors: FieldErrors) -> None:
    if ".." in value.split("/"):
        errors.invalid(path, value, "must not contain '..'")


def check_label_selector(
    selector: Mapping[str, Any] | None, path: FieldPath, errors: FieldErrors
) -> None:
    """A metav1.LabelSelector (As ValidateLabelSelector)."""
    for key, value in ((selector or {}).get("matchLabels") or {}).items():
        check_label(key, value, path.child("matchLabels"), errors)
    for index, term in enumerate((selector or {}).get("matchExpressions") or ()):
        _check_expression(term, path.child("matchExpressions").index(index), errors)


def check_label(key: str, value: str, path: FieldPath, errors: FieldErrors) -> None:
    validate_labels({key: value}, path, errors)


def _check_expression(term: Mapping[str, Any], path: FieldPath, errors: FieldErrors) -> None:
    check_operator(term, SELECTOR_OPERATORS, path, errors)
    for problem in is_qualified_name(term.get("key") or ""):
        errors.invalid(path.child("key"), term.get("key") or "", problem)
    for index, value in enumerate(term.get("values") or ()):
        check_rule(value, is_label_value, path.child("values").index(index), errors)


def check_operator(
    term: Mapping[str, Any], operators: Collection[str], path: FieldPath, errors: FieldErrors
) -> None:
    """The operator of a selector's term, and whether it is one that takes values."""
    check_operator_values(term, path, errors)
    operator = term.get("operator") or ""
    if operator not in operators:
        errors.invalid(path.child("operator"), operator, "not a valid selector operator")


def check_operator_values(term: Mapping[str, Any], path: FieldPath, errors: FieldErrors) -> None:
    """Whether a selector's term has values where its operator takes some; of an operator that is
    not known here nothing is said."""
    values = term.get("values") or []
    match term.get("operator"):
        case "In" | "NotIn" if not values:
            text = "must be specified when `operator` is 'In' or 'NotIn'"
            errors.required(path.child("values"), text)
        case "Exists" | "DoesNotExist" if values:
            text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            errors.forbidden(path.child("values"), text)
