"""Reader: the read-only view of stored objects that authn, authz and admission decide by.

The registry implements it over the watch cache, so every answer is current and costs no I/O.
"""

from collections.abc import Iterable
from typing import Protocol

from edgek.api.meta import Key, Obj
from edgek.kinds.kind import Kind


class Reader(Protocol):
    """What is handed out is shared: never mutate it."""

    def get(self, kind: Kind, key: Key) -> Obj | None: ...

    def list(self, kind: Kind, namespace: str = "") -> Iterable[Obj]:
        """All objects of a kind, or of a kind in a namespace; in no particular order."""

    def indexed(self, kind: Kind, path: str, value: str) -> Iterable[Obj]:
        """Objects whose indexed field ``path`` is ``value``; (POD, "spec.nodeName") is indexed."""

    def revision(self, kind: Kind) -> int:
        """Grows with each change of the kind: what was derived at one revision holds while it
        stays the same."""
