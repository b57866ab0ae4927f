"""Reader: the read-only view of stored objects that authn, authz and admission decide by.

The registry implements it over the watch cache, so every answer is current and costs no I/O.
"""

from collections.abc import Iterable
from typing import Protocol

from edgek.api.meta import Key, Obj
from edgek.kinds.kind import Kind


class Freshness:
    """Whether what was derived from objects still holds: ``stale`` at first and after each change
    of their kinds, until whoever has derived it anew puts that right."""

    __slots__ = ("stale",)

    def __init__(self) -> None:
        self.stale = True

    def spoil(self, _change: object = None) -> None:
        self.stale = True


class Reader(Protocol):
    """What is handed out is shared: never mutate it."""

    def get(self, kind: Kind, key: Key) -> Obj | None: ...

    def list(self, kind: Kind, namespace: str = "") -> Iterable[Obj]:
        """All objects of a kind, or of a kind in a namespace; in no particular order."""

    def indexed(self, kind: Kind, path: str, value: str) -> Iterable[Obj]:
        """Objects whose indexed field ``path`` is ``value``; (POD, "spec.nodeName") is indexed."""

    def freshness(self, *kinds: Kind) -> Freshness:
        """For what is derived from these kinds. To be asked for once: each request then looks at
        one attribute, however many kinds there are."""
