"""Built-in kinds served in another version than the one they are stored in.

``Between`` is the Conversion (edgek/kinds/kind.py) of two shapes that a pair of functions tells
apart; ``renamed`` makes such functions where fields only have other names.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgek.api.meta import Obj
from edgek.kinds.kind import Kind

Shape = Callable[[Obj], Obj]
"""Given a shared object, one of the other shape; the version is set afterwards."""


def same(obj: Obj) -> Obj:
    return obj


@dataclass(frozen=True, kw_only=True, eq=False)
class Between:
    """``stored`` and ``served`` are apiVersions; what is stored is always of the first."""

    stored: str
    served: str
    serving: Shape = same
    storing: Shape = same

    async def serve(self, objs: Sequence[Obj]) -> Sequence[Obj]:
        return [{**self.serving(obj), "apiVersion": self.served} for obj in objs]

    async def store(self, obj: Obj) -> Obj:
        return {**self.storing(obj), "apiVersion": self.stored}


def renamed(names: Mapping[str, str]) -> Shape:
    """Top-level fields under their new names, in the order they came."""

    def rename(obj: Obj) -> Obj:
        return {names.get(field, field): value for field, value in obj.items()}

    return rename


def each_once(kinds: Iterable[Kind]) -> list[Kind]:
    """One kind for all versions of the same objects: the stored one, or else the first."""
    found: dict[str, Kind] = {}
    for kind in kinds:
        known = found.get(kind.storage_prefix)
        if known is None or (known.conversion is not None and kind.conversion is None):
            found[kind.storage_prefix] = kind
    return list(found.values())
