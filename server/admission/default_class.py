"""Which class is the default one: that with the annotation; of several, the newest.

As GetDefaultClass of storageclass/setdefault and defaultingressclass.
"""

from collections.abc import Sequence

from edgek.api.meta import annotations, name
from edgek.kinds.kind import Kind
from server.request.reader import Reader


class DefaultClasses:
    """Looked for again only when a class has changed."""

    def __init__(self, reader: Reader, kind: Kind, marks: Sequence[str]) -> None:
        self._reader = reader
        self._kind = kind
        self._marks = marks
        self._freshness = reader.freshness(kind)
        self._name = ""

    def name(self) -> str:
        """The default class, or ""."""
        if self._freshness.stale:
            self._name = self._find()
            self._freshness.stale = False
        return self._name

    def _find(self) -> str:
        marked = [
            (c["metadata"].get("creationTimestamp") or "", name(c))
            for c in self._reader.list(self._kind)
            if any(annotations(c).get(mark) == "true" for mark in self._marks)
        ]
        newest = max((created for created, _ in marked), default="")
        return min((of for created, of in marked if created == newest), default="")
