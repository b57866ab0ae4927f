"""What a reconciler watches, as values: which change of which object queues which keys.

``ForKind`` queues the object itself, ``OwnedBy`` its controller, ``Mapped`` whatever a function
names, ``Reads`` nothing. No reconciler ever sees the change: it gets keys, and looks.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from edgek.api.meta import Key, Obj, controller_of, key_of, namespace
from edgek.kinds.kind import Kind

When = Callable[[Obj | None, Obj | None], bool]


def always(old: Obj | None, new: Obj | None) -> bool:
    return True


class Watch(Protocol):
    """A source of keys: changes of a kind (narrowed by selectors), as ``keys(old, new)``."""

    @property
    def kind(self) -> Kind: ...
    @property
    def label_selector(self) -> str: ...
    @property
    def field_selector(self) -> str: ...
    def keys(self, old: Obj | None, new: Obj | None) -> Iterable[Key]: ...


@dataclass(frozen=True)
class ForKind:
    """Each change of an object queues the object itself, if ``when(old, new)`` holds."""

    kind: Kind
    when: When = field(default=always, kw_only=True)
    label_selector: str = field(default="", kw_only=True)
    field_selector: str = field(default="", kw_only=True)

    def keys(self, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        obj = new or old
        return (key_of(obj),) if obj is not None and self.when(old, new) else ()


@dataclass(frozen=True)
class OwnedBy:
    """Each change of an object queues its controller, if that is an ``owner``; the old one too,
    where the controller changed."""

    kind: Kind
    owner: Kind = field(kw_only=True)
    when: When = field(default=always, kw_only=True)
    label_selector: str = field(default="", kw_only=True)
    field_selector: str = field(default="", kw_only=True)

    def keys(self, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if not self.when(old, new):
            return ()
        found = (owner_key(obj, self.owner) for obj in (old, new) if obj is not None)
        return dict.fromkeys(key for key in found if key is not None)


@dataclass(frozen=True)
class Mapped:
    """Each change of an object queues the keys ``fn`` names, for its old and its new form."""

    kind: Kind
    fn: Callable[[Obj], Iterable[Key]]
    when: When = field(default=always, kw_only=True)
    label_selector: str = field(default="", kw_only=True)
    field_selector: str = field(default="", kw_only=True)

    def keys(self, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if not self.when(old, new):
            return ()
        return dict.fromkeys(k for obj in (old, new) if obj is not None for k in self.fn(obj))


@dataclass(frozen=True)
class Reads:
    """Queues nothing: the reconciler reads the kind and wants its cache full before it runs."""

    kind: Kind
    label_selector: str = field(default="", kw_only=True)
    field_selector: str = field(default="", kw_only=True)

    def keys(self, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        return ()


def owner_key(obj: Obj, owner: Kind) -> Key | None:
    """The key of the object's controller if it is of kind ``owner`` (of whatever version)."""
    ref = controller_of(obj)
    if ref is None or ref.get("kind") != owner.kind:
        return None
    group = ref.get("apiVersion", "").rpartition("/")[0]
    if group != owner.group:
        return None
    return Key(namespace(obj) if owner.namespaced else "", ref["name"])
