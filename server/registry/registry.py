"""The registry: create, read, update, delete any kind, as Kubernetes means it.

Callers (server/endpoints) have decoded, checked and defaulted the body; authentication and
authorization are behind. Order of a write, as apiserver's generic store: admission mutates,
the server stamps and the kind prepares, validation, admission validates, the store commits.
"""

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from edgek.aio.clock import Clock
from edgek.api import errors
from edgek.api.meta import Key, Obj
from edgek.api.time import format_time
from edgek.kinds.kind import Kind
from server.admission.chain import Attributes, Chain
from server.fieldmanager.entries import held_by
from server.fieldmanager.manager import FieldManager
from server.registry.convert import Converter
from server.registry.create import (
    before_create,
    check_namespace,
    check_new_identity,
    generate_name,
    random_suffix,
)
from server.registry.delete import plan_delete
from server.registry.errors import store_errors
from server.registry.hooks import Hook, Undo, nothing
from server.registry.tracking import (
    after_admission,
    keep_entries,
    same_but_times,
    tidy_metadata,
    track_update,
    writer_of,
)
from server.registry.update import check_identity, is_released
from server.registry.validate import Check, validate
from server.registry.write import (
    MAIN,
    STATUS,
    Application,
    How,
    Transform,
    Update,
    WriteContext,
    attributes_of,
    copy_of,
    creating,
    draft,
    name_of,
    stamp,
    update_attributes,
)
from server.request.model import User
from server.storage.store import ConditionFailed, Entry, Name, Op, Store

T = TypeVar("T")
__all__ = [
    "MAIN", "STATUS", "How", "Registry", "Transform", "WriteContext", "attributes_of", "copy_of",
]  # fmt: skip
_NAME_TRIES = 8
_UPDATE_TRIES = 50


@dataclass(kw_only=True)
class Registry:
    """``new_uid`` and ``suffix`` are injected so that tests can foretell names."""

    store: Store
    clock: Clock
    chain: Chain = field(default_factory=Chain)
    hooks: Mapping[Kind, Hook] = field(default_factory=dict)
    checks: Mapping[Kind, Check] = field(default_factory=dict)
    check_new: Callable[[Kind], None] = lambda kind: None
    converter: Converter = field(default_factory=Converter)
    fields: FieldManager = field(default_factory=FieldManager)
    new_uid: Callable[[], str] = lambda: str(uuid.uuid4())
    suffix: Callable[[], str] = random_suffix

    # --- reads -------------------------------------------------------------------------------

    def find(self, kind: Kind, key: Key) -> Entry | None:
        """As it is stored."""
        return self.store.get(name_of(kind, key))

    async def get(self, kind: Kind, key: Key) -> Entry:
        """In the kind's own version. Raises NotFound."""
        entry = self.find(kind, key)
        if entry is None:
            raise errors.NotFound.of(kind, key.name)
        return await self.converter.one(kind, entry)

    def entries(self, kind: Kind, namespace: str = "") -> Sequence[Entry]:
        """As they are stored."""
        return self.store.entries(kind.storage_prefix, namespace)

    async def served(self, kind: Kind, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Stored entries in the kind's own version."""
        return await self.converter.served(kind, entries)

    # --- create ------------------------------------------------------------------------------

    async def create(self, kind: Kind, namespace: str, obj: Obj, context: WriteContext) -> Entry:
        """``obj`` is the caller's own copy. Raises AlreadyExists, Invalid, Forbidden..."""
        meta = obj.setdefault("metadata", {})
        check_namespace(kind, meta, namespace)
        now = self._now()
        if context.manager:
            self.fields.created(kind, obj, writer_of(kind, context, MAIN, now))
        else:
            meta.pop("managedFields", None)
        # The name is generated behind admission, which may have another prefix, or a name, for it.
        admitted = await self._admit_new(kind, namespace, obj, context)
        meta = obj["metadata"]
        base = "" if meta.get("name") else meta.get("generateName") or ""
        for last in (False,) * (_NAME_TRIES - 1) + (True,):
            if base:
                meta["name"] = generate_name(base, self.suffix())
            try:
                once = self._create_once(kind, admitted, context, now)
                return await self._to_the_end(kind, once)
            except errors.AlreadyExists as err:
                if not base:
                    raise
                if last:
                    raise errors.AlreadyExists(
                        f"{err.message}, the server was not able to generate a unique name "
                        "for the object",
                        details=err.details,
                    ) from err
        raise AssertionError("unreachable")

    async def _admit_new(
        self, kind: Kind, namespace: str, obj: Obj, context: WriteContext
    ) -> Attributes:
        key = Key(namespace, obj["metadata"].get("name") or "")
        attributes = attributes_of("CREATE", kind, key, context, obj=obj)
        entries = held_by(obj)
        await self.chain.admit(attributes)
        keep_entries(obj, after_admission(obj, entries, context.warnings))
        tidy_metadata(obj, context.warnings)
        check_namespace(kind, obj["metadata"], namespace)
        return attributes

    async def _create_once(
        self, kind: Kind, attributes: Attributes, context: WriteContext, now: str
    ) -> Entry:
        obj, namespace = attributes.obj, attributes.namespace
        attributes.name, attributes.ended = obj["metadata"].get("name") or "", []
        before_create(kind, obj, now=now, uid=self.new_uid())
        undo = self._reserve(kind, obj, None, context.user)
        try:
            await validate(kind, obj, None, self.checks)
            _warn(kind, obj, None, context)
            await self.chain.validate(attributes)
            name = name_of(kind, Key(namespace if kind.namespaced else "", obj["metadata"]["name"]))
            if context.dry_run:
                if self.store.get(name) is not None:
                    raise errors.AlreadyExists.of(kind, name.name)
                undo()
                return draft(name, obj)
            entry = await self._commit_new(kind, name, obj)
        except Exception:
            undo()
            await attributes.end(committed=False)
            raise
        await attributes.end(committed=True)
        self._written(kind, obj, None)
        return entry

    async def _commit_new(self, kind: Kind, name: Name, obj: Obj) -> Entry:
        try:
            with store_errors(kind, name.name):
                return await self._commit(kind, name, obj, expected=0)
        except (errors.Conflict, errors.NotFound) as err:
            raise errors.AlreadyExists.of(kind, name.name) from err

    # --- update ------------------------------------------------------------------------------

    async def update(
        self,
        kind: Kind,
        key: Key,
        transform: Transform,
        context: WriteContext,
        *,
        how: How = MAIN,
    ) -> Entry:
        """Reads, transforms, writes; again where another write came between and the caller named
        no resourceVersion. A result equal to what is stored is not written."""
        writer = writer_of(kind, context, how, self._now())
        for _ in range(_UPDATE_TRIES):
            old = await self.get(kind, key)
            stored = old.decoded()
            obj = transform(stored)
            # Where the caller named a resourceVersion, the second try finds it outdated here.
            check_identity(kind, obj, stored)
            await track_update(self.fields, kind, obj, stored, writer, tracked=how.tracked)
            try:
                once = self._update_once(kind, key, Update(old, stored, obj, how), context)
                return await self._to_the_end(kind, once)
            except ConditionFailed:
                await self.store.settle(name_of(kind, key))
        raise errors.Conflict.of(kind, key.name)

    async def apply(
        self,
        kind: Kind,
        key: Key,
        application: Application,
        context: WriteContext,
        *,
        how: How = MAIN,
    ) -> tuple[Entry, bool]:
        """Server-side apply: creates or updates, and says whether it created. Raises Conflict
        where others own what it would change."""
        writer = writer_of(kind, context, how, self._now())
        for _ in range(_UPDATE_TRIES):
            if how.subresource or self.find(kind, key) is not None:
                old = await self.get(kind, key)
            else:
                old = None
            stored = None if old is None else old.decoded()
            obj = await self.fields.applied(
                kind, stored, application.config_for(stored), writer, force=application.force
            )
            obj = application.finish(copy_of(obj))
            try:
                if old is None or stored is None:
                    return await self._create_applied(kind, key, obj, application, context), True
                check_identity(kind, obj, stored)
                once = self._update_once(kind, key, Update(old, stored, obj, how), context)
                return await self._to_the_end(kind, once), False
            except (ConditionFailed, errors.AlreadyExists):
                await self.store.settle(name_of(kind, key))
        raise errors.Conflict.of(kind, key.name)

    async def _create_applied(
        self, kind: Kind, key: Key, obj: Obj, application: Application, context: WriteContext
    ) -> Entry:
        check_new_identity(kind, obj, key)
        await application.may_create()
        check_namespace(kind, obj["metadata"], key.namespace)
        context = creating(context)
        admitted = await self._admit_new(kind, key.namespace, obj, context)
        once = self._create_once(kind, admitted, context, self._now())
        return await self._to_the_end(kind, once)

    async def _update_once(
        self, kind: Kind, key: Key, update: Update, context: WriteContext
    ) -> Entry:
        obj, old, how = update.obj, update.stored, update.how
        attributes = update_attributes(kind, key, context, how, obj=obj, old=old)
        entries = held_by(obj)
        if how.admitted:
            await self.chain.admit(attributes)
        if how.view is not None:
            how.view.put(obj, attributes.obj)
        entries = after_admission(obj, entries, context.warnings)
        tidy_metadata(obj, context.warnings)
        how.prepare(kind, obj, old)
        keep_entries(obj, entries)
        undo = nothing if how.subresource else self._reserve(kind, obj, old, context.user)
        try:
            if how.validate:
                await validate(kind, obj, old, self.checks, status=how is STATUS)
            if not how.subresource:
                _warn(kind, obj, old, context)
            if how.admitted:
                await self.chain.validate(attributes)
            entry = await self._commit_update(kind, key, update, context)
        except Exception:
            undo()
            await attributes.end(committed=False)
            raise
        await attributes.end(committed=True)
        if context.dry_run:
            undo()
        else:
            self._written(kind, obj, old)
        return entry

    async def _commit_update(
        self, kind: Kind, key: Key, update: Update, context: WriteContext
    ) -> Entry:
        obj, old = update.obj, update.old
        name = name_of(kind, key)
        if is_released(obj):
            return await self._remove(kind, old, obj, context)
        if same_but_times(obj, update.stored) and await self._is_stored(kind, key, obj):
            return old
        if context.dry_run:
            return draft(name, obj)
        with store_errors(kind, key.name, conditions=False):
            return await self._commit(kind, name, obj, expected=old.revision)

    async def _is_stored(self, kind: Kind, key: Key, obj: Obj) -> bool:
        """A write that changes nothing still brings an object to the version to be stored."""
        if kind.conversion is None:
            return True
        stored = self.find(kind, key)
        return stored is not None and await kind.conversion.store(obj) == stored.decoded()

    # --- delete ------------------------------------------------------------------------------

    async def delete(
        self,
        kind: Kind,
        key: Key,
        options: Mapping[str, Any],
        context: WriteContext,
        *,
        admitted: bool = True,
    ) -> tuple[Entry, bool]:
        """The object's last state, and whether it is gone (else it is marked). ``admitted``:
        False where something else than this deletion has been admitted (an eviction)."""
        for _ in range(_UPDATE_TRIES):
            old = await self.get(kind, key)
            stored = old.decoded()
            if admitted:
                await self._admit_delete(kind, key, stored, context)
            plan = plan_delete(kind, stored, options=options, now=self.clock.now())
            if not plan.remove and plan.marked is None:
                return old, False
            try:
                if plan.remove:
                    removal = self._remove(kind, old, stored, context)
                    return await self._to_the_end(kind, removal), True
                assert plan.marked is not None
                return await self._mark(kind, old, plan.marked, context), False
            except ConditionFailed:
                await self.store.settle(name_of(kind, key))
        raise errors.Conflict.of(kind, key.name)

    async def _admit_delete(self, kind: Kind, key: Key, old: Obj, context: WriteContext) -> None:
        attributes = attributes_of("DELETE", kind, key, context, old=old)
        await self.chain.admit(attributes)
        await self.chain.validate(attributes)

    async def _mark(self, kind: Kind, old: Entry, marked: Obj, context: WriteContext) -> Entry:
        name = name_of(kind, Key(old.namespace, old.name))
        marked = {**marked, "metadata": dict(marked["metadata"])}
        if context.dry_run:
            return draft(name, marked)
        with store_errors(kind, old.name, conditions=False):
            return await self._commit(kind, name, marked, expected=old.revision)

    async def _remove(self, kind: Kind, old: Entry, obj: Obj, context: WriteContext) -> Entry:
        name = name_of(kind, Key(old.namespace, old.name))
        last = {**obj, "metadata": dict(obj["metadata"])}
        if context.dry_run:
            return draft(name, last)
        with store_errors(kind, old.name, conditions=False):
            entry = await self._commit(kind, name, last, expected=old.revision, delete=True)
        if (hook := self.hooks.get(kind)) is not None:
            hook.removed(last)
        return entry

    # --- shared steps ------------------------------------------------------------------------

    def _now(self) -> str:
        return format_time(self.clock.now())

    async def _commit(
        self, kind: Kind, name: Name, obj: Obj, *, expected: int, delete: bool = False
    ) -> Entry:
        """``obj`` stored, as ``kind`` shows it."""
        stored = obj if kind.conversion is None else await kind.conversion.store(obj)
        if expected == 0:
            self.check_new(kind)  # in the step of the commit: a definition may be ending by now
        op = Op(name, stamp(stored, bounded=not delete), expected=expected, delete=delete)
        return await self.converter.one(kind, await self.store.commit(op))

    async def _to_the_end(self, kind: Kind, write: Coroutine[Any, Any, T]) -> T:
        """A commit goes on though its asker goes away; what it takes or frees beyond its own
        object (addresses) must follow it."""
        if kind not in self.hooks:
            return await write
        return await asyncio.shield(asyncio.ensure_future(write))

    def _reserve(self, kind: Kind, obj: Obj, old: Obj | None, user: User) -> Undo:
        hook = self.hooks.get(kind)
        return hook.reserve(obj, old, user) if hook else nothing

    def _written(self, kind: Kind, obj: Obj, old: Obj | None) -> None:
        if (hook := self.hooks.get(kind)) is not None:
            hook.written(obj, old)


def _warn(kind: Kind, obj: Obj, old: Obj | None, context: WriteContext) -> None:
    """Once, however often the write is tried."""
    if kind.warn is not None:
        known = set(context.warnings)
        context.warnings.extend(text for text in kind.warn(obj, old) if text not in known)
