"""Informer: list, then watch, into an indexed cache that is only read.

Controllers, scheduler and agent look at the cluster through informers. What they hand out is
shared (in process it is the server's own dict): never mutate it. An informer resumes a broken
watch from the last resourceVersion or bookmark, so a reconnect costs no list; when that is too
old (410) it lists again and hands its handlers the difference to the cache, nothing else.

Handlers are synchronous and quick (they put keys on a queue); they see every change in order,
and one added late is first handed all that is in the cache.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from functools import partial
from typing import Any

from edgek.aio.outage import Outage
from edgek.aio.tasks import Tasks
from edgek.api.errors import ApiError, Expired, NotFound, ServiceUnavailable, Timeout
from edgek.api.meta import Key, Obj, is_controlled_by, key_of, labels, resource_version, uid
from edgek.api.selectors import EVERYTHING, Selector
from edgek.client.client import Client
from edgek.client.transport import WatchEvent
from edgek.kinds.kind import Kind

log = logging.getLogger(__name__)

Objs = list[Obj]
Handler = Callable[[Obj | None, Obj | None], None]
"""``handler(old, new)``: old is None for an addition, new is None for a removal."""
IndexFn = Callable[[Obj], Iterable[str]]

Keep = Callable[[Obj], Obj]
"""The part of an object that is kept, where its readers need little of it."""


def whole(obj: Obj) -> Obj:
    return obj


OWNER = "owner"
"""The index of every informer by the uids of an object's owners."""

# As client-go's reflector: 0.8 s doubling to 30 s, each with up to as much again of jitter.
BASE_BACKOFF = 0.8
MAX_BACKOFF = 30.0
SHORT_WATCH = 1.0
"""A watch that ends sooner than this with no event is a failure: it must not spin."""


def _owner_uids(obj: Obj) -> list[str]:
    return [ref["uid"] for ref in obj["metadata"].get("ownerReferences") or () if ref.get("uid")]


class _Index:
    """Values -> keys; kept up to date by the informer."""

    def __init__(self, fn: IndexFn) -> None:
        self.fn = fn
        self._keys: dict[str, dict[Key, None]] = {}

    def move(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        before = tuple(self.fn(old)) if old is not None else ()
        after = tuple(self.fn(new)) if new is not None else ()
        if before != after:  # most changes move nothing
            self._remove(key, before)
            for value in after:
                self._keys.setdefault(value, {})[key] = None

    def _remove(self, key: Key, values: Iterable[str]) -> None:
        for value in values:
            if (keys := self._keys.get(value)) is not None:
                keys.pop(key, None)
                if not keys:
                    del self._keys[value]

    def keys(self, value: str) -> Collection[Key]:
        return self._keys.get(value, ())


class Informer:
    """One kind, narrowed by selectors. ``run`` keeps it current until cancelled."""

    def __init__(
        self,
        client: Client,
        kind: Kind,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        keep: Keep = whole,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.kind = kind
        self.synced = asyncio.Event()
        """Set once the first list is in the cache, and never cleared."""
        self._list = partial(
            client.list,
            kind,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
        )
        self._watch = partial(
            client.watch,
            kind,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
        )
        self._keep = keep
        self._jitter = jitter
        self._objects: dict[Key, Obj] = {}
        self._namespaces = _Index(lambda obj: (obj["metadata"].get("namespace") or "",))
        self._indexes: dict[str, _Index] = {OWNER: _Index(_owner_uids)}
        self._handlers: list[Handler] = []
        self._version = ""

    @property
    def version(self) -> str:
        """The resourceVersion the cache stands at; "" before the first list."""
        return self._version

    # Reading

    def get(self, key: Key) -> Obj | None:
        return self._objects.get(key)

    def list(self, namespace: str = "", selector: Selector = EVERYTHING) -> Objs:
        if namespace:
            found = [self._objects[key] for key in self._namespaces.keys(namespace)]
        else:
            found = list(self._objects.values())
        return [o for o in found if selector.matches(labels(o))] if selector else found

    def __len__(self) -> int:
        return len(self._objects)

    def add_index(self, name: str, fn: IndexFn) -> None:
        """Indexes by ``fn(obj)``'s values; a name given before keeps its first function."""
        if name in self._indexes:
            return
        index = self._indexes[name] = _Index(fn)
        for key, obj in self._objects.items():
            index.move(key, None, obj)

    def by_index(self, name: str, value: str) -> Objs:
        """The objects of an added index; the name must exist."""
        return [self._objects[key] for key in self._indexes[name].keys(value)]

    def count(self, name: str, value: str) -> int:
        """How many objects ``by_index`` would give."""
        return len(self._indexes[name].keys(value))

    def owned_by(self, owner: Obj) -> Objs:
        """The objects whose controller is ``owner`` (by uid)."""
        return [o for o in self.by_index(OWNER, uid(owner)) if is_controlled_by(o, owner)]

    def on_change(self, handler: Handler) -> None:
        self._handlers.append(handler)
        for obj in list(self._objects.values()):
            self._call(handler, None, obj)

    async def wait_synced(self) -> None:
        await self.synced.wait()

    # Following

    async def run(self) -> None:
        failures = 0
        outage = Outage(log, f"watch of {self.kind.plural}")
        while True:
            try:
                if not self._version:
                    await self._relist()
                # Only a watch that worked counts: else a list that is at once too old would spin.
                failures = 0 if await self._follow() else failures + 1
                outage.over()
            except Expired:
                self._version = ""
                failures += 1
                if failures == 1:
                    continue
            except ApiError as err:
                failures += 1
                # Of a server that is away one tells for all: in an agent, its Lease. Not found is
                # a custom kind that is going.
                known = isinstance(err, ServiceUnavailable | Timeout | NotFound)
                outage.failed(err, known=known)
            except Exception:  # a bug of ours; all who read the cache depend on this loop
                failures += 1
                log.exception("watch failed kind=%s", self.kind.plural)
            if failures:
                await asyncio.sleep(self._backoff(failures))

    def _backoff(self, failures: int) -> float:
        delay = min(BASE_BACKOFF * 2.0 ** min(failures - 1, 16), MAX_BACKOFF)
        return delay * (1.0 + self._jitter())

    async def _relist(self) -> None:
        got = await self._list(resource_version="0")
        fresh = {key_of(obj): obj for obj in got.items}
        for key in [key for key in self._objects if key not in fresh]:
            self._store(key, None)
        for key, obj in fresh.items():
            old = self._objects.get(key)
            if old is None or resource_version(old) != resource_version(obj):
                self._store(key, obj)
        self._version = got.resource_version
        self.synced.set()

    async def _follow(self) -> bool:
        """Follows one watch to its end; whether it did any good."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        moved = False
        async with self._watch(resource_version=self._version) as events:
            moved = await self._drain(events)
        return moved or loop.time() - began >= SHORT_WATCH

    async def _drain(self, events: AsyncIterator[WatchEvent]) -> bool:
        moved = False
        async for kind, obj in events:
            moved = True
            if kind != "BOOKMARK":
                self._store(key_of(obj), None if kind == "DELETED" else obj)
            self._version = resource_version(obj) or self._version
        return moved

    def _store(self, key: Key, new: Obj | None) -> None:
        old = self._objects.get(key)
        new = None if new is None else self._keep(new)
        if old is not None and new is not None and uid(old) != uid(new):
            self._store(key, None)  # deleted and made anew while we were not looking
            old = None
        if old is None and new is None:
            return
        for index in (self._namespaces, *self._indexes.values()):
            index.move(key, old, new)
        if new is None:
            del self._objects[key]
        else:
            self._objects[key] = new
        for handler in self._handlers:
            self._call(handler, old, new)

    def _call(self, handler: Handler, old: Obj | None, new: Obj | None) -> None:
        try:
            handler(old, new)
        except Exception:  # one bad handler must not stop the cache for all others
            log.exception("change handler failed kind=%s", self.kind.plural)


class Informers:
    """One informer per (kind, selectors), started when it is first asked for."""

    def __init__(self, client: Client, tasks: Tasks) -> None:
        self._client = client
        self._tasks = tasks
        self._informers: dict[tuple[Any, ...], Informer] = {}
        self._running: dict[tuple[Any, ...], asyncio.Task[Any]] = {}

    def get(
        self,
        kind: Kind,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        keep: Keep = whole,
    ) -> Informer:
        """Never waits: use ``wait_synced`` before trusting that what is absent does not exist.
        All who ask for one kind with the same selectors must agree on ``keep``."""
        name = (kind, namespace, label_selector, field_selector)
        if name not in self._informers:
            informer = self._informers[name] = Informer(
                self._client,
                kind,
                namespace=namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                keep=keep,
            )
            task = self._tasks.spawn(informer.run(), name=f"informer/{kind.plural}")
            self._running[name] = task
        return self._informers[name]

    def drop(self, kind: Kind) -> None:
        """For a kind that is served no more: its informer of all objects ends."""
        name = (kind, "", "", "")
        if self._informers.pop(name, None) is not None:
            self._running.pop(name).cancel()

    async def wait_synced(self) -> None:
        """Waits for every informer asked for until now."""
        for informer in list(self._informers.values()):
            await informer.wait_synced()
