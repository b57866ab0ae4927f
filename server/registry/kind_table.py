"""Which kinds are served: found by group, version and plural."""

from collections.abc import Iterable, Sequence

from edgek.kinds.kind import Kind


class KindTable:
    """Built-in kinds at first; CustomResourceDefinitions add and remove theirs."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._by_path: dict[tuple[str, str, str], Kind] = {}
        for kind in kinds:
            self.add(kind)

    def add(self, kind: Kind) -> None:
        self._by_path[kind.group, kind.version, kind.plural] = kind

    def remove(self, kind: Kind) -> None:
        self._by_path.pop((kind.group, kind.version, kind.plural), None)

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        return self._by_path.get((group, version, plural))

    def all(self) -> Sequence[Kind]:
        return tuple(self._by_path.values())
