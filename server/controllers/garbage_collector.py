"""The garbage collector: what no living owner refers to is deleted.

Keeps no graph of its own: each shared informer has an index by owner uid, so an object's
dependents are a look-up per kind. Deletes dependents whose owners are all gone, holds owners that
are deleted in the foreground until their blocking dependents are gone, and lets dependents go
whose owner is deleted with policy Orphan. Caches only say what is worth a look: whether an owner
is gone is asked of the server, by name and uid, before anything is deleted. As
pkg/controller/garbagecollector. Events are no part of it, as upstream.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from edgek import kinds
from edgek.aio.tasks import Tasks
from edgek.api.errors import Conflict, NotFound
from edgek.api.meta import (
    Key,
    Obj,
    is_deleting,
    key_of,
    namespace,
    owner_references,
    resource_version,
    uid,
)
from edgek.control.controller import Context
from edgek.control.informer import OWNER, Handler, Informer
from edgek.control.workqueue import WorkQueue
from edgek.kinds.conversion import each_once
from edgek.kinds.kind import Kind
from server.controllers.custom_kinds import CustomKinds, keep_for, metadata_only
from server.controllers.garbage_plan import (
    FOREGROUND,
    ORPHAN,
    Owners,
    blocking,
    orphans_dependents,
    plan_change,
    plan_item,
    waits_for_dependents,
    without_finalizer,
    without_owner,
)

log = logging.getLogger(__name__)

WORKERS = 8


class Ref(NamedTuple):
    """One object, this very one: names are used again, uids are not."""

    kind: Kind
    key: Key
    uid: str


def collectable(all_kinds: Iterable[Kind]) -> list[Kind]:
    needs = {"delete", "get", "list", "watch", "patch"}
    return [k for k in each_once(all_kinds) if needs <= set(k.verbs) and k != kinds.EVENT]


class GarbageCollector:
    """A loop of its own, because its keys are of every kind."""

    name = "garbage-collector-controller"

    def __init__(self, context: Context, all_kinds: Sequence[Kind]) -> None:
        self._client = context.client
        self._source = context.events.source(self.name)
        self._context = context
        self._informers = {
            k: context.informers.get(k, keep=keep_for(k)) for k in collectable(all_kinds)
        }
        self._kinds = {(k.group, k.kind): k for k in self._informers}
        self._custom = CustomKinds(context.informers)
        self._ready = False
        self._tasks = Tasks(self.name)
        self.queue: WorkQueue[Ref] = WorkQueue()

    async def run(self) -> None:
        self._custom.follow(added=self._add, removed=self._remove)
        await self._custom.wait_synced()
        for informer in list(self._informers.values()):
            await informer.wait_synced()
        # Only now: with half the caches empty every owner would look gone.
        self._ready = True
        for kind, informer in list(self._informers.items()):
            informer.on_change(self._handler(kind))
        async with self._tasks as tasks:
            for number in range(WORKERS):
                tasks.spawn(self._work(), name=f"worker-{number}")
            await tasks.wait()

    # Custom kinds, which come and go

    def _add(self, kind: Kind) -> None:
        if kind not in collectable((kind,)):
            return
        informer = self._context.informers.get(kind, keep=metadata_only)
        self._informers[kind] = informer
        self._kinds[kind.group, kind.kind] = kind
        if self._ready:
            informer.on_change(self._handler(kind))
            self._tasks.spawn(self._recheck(kind, informer), name=f"recheck-{kind.plural}")

    async def _recheck(self, kind: Kind, informer: Informer) -> None:
        """An owner that came and went before its kind was watched: nobody told of its end."""
        await informer.wait_synced()
        for other, held in tuple(self._informers.items()):
            for obj in held.list():
                if any(self._kind_of(ref) == kind for ref in owner_references(obj)):
                    self.queue.add(_ref(other, obj))

    def _remove(self, kind: Kind) -> None:
        """NB: the name stays known. No object of a kind that is gone can be, so owners of it are
        gone too, and to ask for one says so."""
        self._informers.pop(kind, None)
        self._context.informers.drop(kind)

    # Noticing

    def _handler(self, kind: Kind) -> Handler:
        def changed(old: Obj | None, new: Obj | None) -> None:
            obj = new if new is not None else old
            if obj is None:
                return
            change = plan_change(old, new)
            if change.dependents:
                for other, dependent in self._dependents(uid(obj)):
                    self.queue.add(_ref(other, dependent))
            if change.itself or change.orphan or self._any_missing(kind, obj, change.check):
                self.queue.add(_ref(kind, obj))
            for ref in change.released:
                self._notice_release(obj, ref)

        return changed

    def _dependents(self, owner_uid: str) -> Iterator[tuple[Kind, Obj]]:
        for kind, informer in tuple(self._informers.items()):
            for obj in informer.by_index(OWNER, owner_uid):
                yield kind, obj

    def _kind_of(self, ref: Obj) -> Kind | None:
        """None for kinds we do not serve: such an owner is never taken for gone."""
        group = ref.get("apiVersion", "").rpartition("/")[0]
        return self._kinds.get((group, ref.get("kind", "")))

    def _cached_owner(self, dependent: Obj, ref: Obj) -> tuple[Kind | None, Obj | None]:
        kind = self._kind_of(ref)
        if kind is None:
            return None, None
        informer = self._informers.get(kind)
        found = informer.get(_owner_key(kind, dependent, ref)) if informer is not None else None
        return kind, found if found is not None and uid(found) == ref.get("uid") else None

    def _any_missing(self, kind: Kind, obj: Obj, refs: Iterable[Obj]) -> bool:
        """Also where an owner is going already: its new dependent is to go with it."""
        missing = False
        for ref in refs:
            owner_kind, owner = self._cached_owner(obj, ref)
            if owner_kind is None:
                continue
            if owner is None:
                self._warn_of_namespace(kind, obj, owner_kind, ref)
            missing = missing or owner is None or waits_for_dependents(owner)
        return missing

    def _warn_of_namespace(self, kind: Kind, obj: Obj, owner_kind: Kind, ref: Obj) -> None:
        """An owner in another namespace can not be: the user would wonder why all is deleted."""
        informer = self._informers.get(owner_kind)
        elsewhere = not kind.namespaced or any(
            uid(o) == ref.get("uid") for o in (informer.list() if informer is not None else ())
        )
        if not owner_kind.namespaced or not elsewhere:
            return
        what = (
            f"[{ref.get('apiVersion')}/{ref.get('kind')}, namespace: {namespace(obj)}, "
            f"name: {ref.get('name')}, uid: {ref.get('uid')}]"
        )
        message = f'ownerRef {what} does not exist in namespace "{namespace(obj)}"'
        self._source.warning(obj, "OwnerRefInvalidNamespace", message)

    def _notice_release(self, dependent: Obj, ref: Obj) -> None:
        """An owner that waited for this dependent might have nothing to wait for any more."""
        kind, owner = self._cached_owner(dependent, ref)
        if kind is not None and owner is not None and waits_for_dependents(owner):
            self.queue.add(_ref(kind, owner))

    # Working

    async def _work(self) -> None:
        while True:
            ref = await self.queue.get()
            try:
                if await self._process(ref):
                    self.queue.add_rate_limited(ref)
                else:
                    self.queue.forget(ref)
            except Exception as err:  # the loop outlives any one object
                level = logging.DEBUG if isinstance(err, Conflict) else logging.WARNING
                log.log(
                    level, "collecting failed kind=%s key=%s err=%s", ref.kind.kind, ref.key, err
                )
                self.queue.add_rate_limited(ref)
            finally:
                self.queue.done(ref)

    async def _process(self, ref: Ref) -> bool:
        """Whether to look again, though no change may tell of a reason."""
        try:
            item = await self._client.get(ref.kind, ref.key)
        except NotFound:
            return False
        if uid(item) != ref.uid:
            return False
        if orphans_dependents(item):
            await self._orphan(ref, item)
        elif waits_for_dependents(item):
            await self._hold(ref, item)
        elif owner_references(item) and not is_deleting(item):
            return await self._collect(ref, item)
        return False

    async def _collect(self, ref: Ref, item: Obj) -> bool:
        owners = await self._owners(ref, item)
        dependents = [obj for _, obj in self._dependents(ref.uid)]
        plan = plan_item(item, owners, dependents)
        if plan.references is not None:
            item = await self._patch(ref, item, ownerReferences=plan.references)
        if plan.delete:
            log.debug("collecting kind=%s key=%s policy=%s", ref.kind.kind, ref.key, plan.delete)
            await self._delete(ref, item, plan.delete)
            return False
        return any(self._is_unseen(ref, item, owner) for owner in owners.solid)

    def _is_unseen(self, ref: Ref, item: Obj, reference: Obj) -> bool:
        """An owner that is there, but not in our cache yet: should it go before it gets there,
        as where its kind has just been defined, no change would tell of its end."""
        kind, cached = self._cached_owner(item, reference)
        if kind is None or cached is not None or kind not in self._informers:
            return False
        return ref.kind.namespaced or not kind.namespaced

    async def _owners(self, ref: Ref, item: Obj) -> Owners:
        solid, dangling, waiting = [], [], []
        for reference in owner_references(item):
            owner = await self._live_owner(ref, item, reference)
            if owner is None:
                dangling.append(reference)
            elif waits_for_dependents(owner):
                waiting.append(reference)
            else:
                solid.append(reference)
        return Owners(solid=solid, dangling=dangling, waiting=waiting)

    async def _live_owner(self, ref: Ref, item: Obj, reference: Obj) -> Obj | None:
        """What the server says; the reference itself stands for an owner that can not be asked
        for: of a kind we do not serve, or a namespaced one of a cluster-scoped object."""
        kind = self._kind_of(reference)
        if kind is None or (kind.namespaced and not ref.kind.namespaced):
            return {"metadata": {"name": reference.get("name"), "uid": reference.get("uid")}}
        try:
            found = await self._client.get(kind, _owner_key(kind, item, reference))
        except NotFound:
            return None
        return found if uid(found) == reference.get("uid") else None

    async def _hold(self, ref: Ref, item: Obj) -> None:
        """Foreground: lets the owner go once nothing that blocks it is left."""
        dependents = list(self._dependents(ref.uid))
        blockers = {uid(d) for d in blocking(item, (obj for _, obj in dependents))}
        if not blockers:
            await self._patch(ref, item, finalizers=without_finalizer(item, FOREGROUND))
            return
        for kind, obj in dependents:
            if uid(obj) in blockers and not is_deleting(obj):
                self.queue.add(_ref(kind, obj))

    async def _orphan(self, ref: Ref, item: Obj) -> None:
        for kind, obj in list(self._dependents(ref.uid)):
            await self._patch(_ref(kind, obj), obj, ownerReferences=without_owner(obj, ref.uid))
        await self._patch(ref, item, finalizers=without_finalizer(item, ORPHAN))

    # Writing

    async def _patch(self, ref: Ref, obj: Obj, **fields: object) -> Obj:
        """Changes metadata of exactly the version seen; absent is as good as done."""
        meta = {**fields, "uid": ref.uid, "resourceVersion": resource_version(obj)}
        try:
            return await self._client.patch(ref.kind, ref.key, {"metadata": meta})
        except NotFound:
            return obj

    async def _delete(self, ref: Ref, item: Obj, policy: str) -> None:
        only = {"uid": ref.uid, "resourceVersion": resource_version(item)}
        try:
            await self._client.delete(
                ref.kind, ref.key, propagation_policy=policy, preconditions=only
            )
        except NotFound:
            return


def _ref(kind: Kind, obj: Obj) -> Ref:
    return Ref(kind, key_of(obj), uid(obj))


def _owner_key(kind: Kind, dependent: Obj, ref: Obj) -> Key:
    return Key(namespace(dependent) if kind.namespaced else "", ref.get("name", ""))


def build(context: Context) -> GarbageCollector:
    return GarbageCollector(context, kinds.ALL)
