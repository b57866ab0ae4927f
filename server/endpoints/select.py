"""Selectors of a list or watch, as one predicate and the narrowest place to look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgek.api.meta import Key, Obj
from edgek.api.selectors import FieldSelector, Selector
from edgek.kinds.kind import Kind
from server.endpoints.query import field_selector, label_selector
from server.registry.registry import Registry
from server.storage.store import Entry, Store

INDEXED = {"pods": ("spec.nodeName",)}
"""Field paths the store indexes, by plural: lists and watches by them cost what they return."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    kind: Kind
    namespace: str
    labels: Selector
    fields: FieldSelector

    @classmethod
    def of(cls, kind: Kind, namespace: str, query: Mapping[str, str]) -> "Selection":
        fields = field_selector(query, kind)
        return cls(kind=kind, namespace=namespace, labels=label_selector(query), fields=fields)

    def __bool__(self) -> bool:
        return bool(self.labels or self.fields)

    def matches(self, obj: Obj) -> bool:
        return self.labels.matches(obj["metadata"].get("labels")) and self.fields.matches(
            obj, self.kind.read_field
        )

    @property
    def index(self) -> tuple[str, str] | None:
        """The (path, value) of an indexed field that the selector pins."""
        for path in INDEXED.get(self.kind.plural, ()) if not self.kind.group else ():
            if (value := self.fields.exact(path)) is not None:
                return path, value
        return None

    def hold(self, store: Store) -> None:
        """For a reader in this process that keeps what it is given: the store then holds the same
        objects, where each would have its own."""
        if not self.kind.lean:
            store.keep_decoded(self.kind.storage_prefix)

    async def entries(self, registry: Registry) -> Sequence[Entry]:
        """What matches now, in order; "now" is before the first wait."""
        found = await registry.served(self.kind, self.candidates(registry))
        return [e for e in found if self.matches(e.shared())] if self else found

    def candidates(self, registry: Registry) -> Sequence[Entry]:
        """All that can match now, as it is stored, in order."""
        name = self.fields.exact("metadata.name")
        if name is not None and (self.namespace or not self.kind.namespaced):
            one = registry.find(self.kind, Key(self.namespace, name))
            return [one] if one else []
        if (index := self.index) is not None:
            found = registry.store.indexed(self.kind.storage_prefix, *index)
            return sorted(
                (e for e in found if not self.namespace or e.namespace == self.namespace),
                key=lambda e: (e.namespace, e.name),
            )
        return registry.entries(self.kind, self.namespace)
