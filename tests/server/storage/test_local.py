"""The local store: conditions, group commit, durability, watches."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from server.storage.local import RESERVE, LocalStore, SectionConfig
from server.storage.section import whole
from server.storage.sqlite import SqliteEngine
from server.storage.store import (
    Change,
    ConditionFailed,
    HistoryGone,
    Loaded,
    Name,
    Op,
    Record,
    RevisionUnknown,
    StoreUnavailable,
)

PODS, LEASES, EVENTS = "/core/pods/", "/coordination/leases/", "/core/events/"


def decode(raw: bytes) -> Any:
    return orjson.loads(raw)


def new_store(
    engine: Any = None, lazy: Any = None, *, keep: Callable[[Any], Any] = whole
) -> LocalStore:
    sections = {
        PODS: SectionConfig(indexes={"node": lambda obj: obj.get("node", "")}),
        LEASES: SectionConfig(durability="volatile"),
        EVENTS: SectionConfig(durability="lazy"),
    }
    engine = engine or SqliteEngine(":memory:")
    return LocalStore(engine, lazy_engine=lazy, sections=sections, decode=decode, keep=keep)


@pytest.fixture
async def store() -> AsyncIterator[LocalStore]:
    opened = new_store()
    yield opened
    await opened.close()


def pod(name: str) -> Name:
    return Name(PODS, "default", name)


def write(name: Name, expected: int | None = None, **content: Any) -> Op:
    def encode(revision: int) -> tuple[bytes, Any]:
        obj = {**content, "revision": revision}
        return orjson.dumps(obj), obj

    return Op(name, encode, expected=expected)


def drop(name: Name, expected: int | None = None) -> Op:
    return Op(name, lambda r: (b'{"gone":true}', {"gone": True}), expected=expected, delete=True)


async def test_a_committed_entry_is_read_back_with_its_revision(store: LocalStore) -> None:
    entry = await store.commit(write(pod("a"), 0, x=1))
    found = store.get(pod("a"))
    assert found is not None
    assert found.decoded() == {"x": 1, "revision": entry.revision}


async def test_revisions_grow_across_sections(store: LocalStore) -> None:
    first = await store.commit(write(pod("a"), 0))
    second = await store.commit(write(Name(LEASES, "default", "l"), 0))
    third = await store.commit(write(Name(EVENTS, "default", "e"), 0))
    assert first.revision < second.revision < third.revision


@pytest.mark.parametrize("expected", [0, 999])
async def test_a_wrong_expectation_changes_nothing(store: LocalStore, expected: int) -> None:
    entry = await store.commit(write(pod("a"), 0, x=1))
    with pytest.raises(ConditionFailed) as failed:
        await store.commit(write(pod("a"), expected, x=2))
    assert failed.value.actual == entry.revision
    assert store.get(pod("a")) is not None


async def test_of_two_writers_that_start_at_once_one_wins(store: LocalStore) -> None:
    entry = await store.commit(write(pod("a"), 0))
    results = await asyncio.gather(
        *(store.commit(write(pod("a"), entry.revision, n=n)) for n in range(10)),
        return_exceptions=True,
    )
    assert sum(isinstance(r, ConditionFailed) for r in results) == 9


async def test_an_entry_deleted_and_made_again_in_one_batch_is_the_new_one(
    store: LocalStore,
) -> None:
    await store.commit(write(pod("a"), 0, x=1))
    await asyncio.gather(store.commit(drop(pod("a"))), store.commit(write(pod("a"), 0, x=2)))
    found = store.get(pod("a"))
    assert found is not None
    assert found.decoded()["x"] == 2


async def test_deleting_what_is_not_there_fails(store: LocalStore) -> None:
    with pytest.raises(ConditionFailed):
        await store.commit(drop(pod("a")))


async def test_entries_come_in_order_of_namespace_and_name(store: LocalStore) -> None:
    for namespace, name in [("b", "z"), ("a", "y"), ("b", "c"), ("a", "a")]:
        await store.commit(write(Name(PODS, namespace, name), 0))
    assert [(e.namespace, e.name) for e in store.entries(PODS)] == [
        ("a", "a"), ("a", "y"), ("b", "c"), ("b", "z"),
    ]  # fmt: skip
    assert [e.name for e in store.entries(PODS, "b")] == ["c", "z"]


async def test_an_index_follows_its_entries(store: LocalStore) -> None:
    await store.commit(write(pod("a"), 0, node="n1"))
    await store.commit(write(pod("b"), 0, node="n1"))
    await store.commit(write(pod("a"), node="n2"))
    await store.commit(drop(pod("b")))
    assert [e.name for e in store.indexed(PODS, "node", "n2")] == ["a"]
    assert not list(store.indexed(PODS, "node", "n1"))


class SlowEngine:
    """Counts flushes and holds each until told to go on."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.fail = False

    def load(self) -> Loaded:
        return Loaded(0, {}, ())

    def persist(self, records: Sequence[Record], revision: int) -> None:
        self.gate.wait(10)
        self.batches.append(len(records))
        if self.fail:
            raise StoreUnavailable("disk full")

    def close(self) -> None:
        self.gate.set()


async def test_commits_that_arrive_during_a_flush_share_the_next_one() -> None:
    engine = SlowEngine()
    store = new_store(engine)
    writes = [asyncio.create_task(store.commit(write(pod(f"p{n}"), 0))) for n in range(50)]
    await asyncio.sleep(0)
    late = [asyncio.create_task(store.commit(write(pod(f"q{n}"), 0))) for n in range(50)]
    engine.gate.set()
    await asyncio.gather(*writes, *late)
    assert sum(engine.batches) == 100
    assert len(engine.batches) <= 3
    await store.close()


async def test_nothing_is_visible_before_it_is_durable() -> None:
    engine = SlowEngine()
    store = new_store(engine)
    task = asyncio.create_task(store.commit(write(pod("a"), 0)))
    await asyncio.sleep(0)
    before = store.get(pod("a"))
    engine.gate.set()
    await task
    assert before is None
    assert store.get(pod("a")) is not None
    await store.close()


async def test_a_failed_flush_fails_its_commits_and_those_on_top_of_them() -> None:
    engine = SlowEngine()
    engine.fail = True
    store = new_store(engine)
    first = asyncio.create_task(store.commit(write(pod("a"), 0)))
    await asyncio.sleep(0)
    second = asyncio.create_task(store.commit(write(pod("b"), 0)))
    await asyncio.sleep(0)
    engine.gate.set()
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert all(isinstance(r, StoreUnavailable) for r in results)
    engine.fail = False
    await store.commit(write(pod("a"), 0))
    await store.close()


async def test_a_list_never_claims_a_revision_above_one_that_is_still_to_come() -> None:
    engine = SlowEngine()
    store = new_store(engine)
    task = asyncio.create_task(store.commit(write(pod("a"), 0)))
    await asyncio.sleep(0)
    await store.commit(write(Name(LEASES, "x", "l"), 0))  # overtakes
    claimed = store.revision_of(PODS)
    watcher = store.watch(PODS, since=claimed)
    engine.gate.set()
    entry = await task
    assert entry.revision > claimed
    assert [c.new.name for c in await watcher.next()] == ["a"]
    watcher.close()
    await store.close()


# --- restarts ------------------------------------------------------------------------------------


async def test_a_restart_finds_durable_and_lazy_entries_and_no_volatile_ones(
    tmp_path: Path,
) -> None:
    def reopen() -> LocalStore:
        return new_store(SqliteEngine(tmp_path / "a.db"), SqliteEngine(tmp_path / "e.db"))

    store = reopen()
    await store.commit(write(pod("a"), 0, x=1))
    await store.commit(write(pod("gone"), 0))
    await store.commit(drop(pod("gone")))
    await store.commit(write(Name(EVENTS, "d", "e"), 0))
    lease = await store.commit(write(Name(LEASES, "d", "l"), 0))
    await store.close()
    again = reopen()
    assert [e.name for e in again.entries(PODS)] == ["a"]
    assert [e.name for e in again.entries(EVENTS)] == ["e"]
    assert not again.entries(LEASES)
    assert (await again.commit(write(pod("b"), 0))).revision > lease.revision
    await again.close()


async def test_many_volatile_writes_never_let_a_restart_go_back(tmp_path: Path) -> None:
    store = new_store(SqliteEngine(tmp_path / "a.db"))
    store._next += RESERVE  # as if that many heartbeats had come
    lease = await store.commit(write(Name(LEASES, "d", "l"), 0))
    await store.close()
    again = new_store(SqliteEngine(tmp_path / "a.db"))
    assert again.revision_of(LEASES) > lease.revision
    await again.close()


async def test_a_revision_that_could_not_be_reserved_is_tried_again() -> None:
    engine = SlowEngine()
    engine.gate.set()
    engine.fail = True
    store = new_store(engine)
    store._next += RESERVE
    await store.commit(write(Name(LEASES, "d", "l"), 0))
    while store._reserved:  # noqa: ASYNC110 - the thread has not failed yet
        await asyncio.sleep(0.001)
    engine.fail = False
    last = await store.commit(write(Name(LEASES, "d", "l")))
    await store.close()
    assert store._reserved == last.revision


async def test_a_watch_resumes_across_a_restart_if_nothing_was_lost(tmp_path: Path) -> None:
    store = new_store(SqliteEngine(tmp_path / "a.db"))
    old = await store.commit(write(pod("a"), 0))
    last = await store.commit(write(pod("b"), 0))
    await store.close()
    again = new_store(SqliteEngine(tmp_path / "a.db"))
    again.watch(PODS, since=last.revision).close()
    with pytest.raises(HistoryGone):
        again.watch(PODS, since=old.revision)
    await again.close()


async def test_a_watch_of_one_kind_resumes_whatever_happened_to_the_others(tmp_path: Path) -> None:
    store = new_store(SqliteEngine(tmp_path / "a.db"))
    seen = await store.commit(write(pod("a"), 0))
    await store.commit(write(Name("/core/nodes/", "", "n"), 0))
    await store.close()
    again = new_store(SqliteEngine(tmp_path / "a.db"))
    again.watch(PODS, since=seen.revision).close()
    await again.commit(drop(pod("a")))
    await again.close()
    third = new_store(SqliteEngine(tmp_path / "a.db"))
    with pytest.raises(HistoryGone):
        third.watch(PODS, since=seen.revision)
    await third.close()


async def test_a_second_server_on_the_same_file_is_refused(tmp_path: Path) -> None:
    store = new_store(SqliteEngine(tmp_path / "a.db"))
    await store.commit(write(pod("a"), 0))
    with pytest.raises(StoreUnavailable):
        SqliteEngine(tmp_path / "a.db", busy_seconds=0)
    await store.close()


# --- watches -------------------------------------------------------------------------------------


async def test_a_watcher_sees_every_change_after_its_revision_in_order(store: LocalStore) -> None:
    first = await store.commit(write(pod("a"), 0))
    watcher = store.watch(PODS, since=first.revision)
    await store.commit(write(pod("b"), 0))
    await store.commit(write(pod("a")))
    await store.commit(drop(pod("b")))
    seen = [(c.type, c.new.name) for c in await watcher.next()]
    assert seen == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
    watcher.close()


async def test_a_late_watcher_gets_what_it_missed(store: LocalStore) -> None:
    first = await store.commit(write(pod("a"), 0))
    await store.commit(write(pod("b"), 0))
    watcher = store.watch(PODS, since=first.revision)
    assert [c.new.name for c in await watcher.next()] == ["b"]
    watcher.close()


async def test_history_is_bounded_and_says_so(store: LocalStore) -> None:
    first = await store.commit(write(pod("a"), 0))
    for _ in range(1100):
        store._section(PODS)
        await store.commit(write(pod("a")))
    with pytest.raises(HistoryGone):
        store.watch(PODS, since=first.revision)


async def test_the_future_is_unknown(store: LocalStore) -> None:
    with pytest.raises(RevisionUnknown):
        store.watch(PODS, since=10**15)


async def test_an_indexed_watcher_is_told_only_of_its_value(store: LocalStore) -> None:
    watcher = store.watch(PODS, since=store.revision_of(PODS), index=("node", "n1"))
    await store.commit(write(pod("other"), 0, node="n2"))
    await store.commit(write(pod("mine"), 0, node="n1"))
    await store.commit(write(pod("mine"), node="n2"))  # leaves: must be told
    assert [c.new.name for c in await watcher.next()] == ["mine", "mine"]
    watcher.close()


async def test_a_namespaced_watcher_is_told_only_of_its_namespace(store: LocalStore) -> None:
    watcher = store.watch(PODS, since=store.revision_of(PODS), namespace="one")
    await store.commit(write(Name(PODS, "two", "a"), 0))
    await store.commit(write(Name(PODS, "one", "b"), 0))
    assert [c.new.name for c in await watcher.next()] == ["b"]
    watcher.close()


async def test_a_watcher_that_reads_too_slowly_is_cut_off_without_a_gap(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.storage.watch.QUEUE", 3)
    watcher = store.watch(PODS, since=store.revision_of(PODS))
    for n in range(5):
        await store.commit(write(pod(f"p{n}"), 0))
    assert [c.new.name for c in await watcher.next()] == ["p0", "p1", "p2"]
    assert watcher.ended
    resumed = store.watch(PODS, since=watcher.revision)
    assert [c.new.name for c in await resumed.next()] == ["p3", "p4"]
    resumed.close()


async def test_closing_wakes_the_reader(store: LocalStore) -> None:
    watcher = store.watch(PODS, since=store.revision_of(PODS))
    reader = asyncio.create_task(watcher.next())
    await asyncio.sleep(0)
    watcher.close()
    assert await reader == []
    assert watcher.ended


async def test_a_watch_of_many_costs_the_writer_no_wait(store: LocalStore) -> None:
    since = store.revision_of(PODS)
    watchers = [store.watch(PODS, since=since) for _ in range(1000)]
    await store.commit(write(pod("a"), 0))
    assert all([[c.new.name for c in await w.next()] == ["a"] for w in watchers])
    for watcher in watchers:
        watcher.close()


async def test_a_follower_is_told_in_the_step_in_which_a_change_becomes_visible(
    store: LocalStore,
) -> None:
    seen: list[tuple[str, bool]] = []

    def follow(change: Change) -> None:
        seen.append((change.type, store.get(pod("a")) is not None))

    store.follow(PODS, follow)
    await store.commit(write(pod("a")))
    await store.commit(drop(pod("a")))
    assert seen == [("ADDED", True), ("DELETED", False)]


async def test_a_section_nobody_configured_is_kept_and_resumes_across_a_restart(
    tmp_path: Path,
) -> None:
    """Custom objects are loaded before their definitions."""
    custom = Name("/example.com/things/", "default", "a")
    first = new_store(SqliteEngine(tmp_path / "state.db"))
    entry = await first.commit(write(custom))
    await first.commit(write(pod("later")))
    await first.close()
    again = new_store(SqliteEngine(tmp_path / "state.db"))
    found = again.get(custom)
    assert found is not None
    assert found.revision == entry.revision
    again.watch(custom.section, since=entry.revision).close()
    await again.close()


async def test_a_section_that_comes_up_during_a_flush_can_be_listed_and_watched(
    store: LocalStore,
) -> None:
    """Of a custom kind's first list, while others write."""
    custom = Name("/example.com/things/", "default", "a")
    writing = asyncio.create_task(store.commit(write(pod("a"))))
    await asyncio.sleep(0)
    at = store.revision_of(custom.section)
    watcher = store.watch(custom.section, since=at)
    await store.commit(write(custom))
    await writing
    assert [c.new.name for c in await watcher.next()] == ["a"]


async def test_a_forgotten_section_ends_its_watches_and_is_not_resumed(store: LocalStore) -> None:
    custom = Name("/example.com/things/", "default", "a")
    entry = await store.commit(write(custom))
    watcher = store.watch(custom.section, since=entry.revision)
    await store.commit(drop(custom))
    store.forget(custom.section)
    assert watcher.ended
    with pytest.raises(HistoryGone):
        store.watch(custom.section, since=entry.revision)


async def test_readers_share_what_is_kept_of_an_object_and_writers_find_all_of_it() -> None:
    opened = new_store(keep=lambda obj: {k: v for k, v in obj.items() if k != "bulk"})
    await opened.commit(write(pod("before"), 0, x=1, bulk="b"))
    opened.keep_decoded(PODS)
    await opened.commit(write(pod("after"), 0, x=2, bulk="b"))
    before, after = opened.entries(PODS)[1], opened.entries(PODS)[0]
    assert (before.shared()["x"], after.shared()["x"]) == (1, 2)
    for entry in (before, after):
        assert entry.shared() is entry.shared()
        assert "bulk" not in entry.shared()
        assert entry.decoded()["bulk"] == "b"
    await opened.close()
