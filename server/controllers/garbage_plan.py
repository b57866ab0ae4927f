"""What the garbage collector does with one object, decided from facts that others gathered.

Pure. An object lives as long as one of its owners does; references to owners that are gone, or
that wait in the foreground for their dependents, are dropped while another owner is solid, and
else the object is deleted. As pkg/controller/garbagecollector/garbagecollector.go
attemptToDeleteItem and processDeletingDependentsItem.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from edgek.api.meta import Obj, is_deleting, owner_references, uid

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


@dataclass(frozen=True, kw_only=True)
class Owners:
    """The owner references of an object by the state of what they point to. ``waiting`` owners
    are being deleted in the foreground."""

    solid: Sequence[Obj] = ()
    dangling: Sequence[Obj] = ()
    waiting: Sequence[Obj] = ()


@dataclass(frozen=True, kw_only=True)
class ItemPlan:
    """``references`` replaces the object's owner references, where given; then it is deleted
    with ``delete`` as the propagation policy, where given."""

    references: list[Obj] | None = None
    delete: str = ""


def finalizers(obj: Obj) -> list[str]:
    found: list[str] = obj["metadata"].get("finalizers") or []
    return found


def without_finalizer(obj: Obj, finalizer: str) -> list[str]:
    return [f for f in finalizers(obj) if f != finalizer]


def waits_for_dependents(obj: Obj) -> bool:
    """It is being deleted in the foreground."""
    return is_deleting(obj) and FOREGROUND in finalizers(obj)


def orphans_dependents(obj: Obj) -> bool:
    """It is being deleted, and its dependents are to be let go first."""
    return is_deleting(obj) and ORPHAN in finalizers(obj)


def without_owner(obj: Obj, *owner_uids: str) -> list[Obj]:
    return [ref for ref in owner_references(obj) if ref.get("uid") not in owner_uids]


def blocking(owner: Obj, dependents: Iterable[Obj]) -> list[Obj]:
    """Those that the owner has to outlive."""
    return [
        d
        for d in dependents
        for ref in owner_references(d)
        if ref.get("uid") == uid(owner) and ref.get("blockOwnerDeletion")
    ]


def plan_item(item: Obj, owners: Owners, dependents: Sequence[Obj]) -> ItemPlan:
    if owners.solid:
        gone = [ref["uid"] for ref in (*owners.dangling, *owners.waiting)]
        return ItemPlan(references=without_owner(item, *gone) if gone else None)
    if not (owners.dangling or owners.waiting):
        return ItemPlan()
    if owners.waiting and dependents:
        # Its owner waits for it, and it for its dependents: in a circle, all would wait for ever.
        circle = any(waits_for_dependents(d) for d in dependents)
        return ItemPlan(references=_unblocked(item) if circle else None, delete="Foreground")
    return ItemPlan(delete=_policy(item))


def _policy(item: Obj) -> str:
    """What finalizers put there beforehand ask for."""
    if ORPHAN in finalizers(item):
        return "Orphan"
    return "Foreground" if FOREGROUND in finalizers(item) else "Background"


def _unblocked(item: Obj) -> list[Obj] | None:
    refs = owner_references(item)
    free = [{**r, "blockOwnerDeletion": False} if r.get("blockOwnerDeletion") else r for r in refs]
    return free if free != refs else None


@dataclass(frozen=True, kw_only=True)
class Change:
    """What one change of an object means for the graph: who is to be looked at. ``check`` are
    references that might point to nothing; ``released`` those whose owner lost a dependent."""

    itself: bool = False
    dependents: bool = False
    orphan: bool = False
    check: list[Obj] = field(default_factory=list)
    released: list[Obj] = field(default_factory=list)


def plan_change(old: Obj | None, new: Obj | None) -> Change:
    """Cheap for the changes that do not matter here, which are nearly all."""
    before = owner_references(old) if old is not None else []
    if new is None:
        return Change(dependents=True, released=before)
    after = owner_references(new)
    same = before == after
    waits = waits_for_dependents(new) and not (old is not None and waits_for_dependents(old))
    return Change(
        itself=waits,
        dependents=waits,
        orphan=orphans_dependents(new) and not (old is not None and orphans_dependents(old)),
        check=[] if same else [r for r in after if r not in before],
        released=[] if same else [r for r in before if r not in after],
    )
