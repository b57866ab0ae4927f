"""Resource quantities: "500m", "1Gi", "2e3" (apimachinery pkg/api/resource).

A parsed quantity is an exact ``Fraction`` of the base unit; canonical text keeps the suffix
family the user wrote (decimal, binary or exponent).
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_PATTERN = re.compile(
    r"([+-]?)([0-9]+\.?[0-9]*|\.[0-9]+)(?:([eE][+-]?[0-9]{1,3})|([KMGTPE]i|[numkMGTPE]?))"
)
_NANO = 10**9
_MESSAGE = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)


def _power(base: int, exponent: int) -> Fraction:
    """Exact also for negative exponents, which int ** would make a float."""
    return Fraction(base**exponent) if exponent >= 0 else Fraction(1, base**-exponent)


def _parts(text: str | int | float) -> tuple[str, str, str, str]:
    """Sign, digits, exponent and suffix; of the last two at most one is not empty."""
    match = _PATTERN.fullmatch(str(text)) if len(str(text)) <= 64 else None
    if match is None:
        raise ValueError(_MESSAGE)
    sign, digits, exponent, suffix = match.groups(default="")
    return sign, digits, exponent, suffix


@lru_cache(maxsize=4096, typed=True)
def parse_quantity(text: str | int | float) -> Fraction:
    """The amount in base units (cores, bytes). Raises ValueError with upstream's sentence."""
    sign, digits, exponent, suffix = _parts(text)
    number: Fraction = Fraction(digits) * (-1 if sign == "-" else 1)
    if exponent:
        return number * _power(10, int(exponent[1:]))
    if suffix in _BINARY:
        return number * _power(1024, _BINARY[suffix])
    return number * _power(10, _DECIMAL[suffix])


def milli(text: str | int | float) -> int:
    """Thousandths, rounded up: how cpu is counted."""
    return -(-parse_quantity(text) * 1000 // 1)


def value(text: str | int | float) -> int:
    """Whole units, rounded up: how memory, storage and counts are counted."""
    return -(-parse_quantity(text) // 1)


def format_quantity(amount: Fraction | int, *, binary: bool = False) -> str:
    """Canonical text: the largest suffix that leaves no fraction, nano at least.

    As CanonicalizeBytes: binary suffixes are for whole units from 1024 on; whatever is finer
    than a nano (or, in binary, than a unit) is rounded away from zero.
    """
    amount = Fraction(amount)
    if binary and abs(amount) >= 1024:
        return _largest(_round_up(amount, 1), [(Fraction(1024**p), s) for s, p in _BINARY.items()])
    steps = [(_power(10, p), s) for s, p in _DECIMAL.items()]
    return _largest(_round_up(amount, _NANO), steps)


def _round_up(amount: Fraction, parts: int) -> Fraction:
    """Away from zero, to whole ``1/parts``."""
    sign = -1 if amount < 0 else 1
    return sign * Fraction(-(-abs(amount) * parts // 1), parts)


def _largest(amount: Fraction, steps: list[tuple[Fraction, str]]) -> str:
    if amount == 0:
        return "0"
    for unit, suffix in sorted(steps, reverse=True):
        if (amount / unit).denominator == 1:
            return f"{amount / unit}{suffix}"
    return str(amount)  # binary only: not a whole Ki


@lru_cache(maxsize=4096, typed=True)
def canonical(text: str | int | float) -> str:
    """The text upstream would answer with: "1000m" becomes "1", "1024Mi" becomes "1Gi"."""
    amount = parse_quantity(text)
    _, _, exponent, suffix = _parts(text)
    if exponent:
        steps = [(_power(10, p), f"e{p}" if p else "") for p in _DECIMAL.values()]
        return _largest(_round_up(amount, _NANO), steps)
    return format_quantity(amount, binary=suffix in _BINARY)


def format_like(amount: Fraction, text: str | int | float) -> str:
    """Canonical text of an amount that came of ``text`` and others: the suffix family is kept."""
    return format_quantity(amount, binary=_parts(text)[3] in _BINARY)


def add_quantities(first: str, second: str, *, sign: int = 1) -> str:
    """As Quantity.Add (or Sub, with ``sign`` -1): in the family of the first that is not zero."""
    amount = parse_quantity(first)
    return format_like(amount + sign * parse_quantity(second), first if amount else second)


def add_resources(*lists: Mapping[str, Any] | None) -> dict[str, Fraction]:
    """The sum of ResourceLists, by resource name, as exact amounts."""
    out: dict[str, Fraction] = {}
    for resources in lists:
        for resource, amount in (resources or {}).items():
            out[resource] = out.get(resource, Fraction(0)) + parse_quantity(amount)
    return out
