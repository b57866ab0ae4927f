"""Which objects belong to a controller: by owner reference, and by selector where none is set.

As pkg/controller/controller_ref_manager.go. An object whose controller is the owner is kept
while the selector matches it and released when it no longer does; an object without a
controller that the selector matches is adopted, after the owner was seen alive at the server
(a cache may show an owner that is deleted already, and adopting for a ghost would strand it).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edgek.api.errors import Conflict, Invalid, NotFound
from edgek.api.meta import (
    Key,
    Obj,
    controller_of,
    get_path,
    is_deleting,
    key_of,
    labels,
    namespace,
    owner_reference,
    owner_references,
    resource_version,
    uid,
)
from edgek.api.selectors import Selector, from_label_selector, from_match_labels
from edgek.client.client import Client
from edgek.control.informer import OWNER, Informer
from edgek.kinds import REPLICATION_CONTROLLER
from edgek.kinds.kind import Kind
from server.controllers.garbage_plan import without_finalizer

ORPHANS = "orphans"
"""The index of objects without a controller, by namespace."""


@dataclass(frozen=True, kw_only=True)
class Claims:
    """``keep`` is owned already; ``adopt`` and ``release`` need a write each."""

    keep: list[Obj]
    adopt: list[Obj]
    release: list[Obj]


def any_object(obj: Obj) -> bool:
    return True


def plan_claims(
    owner: Obj,
    selector: Selector,
    candidates: Iterable[Obj],
    *,
    fits: Callable[[Obj], bool] = any_object,
) -> Claims:
    """Pure; an owner that is being deleted neither adopts nor releases. Only what ``fits`` is
    the owner's, whatever its labels."""
    keep: list[Obj] = []
    adopt: list[Obj] = []
    release: list[Obj] = []
    for obj in candidates:
        ref = controller_of(obj)
        matches = selector.matches(labels(obj)) and fits(obj)
        if ref is not None and ref.get("uid") == uid(owner):
            if matches:
                keep.append(obj)
            elif not is_deleting(owner):
                release.append(obj)
        elif ref is None and matches and not is_deleting(owner) and not is_deleting(obj):
            adopt.append(obj)
    return Claims(keep=keep, adopt=adopt, release=release)


def selector_of(owner: Obj) -> Selector:
    """spec.selector, as workloads have it: a plain map in a ReplicationController."""
    selector = get_path(owner, "spec", "selector")
    if owner.get("kind") == REPLICATION_CONTROLLER.kind:
        return from_match_labels(selector or {})
    return from_label_selector(selector)


def _always(owner: Obj) -> bool:
    return True


def adopters(
    owners: Informer, *, wants: Callable[[Obj], bool] = _always
) -> Callable[[Obj], Iterable[Key]]:
    """For a watch: an orphan might be any matching owner's; the first one to look adopts it.
    Owners that want none are passed over before their selectors are read."""

    def keys(obj: Obj) -> Iterable[Key]:
        if controller_of(obj) is not None:
            return ()
        found = filter(wants, owners.list(namespace(obj)))
        return [key_of(o) for o in found if selector_of(o).matches(labels(obj))]

    return keys


def still_there(old: Obj | None, new: Obj | None) -> bool:
    """For a watch: what is gone can not be adopted."""
    return new is not None


def index_orphans(informer: Informer) -> None:
    """Makes ``claim`` cost work by what is owned or orphaned, not by what the namespace holds."""
    informer.add_index(ORPHANS, lambda o: () if controller_of(o) else (namespace(o),))


def candidates(informer: Informer, owner: Obj) -> list[Obj]:
    owned = informer.by_index(OWNER, uid(owner))
    return owned + informer.by_index(ORPHANS, namespace(owner))


async def claim(
    client: Client,
    kinds: tuple[Kind, Kind],
    informer: Informer,
    owner: Obj,
    selector: Selector,
    *,
    finalizer: str = "",
    fits: Callable[[Obj], bool] = any_object,
) -> list[Obj]:
    """The owner's objects after adopting and releasing; ``kinds`` are owner's and object's. A
    ``finalizer`` comes with adoption and goes with release."""
    owner_kind, kind = kinds
    plan = plan_claims(owner, selector, candidates(informer, owner), fits=fits)
    claimed = list(plan.keep)
    if plan.adopt and await _is_alive(client, owner_kind, owner):
        for obj in plan.adopt:
            meta: Obj = {"ownerReferences": [*owner_references(obj), owner_reference(owner)]}
            if finalizer:
                meta["finalizers"] = [*without_finalizer(obj, finalizer), finalizer]
            if (adopted := await _set_meta(client, kind, obj, meta)) is not None:
                claimed.append(adopted)
    for obj in plan.release:
        refs = [r for r in owner_references(obj) if r.get("uid") != uid(owner)]
        left = {"finalizers": without_finalizer(obj, finalizer)} if finalizer else {}
        await _set_meta(client, kind, obj, {"ownerReferences": refs, **left})
    return claimed


async def _is_alive(client: Client, kind: Kind, owner: Obj) -> bool:
    try:
        fresh = await client.get(kind, key_of(owner))
    except NotFound:
        return False
    return uid(fresh) == uid(owner) and not is_deleting(fresh)


async def _set_meta(client: Client, kind: Kind, obj: Obj, meta: Obj) -> Obj | None:
    """None where the object is gone, or another one under its name. Raises other Conflicts."""
    meta = {**meta, "uid": uid(obj), "resourceVersion": resource_version(obj)}
    try:
        return await client.patch(kind, key_of(obj), {"metadata": meta})
    except (NotFound, Invalid):
        return None
    except Conflict:
        if uid(await client.get(kind, key_of(obj))) == uid(obj):
            raise
        return None
