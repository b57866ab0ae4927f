"""Quantities: quantity('1.5Gi'), arithmetic and comparison (apiserver pkg/cel/library/quantity.go).

Division rounds as Go's QuoRound: to so many decimal places, away from zero from a half on.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from edgek.api.quantity import parse_quantity
from server.cel.errors import CelError
from server.cel.overload import Overload, overload
from server.cel.values import INT_MAX, INT_MIN, Opaque

Q = "kubernetes.Quantity"
_LARGEST = 10**60
_PLACES = 4


@dataclass(frozen=True, kw_only=True)
class Quantity(Opaque):
    """Equal by amount."""

    type_name: ClassVar[str] = Q
    amount: Fraction


def _bounded(amount: Fraction) -> Quantity:
    """Chained multiplications must not grow without end."""
    if abs(amount) > _LARGEST or amount.denominator > _LARGEST:
        raise CelError("quantity out of range")
    return Quantity(amount=amount)


def parse(text: str) -> Quantity:
    try:
        return _bounded(parse_quantity(text))
    except ValueError as error:
        raise CelError(str(error)) from None


def _is_quantity(text: str) -> bool:
    try:
        parse(text)
    except CelError:
        return False
    return True


def _is_integer(quantity: Quantity) -> bool:
    return quantity.amount.denominator == 1 and INT_MIN <= quantity.amount <= INT_MAX


def _as_integer(quantity: Quantity) -> int:
    if not _is_integer(quantity):
        raise CelError("cannot convert value to integer")
    return int(quantity.amount)


def _compare(a: Quantity, b: Quantity) -> int:
    return (a.amount > b.amount) - (a.amount < b.amount)


def _divide(quantity: Quantity, by: int, places: int = _PLACES) -> Quantity:
    if by == 0:
        raise CelError("division by zero error")
    if not 0 <= places <= 10:
        raise CelError(f"the valid range for roundVal is 0 to 10 but {places} was passed")
    scaled = quantity.amount / by * 10**places
    rounded = int(abs(scaled) + Fraction(1, 2))
    return _bounded(Fraction(rounded if scaled >= 0 else -rounded, 10**places))


def _divide_whole(quantity: Quantity, by: int) -> Quantity:
    if by == 0:
        raise CelError("division by zero error")
    return _bounded(Fraction(int(quantity.amount / by)))


OVERLOADS: tuple[Overload, ...] = (
    overload(f"quantity(string) -> {Q}", parse),
    overload("isQuantity(string) -> bool", _is_quantity),
    overload(f"{Q}.isInteger() -> bool", _is_integer),
    overload(f"{Q}.asInteger() -> int", _as_integer),
    overload(f"{Q}.asApproximateFloat() -> double", lambda q: float(q.amount)),
    overload(f"sign({Q}) -> int", lambda q: (q.amount > 0) - (q.amount < 0)),
    overload(f"{Q}.sign() -> int", lambda q: (q.amount > 0) - (q.amount < 0)),
    overload(f"{Q}.isGreaterThan({Q}) -> bool", lambda a, b: a.amount > b.amount),
    overload(f"{Q}.isLessThan({Q}) -> bool", lambda a, b: a.amount < b.amount),
    overload(f"{Q}.compareTo({Q}) -> int", _compare),
    overload(f"{Q}.add({Q}) -> {Q}", lambda a, b: _bounded(a.amount + b.amount)),
    overload(f"{Q}.add(int) -> {Q}", lambda a, b: _bounded(a.amount + b)),
    overload(f"{Q}.sub({Q}) -> {Q}", lambda a, b: _bounded(a.amount - b.amount)),
    overload(f"{Q}.sub(int) -> {Q}", lambda a, b: _bounded(a.amount - b)),
    overload(f"{Q}.mul(int) -> {Q}", lambda a, b: _bounded(a.amount * b)),
    overload(f"{Q}.div(int) -> {Q}", _divide),
    overload(f"{Q}.div(int, int) -> {Q}", _divide),
    overload(f"{Q}.divInt(int) -> {Q}", _divide_whole),
)
