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

import orjson

from edgek.aio.clock import Clock
from edgek.api import errors
from edgek.api.meta import Key, Obj
from edgek.api.time import format_time
from edgek.api.validation import FieldErrors
from edgek.kinds.kind import Kind
from edgek.kinds.metadata import validate_object_meta, validate_object_meta_update
from server.admission.chain import Attributes, Chain
from server.registry.convert import Converter
from server.registry.create import before_create, check_namespace, generate_name, random_suffix
from server.registry.delete import plan_delete
from server.registry.errors import store_errors
from server.registry.hooks import Hook, Undo, nothing
from server.registry.update import (
    before_status_update,
    before_update,
    check_identity,
    is_released,
)
from server.request.model import User
from server.storage.store import ConditionFailed, Encode, Entry, Name, Op, Store

T = TypeVar("T")
_NAME_TRIES = 8
_UPDATE_TRIES = 50


@dataclass(frozen=True, kw_only=True)
class WriteContext:
    """Who writes and how: what admission and field management are told of the request.

    ``manager`` owns the fields that the write sets. ``options`` is the request's CreateOptions,
    UpdateOptions..., ``warnings`` and ``annotations`` what the answer and the audit log get.
    """

    user: User
    dry_run: bool = False
    manager: str = ""
    options: Obj = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class How:
    """How an update of one (sub)resource is made: ``prepare(kind, obj, old)`` restricts it."""

    subresource: str = ""
    prepare: Callable[[Kind, Obj, Obj], None] = before_update
    validate: bool = True


MAIN = How()
STATUS = How(subresource="status", prepare=before_status_update)

Transform = Callable[[Obj], Obj]
"""Given the stored object (shared), the caller's own new one. May run several times."""


@dataclass(kw_only=True)
class Registry:
    """``new_uid`` and ``suffix`` are injected so that tests can foretell names."""

    store: Store
    clock: Clock
    chain: Chain = field(default_factory=Chain)
    hooks: Mapping[Kind, Hook] = field(default_factory=dict)
    converter: Converter = field(default_factory=Converter)
    new_uid: Callable[[], str] = lambda: str(uuid.uuid4())
    suffix: Callable[[], str] = random_suffix

    # --- reads -------------------------------------------------------------------------------

    def find(self, kind: Kind, key: Key) -> Entry | None:
        """As it is stored."""
        return self.store.get(_name(kind, key))

    async def get(self, kind: Kind, key: Key) -> Entry:
        """In the kind's own version. Raises NotFound."""
        entry = self.find(kind, key)
        if entry is None:
            raise errors.NotFound.of(kind, key.name)
        return (await self.served(kind, [entry]))[0]

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
        base = "" if meta.get("name") else meta.get("generateName") or ""
        for last in (False,) * (_NAME_TRIES - 1) + (True,):
            if base:
                meta["name"] = generate_name(base, self.suffix())
            try:
                once = self._create_once(kind, namespace, obj, context)
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

    async def _create_once(
        self, kind: Kind, namespace: str, obj: Obj, context: WriteContext
    ) -> Entry:
        key = Key(namespace, obj["metadata"].get("name") or "")
        attributes = attributes_of("CREATE", kind, key, context, obj=obj)
        await self.chain.admit(attributes)
        now = format_time(self.clock.now())
        before_create(kind, obj, now=now, uid=self.new_uid())
        undo = self._reserve(kind, obj, None, context.user)
        try:
            self._validate(kind, obj, None)
            await self.chain.validate(attributes)
            name = _name(kind, Key(namespace if kind.namespaced else "", obj["metadata"]["name"]))
            if context.dry_run:
                if self.store.get(name) is not None:
                    raise errors.AlreadyExists.of(kind, name.name)
                undo()
                return _draft(name, obj)
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
        for _ in range(_UPDATE_TRIES):
            old = await self.get(kind, key)
            obj = transform(old.decoded())
            # Where the caller named a resourceVersion, the second try finds it outdated here.
            check_identity(kind, obj, old.decoded())
            try:
                once = self._update_once(kind, key, _Update(old, obj, how), context)
                return await self._to_the_end(kind, once)
            except ConditionFailed:
                await self.store.settle(_name(kind, key))
        raise errors.Conflict.of(kind, key.name)

    async def _update_once(
        self, kind: Kind, key: Key, update: "_Update", context: WriteContext
    ) -> Entry:
        obj, old, how = update.obj, update.old.decoded(), update.how
        attributes = attributes_of("UPDATE", kind, key, context, obj=obj, old=old)
        attributes.subresource = how.subresource
        await self.chain.admit(attributes)
        how.prepare(kind, obj, old)
        undo = nothing if how.subresource else self._reserve(kind, obj, old, context.user)
        try:
            if how.validate:
                self._validate(kind, obj, old)
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
        self, kind: Kind, key: Key, update: "_Update", context: WriteContext
    ) -> Entry:
        obj, old = update.obj, update.old
        name = _name(kind, key)
        if is_released(obj):
            return await self._remove(kind, old, obj, context)
        if obj == old.decoded() and await self._is_stored(kind, key, obj):
            return old
        if context.dry_run:
            return _draft(name, obj)
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
        self, kind: Kind, key: Key, options: Mapping[str, Any], context: WriteContext
    ) -> tuple[Entry, bool]:
        """The object's last state, and whether it is gone (else it is marked)."""
        for _ in range(_UPDATE_TRIES):
            old = await self.get(kind, key)
            await self._admit_delete(kind, key, old, context)
            plan = plan_delete(kind, old.decoded(), options=options, now=self.clock.now())
            if not plan.remove and plan.marked is None:
                return old, False
            try:
                if plan.remove:
                    removal = self._remove(kind, old, old.decoded(), context)
                    return await self._to_the_end(kind, removal), True
                assert plan.marked is not None
                return await self._mark(kind, old, plan.marked, context), False
            except ConditionFailed:
                await self.store.settle(_name(kind, key))
        raise errors.Conflict.of(kind, key.name)

    async def _admit_delete(self, kind: Kind, key: Key, old: Entry, context: WriteContext) -> None:
        attributes = attributes_of("DELETE", kind, key, context, old=old.decoded())
        await self.chain.admit(attributes)
        await self.chain.validate(attributes)

    async def _mark(self, kind: Kind, old: Entry, marked: Obj, context: WriteContext) -> Entry:
        name = _name(kind, Key(old.namespace, old.name))
        marked = {**marked, "metadata": dict(marked["metadata"])}
        if context.dry_run:
            return _draft(name, marked)
        with store_errors(kind, old.name, conditions=False):
            return await self._commit(kind, name, marked, expected=old.revision)

    async def _remove(self, kind: Kind, old: Entry, obj: Obj, context: WriteContext) -> Entry:
        name = _name(kind, Key(old.namespace, old.name))
        last = {**obj, "metadata": dict(obj["metadata"])}
        if context.dry_run:
            return _draft(name, last)
        with store_errors(kind, old.name, conditions=False):
            entry = await self._commit(kind, name, last, expected=old.revision, delete=True)
        if (hook := self.hooks.get(kind)) is not None:
            hook.removed(last)
        return entry

    # --- shared steps ------------------------------------------------------------------------

    async def _commit(
        self, kind: Kind, name: Name, obj: Obj, *, expected: int, delete: bool = False
    ) -> Entry:
        """``obj`` stored, as ``kind`` shows it."""
        stored = obj if kind.conversion is None else await kind.conversion.store(obj)
        op = Op(name, stamp(stored), expected=expected, delete=delete)
        return (await self.served(kind, [await self.store.commit(op)]))[0]

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

    def _validate(self, kind: Kind, obj: Obj, old: Obj | None) -> None:
        problems = FieldErrors()
        validate_object_meta(
            obj, problems, namespaced=kind.namespaced, validate_name=kind.validate_name
        )
        if old is None or not kind.custom:  # custom kinds hold an update to what it changed
            kind.validate(obj, problems)
        if old is not None:
            validate_object_meta_update(obj, old, problems)
            kind.validate_update(obj, old, problems)
        if problems:
            raise errors.Invalid.of(kind, obj["metadata"].get("name") or "", problems)


def attributes_of(
    operation: str,
    kind: Kind,
    key: Key,
    context: WriteContext,
    *,
    obj: Obj | None = None,
    old: Obj | None = None,
) -> Attributes:
    """What admission is told of one operation of a request."""
    return Attributes(
        operation=operation,
        kind=kind,
        namespace=key.namespace,
        name=key.name,
        user=context.user,
        obj=obj,
        old=old,
        dry_run=context.dry_run,
        options=context.options,
        warnings=context.warnings,
        annotations=context.annotations,
    )


@dataclass(frozen=True, slots=True)
class _Update:
    old: Entry
    obj: Obj
    how: How


def copy_of(obj: Obj) -> Obj:
    """An independent copy of a JSON-shaped object, several times faster than copy.deepcopy."""
    copied: Obj = orjson.loads(orjson.dumps(obj))
    return copied


def _name(kind: Kind, key: Key) -> Name:
    return Name(kind.storage_prefix, key.namespace, key.name)


def stamp(obj: Obj) -> Encode:
    """Puts the commit's revision into the object and encodes it, once for all readers."""

    def encode(revision: int) -> tuple[bytes, Any]:
        obj["metadata"]["resourceVersion"] = str(revision)
        # orjson leaves room behind what it wrote (8 KB for 1 KB); a copy is as large as it must be.
        return bytes(memoryview(orjson.dumps(obj))), obj

    return encode


def _draft(name: Name, obj: Obj) -> Entry:
    """What a dry run answers: looks stored, is not."""
    return Entry(
        name.name,
        namespace=name.namespace,
        revision=0,
        raw=orjson.dumps(obj),
        obj=obj,
        decode=orjson.loads,
    )
