"""Does a function take values of these types, as far as they are known?

The compiler checks what it is told; of what a schema knows it is told scalars only. This is the
same question asked again for the fields of objects: ``self.replicas > 'a'``.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from server.cel.library import LIBRARIES
from server.cel.overload import Overload

DYN = "dyn"
_EQUAL = ("_==_", "_!=_")
_ORDERED = ("_<_", "_<=_", "_>_", "_>=_")
_LOGIC = ("_&&_", "_||_", "!_")
_NUMBERS = ("int", "uint", "double")
_LOOSE = (DYN, "null_type")


@lru_cache(maxsize=1)
def _by_name() -> Mapping[str, Sequence[Overload]]:
    out: dict[str, list[Overload]] = {}
    for overload in LIBRARIES:
        out.setdefault(overload.name, []).append(overload)
    return out


def problem(function: str, types: Sequence[str], *, member: bool) -> str | None:
    """In cel-go's words; None where it fits or not enough is known."""
    bases = [base(t) for t in types]
    if _fits(function, bases):
        return None
    shown = [_spelled(t) for t in types]
    given = f"{shown[0]}.({', '.join(shown[1:])})" if member else f"({', '.join(shown)})"
    return f"found no matching overload for '{function}' applied to '{given}'"


def _fits(function: str, bases: Sequence[str]) -> bool:
    if function in _LOGIC:
        return all(b in ("bool", *_LOOSE) for b in bases)
    if function in _EQUAL or function in _ORDERED:
        left, right = bases
        numbers = function in _ORDERED and left in _NUMBERS and right in _NUMBERS
        return left == right or numbers or left in _LOOSE or right in _LOOSE
    overloads = _by_name().get(function)
    return overloads is None or any(_takes(o, bases) for o in overloads)


def returned(function: str, types: Sequence[str]) -> str:
    """The type of the result where all overloads that fit agree, else dyn."""
    bases = [base(t) for t in types]
    taking = [o for o in _by_name().get(function, ()) if _takes(o, bases)]
    exact = [o for o in taking if all(map(_exact, o.args, types))]
    found = {o.returns for o in exact or taking}
    return found.pop() if len(found) == 1 else DYN


def _exact(wanted: str, given: str) -> bool:
    """``list<int>`` and not just any list."""
    return wanted in (given, DYN) or len(base(wanted)) == 1 or "<" not in given


def _takes(overload: Overload, bases: Sequence[str]) -> bool:
    return len(overload.args) == len(bases) and all(
        wanted == DYN or len(wanted) == 1 or given in (base(wanted), *_LOOSE)
        for wanted, given in zip(overload.args, bases, strict=True)
    )


def base(cel_type: str) -> str:
    """``list`` of ``list<string>``."""
    return cel_type.partition("<")[0]


def _spelled(cel_type: str) -> str:
    return cel_type.replace("<", "(").replace(">", ")").replace("null_type", "null")
