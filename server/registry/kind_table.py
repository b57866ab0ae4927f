"""Which kinds are served: found by group, version and plural.

Built-in kinds are there from the start and in their order; those of CustomResourceDefinitions come
and go (server/registry/definitions.py) and follow behind, each group's best version first.
"""

import re
from collections.abc import Iterable, Sequence

from edgek.kinds.kind import Kind

_VERSION = re.compile(r"v([0-9]+)(?:(alpha|beta)([0-9]+))?")
_Path = tuple[str, str, str]


class KindTable:
    """``version`` grows with each change: what was derived at one holds while it stays."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._by_path: dict[_Path, Kind] = {}
        self._all: tuple[Kind, ...] | None = None
        self.version = 0
        for kind in kinds:
            self.add(kind)

    def add(self, kind: Kind) -> None:
        self._by_path[_path(kind)] = kind
        self._changed()

    def remove(self, kind: Kind) -> None:
        self._by_path.pop(_path(kind), None)
        self._changed()

    def _changed(self) -> None:
        self._all = None
        self.version += 1

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        return self._by_path.get((group, version, plural))

    def all(self) -> Sequence[Kind]:
        if self._all is None:
            kinds = self._by_path.values()
            custom = sorted((k for k in kinds if k.custom), key=_custom_order)
            self._all = (*(k for k in kinds if not k.custom), *custom)
        return self._all


def _path(kind: Kind) -> _Path:
    return kind.group, kind.version, kind.plural


def _custom_order(kind: Kind) -> tuple[object, ...]:
    return kind.group, version_order(kind.version), kind.plural


def version_order(version: str) -> tuple[object, ...]:
    """Sorts the best first, as apimachinery version.CompareKubeAwareVersionStrings: v2 v1 v2beta1
    v1beta1 v1alpha1, then all others by the alphabet."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return 1, 0, 0, 0, version
    major, stage, minor = found.groups()
    ripeness = {None: 0, "beta": 1, "alpha": 2}[stage]
    return 0, ripeness, -int(major), -int(minor or 0), ""
