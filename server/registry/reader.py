"""The Reader over the store, and typed shortcuts for those who only look."""

from collections.abc import Iterable

from edgek.api.meta import Key, Obj
from edgek.kinds.kind import Kind
from server.request.reader import Freshness
from server.storage.store import Name, Store


class StoreReader:
    """Implements server.request.reader.Reader."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, kind: Kind, key: Key) -> Obj | None:
        entry = self._store.get(Name(kind.storage_prefix, key.namespace, key.name))
        obj: Obj | None = entry.shared() if entry is not None else None
        return obj

    def list(self, kind: Kind, namespace: str = "") -> Iterable[Obj]:
        return (e.shared() for e in self._store.entries(kind.storage_prefix, namespace))

    def indexed(self, kind: Kind, path: str, value: str) -> Iterable[Obj]:
        return (e.shared() for e in self._store.indexed(kind.storage_prefix, path, value))

    def freshness(self, *kinds: Kind) -> Freshness:
        found = Freshness()
        for kind in kinds:
            self._store.follow(kind.storage_prefix, found.spoil)
        return found
