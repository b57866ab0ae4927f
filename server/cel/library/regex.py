"""Regular expressions in Go's syntax, in linear time: find and findAll (apiserver
pkg/cel/library/regex.go); ``matches`` of the standard library uses the same engine.

The engine is RE2, because Python's own takes exponential time on hostile patterns.
"""

from typing import Any

from edgek.schema.patterns import BadPattern, compiled
from server.cel.cost import Meter
from server.cel.errors import CelError
from server.cel.overload import Overload, overload


def engine(pattern: str) -> Any:
    """Raises CelError for what is no pattern."""
    try:
        return compiled(pattern)
    except BadPattern as error:
        raise CelError(str(error)) from None


def _found(meter: Meter, text: str, pattern: str) -> Any:
    meter.spend(1 + len(text) * max(len(pattern), 1) // 40)
    return engine(pattern)


def _find(meter: Meter, text: str, pattern: str) -> str:
    match = _found(meter, text, pattern).search(text)
    return match.group() if match is not None else ""


def _find_all(meter: Meter, text: str, pattern: str, limit: int = -1) -> list[str]:
    found: list[str] = []
    for match in _found(meter, text, pattern).finditer(text):
        if len(found) == limit:
            break
        meter.spend()
        found.append(match.group())
    return found


OVERLOADS: tuple[Overload, ...] = (
    overload("string.find(string) -> string", _find, metered=True),
    overload("string.findAll(string) -> list<string>", _find_all, metered=True),
    overload("string.findAll(string, int) -> list<string>", _find_all, metered=True),
)
