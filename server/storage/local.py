"""The store of a single server: a memory image, conditions against it, durable in groups.

One event loop is the only writer, so a condition is checked and a revision given without a
lock. A commit then waits in the queue of its section's durability:

* durable: every commit that arrives while a batch is being flushed joins the next one (group
  commit), and is visible and acknowledged only when the batch is on disk;
* volatile: visible at once, in memory only;
* lazy: visible at once, written in batches now and then; the last seconds may be lost.

Invariant: changes of one section become visible in order of revision.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from server.storage.section import Follower, Index, Keep, Section, whole
from server.storage.store import (
    Change,
    ConditionFailed,
    Engine,
    Entry,
    Name,
    Op,
    Record,
    RevisionUnknown,
    StoreUnavailable,
)
from server.storage.watch import SectionWatcher

RESERVE = 1_000_000
"""Volatile commits take revisions that are not on disk. After a restart the count goes on this
much above the last one written, and one is written each half of it, so it never goes back."""
LAZY_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class SectionConfig:
    """``durability``: durable, volatile or lazy. ``indexes``: path -> reader of its value."""

    durability: str = "durable"
    indexes: Mapping[str, Index] = field(default_factory=dict)


@dataclass(slots=True)
class _Pending:
    op: Op
    entry: Entry
    done: "asyncio.Future[Entry]"


class LocalStore:
    """Opened by ``LocalStore(...)``, which loads everything; ``close`` flushes what is lazy.

    ``keep`` is what of a decoded object is held for readers in this process."""

    def __init__(
        self,
        engine: Engine,
        *,
        lazy_engine: Engine | None = None,
        sections: Mapping[str, SectionConfig],
        decode: Callable[[bytes], Any],
        keep: Keep = whole,
    ) -> None:
        self._engine = engine
        self._lazy = lazy_engine
        self._configs = dict(sections)
        self._decode = decode
        self._keep = keep
        self._sections: dict[str, Section] = {}
        self._heads: dict[Name, int] = {}  # revisions given but not visible yet; 0: deleted
        self._queue: list[_Pending] = []
        self._in_flight: dict[int, None] = {}  # durable revisions not visible yet, in order
        self._flusher: asyncio.Task[None] | None = None
        self._lazy_records: dict[Name, Record] = {}
        self._lazy_timer: asyncio.TimerHandle | None = None
        self._lazy_flush: asyncio.Task[None] | None = None
        self._settled: dict[Name, asyncio.Future[None]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._load()

    def _load(self) -> None:
        durable = self._engine.load()
        stored, records = durable.revision, [durable.records]
        if self._lazy is not None:
            lazy = self._lazy.load()
            stored = max(stored, lazy.revision)
            records.append(lazy.records)
        self._next = stored + RESERVE if stored else 1
        self._reserved = stored
        # Sections of custom kinds are on disk before anybody says what they are.
        for section in dict.fromkeys((*self._configs, *durable.changes)):
            # Nothing durable was lost, so watches resume from a kind's last change on. Of the
            # others nobody knows what came after it.
            resumable = self._is(section, "durable")
            self._section(section, floor=durable.changes.get(section, 0) if resumable else None)
        for record in chain(*records):
            if record.value is not None:
                entry = self._entry(record.name, record.revision, record.value, None)
                self._section(record.name.section).load(entry)

    def _is(self, section: str, durability: str) -> bool:
        config = self._configs.get(section)
        return (config.durability if config else "durable") == durability

    def _section(self, name: str, *, floor: int | None = None) -> Section:
        found = self._sections.get(name)
        if found is None:
            config = self._configs.get(name) or SectionConfig()
            found = Section(
                floor=self.revision_of(name) if floor is None else floor,
                indexes=dict(config.indexes),
                keep=self._keep,
            )
            self._sections[name] = found
        return found

    def _entry(self, name: Name, revision: int, raw: bytes, obj: Any) -> Entry:
        return Entry(
            name.name,
            namespace=name.namespace,
            revision=revision,
            raw=raw,
            obj=obj,
            decode=self._decode,
        )

    # --- reads -------------------------------------------------------------------------------

    def revision_of(self, section: str) -> int:
        """NB: volatile commits overtake durable ones that are being flushed. A list of a durable
        section must not claim a revision above one that is still to become visible."""
        if self._in_flight and self._is(section, "durable"):
            return next(iter(self._in_flight)) - 1
        return self._next

    def last_change(self, section: str) -> int:
        return self._section(section).revision

    def get(self, name: Name) -> Entry | None:
        return self._section(name.section).get(name.namespace, name.name)

    def entries(self, section: str, namespace: str = "") -> Sequence[Entry]:
        return self._section(section).entries(namespace)

    def count(self, section: str) -> int:
        return len(self._section(section))

    def indexed(self, section: str, path: str, value: str) -> Iterable[Entry]:
        return self._section(section).indexed(path, value)

    def keep_decoded(self, section: str) -> None:
        self._section(section).decode_all()

    # --- writes ------------------------------------------------------------------------------

    async def commit(self, op: Op) -> Entry:
        current = self.get(op.name)
        head = self._heads.get(op.name, current.revision if current else 0)
        if (op.expected is not None and op.expected != head) or (op.delete and head == 0):
            raise ConditionFailed(op.name, head)
        raw, obj = op.encode(self._next + 1)  # may refuse: then nothing has happened
        self._next += 1
        entry = self._entry(op.name, self._next, raw, self._keep(obj))
        if self._is(op.name.section, "durable"):
            return await self._commit_durable(op, entry)
        self._show(op, entry)
        if self._is(op.name.section, "lazy"):
            self._note_lazy(op, entry)
        self._reserve()
        return entry

    async def _commit_durable(self, op: Op, entry: Entry) -> Entry:
        pending = _Pending(op, entry, asyncio.get_running_loop().create_future())
        self._heads[op.name] = 0 if op.delete else entry.revision
        self._queue.append(pending)
        self._in_flight[entry.revision] = None
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush(), name="store/flush")
        # Shielded: the write happens even if the asker goes away, and others may share the batch.
        return await asyncio.shield(pending.done)

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._queue:
                batch, self._queue = self._queue, []
                records = [
                    Record(p.op.name, p.entry.revision, None if p.op.delete else p.entry.raw)
                    for p in batch
                ]
                revision = batch[-1].entry.revision
                try:
                    await loop.run_in_executor(
                        self._thread, self._engine.persist, records, revision
                    )
                except Exception as err:
                    self._fail(batch, err)
                else:
                    self._reserved = max(self._reserved, revision)
                    for pending in batch:
                        self._acknowledge(pending)
        finally:
            self._flusher = None

    def _acknowledge(self, pending: _Pending) -> None:
        name = pending.op.name
        del self._in_flight[pending.entry.revision]
        if self._heads.get(name) == (0 if pending.op.delete else pending.entry.revision):
            del self._heads[name]
        self._show(pending.op, pending.entry)
        if not pending.done.done():
            pending.done.set_result(pending.entry)
        if name not in self._heads and (settled := self._settled.pop(name, None)):
            settled.set_result(None)

    def _fail(self, batch: Sequence[_Pending], err: Exception) -> None:
        """Nothing of the batch happened, nor may what was queued on top of it."""
        failed, self._queue = [*batch, *self._queue], []
        self._heads.clear()
        self._in_flight.clear()
        for pending in failed:
            if not pending.done.done():
                pending.done.set_exception(StoreUnavailable(str(err)))
                pending.done.exception()  # the asker may have gone; it is no news then
        for settled in self._settled.values():
            settled.set_result(None)
        self._settled.clear()

    def _show(self, op: Op, entry: Entry) -> None:
        section = self._section(op.name.section)
        old = section.get(op.name.namespace, op.name.name)
        kind = "DELETED" if op.delete else "MODIFIED" if old else "ADDED"
        section.apply(Change(kind, entry, old))

    async def settle(self, name: Name) -> None:
        if name in self._heads:
            loop = asyncio.get_running_loop()
            await asyncio.shield(self._settled.setdefault(name, loop.create_future()))

    # --- lazy and volatile ---------------------------------------------------------------------

    def _note_lazy(self, op: Op, entry: Entry) -> None:
        if self._lazy is None:
            return
        value = None if op.delete else entry.raw
        self._lazy_records[op.name] = Record(op.name, entry.revision, value)
        if self._lazy_timer is None:
            loop = asyncio.get_running_loop()
            self._lazy_timer = loop.call_later(LAZY_SECONDS, self._start_lazy_flush)

    def _start_lazy_flush(self) -> None:
        self._lazy_timer = None
        self._lazy_flush = asyncio.create_task(self._flush_lazy(), name="store/lazy")

    async def _flush_lazy(self) -> None:
        records, self._lazy_records = list(self._lazy_records.values()), {}
        if self._lazy is None or not records:
            return
        loop = asyncio.get_running_loop()
        with contextlib.suppress(StoreUnavailable):  # events only: not worth a failure
            await loop.run_in_executor(
                self._thread, self._lazy.persist, records, max(r.revision for r in records)
            )

    def _reserve(self) -> None:
        """Keeps the revision on disk within reach of the one in memory, without a write each."""
        if self._next - self._reserved > RESERVE // 2:
            before, self._reserved = self._reserved, self._next
            loop = asyncio.get_running_loop()
            done = loop.run_in_executor(self._thread, self._engine.persist, (), self._next)
            done.add_done_callback(lambda future: self._note_reserved(future, before))

    def _note_reserved(self, done: "asyncio.Future[None]", before: int) -> None:
        if not done.cancelled() and done.exception() is not None:
            self._reserved = min(self._reserved, before)  # the next commit tries again

    # --- watches -------------------------------------------------------------------------------

    def watch(
        self, section: str, *, since: int, namespace: str = "", index: tuple[str, str] | None = None
    ) -> SectionWatcher:
        if since > self._next:
            raise RevisionUnknown(since, self._next)
        found = self._section(section)
        missed = found.since(since)
        watcher = SectionWatcher(
            namespace=namespace, revision=since, on_close=lambda w: found.detach(w, index)
        )
        for change in missed:
            watcher.push(change)
        found.attach(watcher, index)
        return watcher

    def follow(self, section: str, follower: Follower) -> None:
        """Tells of each change of the section in the step in which it becomes visible."""
        self._section(section).follow(follower)

    def end_watches(self, section: str) -> None:
        """What was served has become another: whoever watches is to begin anew."""
        self._section(section).end_watches()

    def forget(self, section: str) -> None:
        """Lets go of a section whose kind is gone and which holds nothing; watches of it end and
        cannot be resumed."""
        found = self._section(section)
        found.end_watches()
        if not found and section not in self._configs:
            del self._sections[section]

    async def close(self) -> None:
        while self._flusher is not None:
            await asyncio.wait([self._flusher])
        if self._lazy_timer is not None:
            self._lazy_timer.cancel()
            self._lazy_timer = None
        if self._lazy_flush is not None:
            await asyncio.wait([self._lazy_flush])
        await self._flush_lazy()
        for engine in (self._engine, self._lazy):
            if engine is not None:
                await asyncio.get_running_loop().run_in_executor(self._thread, engine.close)
        self._thread.shutdown()
