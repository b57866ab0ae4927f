"""A Reader over a plain dict, for tests and tools; as strict as the real one about kinds."""

from collections.abc import Iterable, Sequence

from edgek.api.meta import Key, Obj, key_of
from edgek.kinds.kind import Kind
from server.request.reader import Freshness


class FakeReader:
    def __init__(self, *objs: tuple[Kind, Obj]) -> None:
        self._objs: dict[Kind, dict[Key, Obj]] = {}
        self._followers: list[tuple[Sequence[Kind], Freshness]] = []
        for kind, obj in objs:
            self.put(kind, obj)

    def put(self, kind: Kind, obj: Obj) -> None:
        self._objs.setdefault(kind, {})[key_of(obj)] = obj
        self._tell(kind)

    def remove(self, kind: Kind, key: Key) -> None:
        del self._objs[kind][key]
        self._tell(kind)

    def get(self, kind: Kind, key: Key) -> Obj | None:
        return self._objs.get(kind, {}).get(key)

    def list(self, kind: Kind, namespace: str = "") -> Iterable[Obj]:
        found = self._objs.get(kind, {}).items()
        return [obj for key, obj in found if namespace in ("", key.namespace)]

    def indexed(self, kind: Kind, path: str, value: str) -> Iterable[Obj]:
        return [obj for obj in self.list(kind) if kind.read_field(obj, path) == value]

    def freshness(self, *kinds: Kind) -> Freshness:
        found = Freshness()
        self._followers.append((kinds, found))
        return found

    def _tell(self, kind: Kind) -> None:
        for kinds, freshness in self._followers:
            if kind in kinds:
                freshness.spoil()
