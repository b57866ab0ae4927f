"""The engine itself on a real file: what it cannot write it does not half write."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from server.storage.sqlite import SqliteEngine
from server.storage.store import Name, Record, StoreUnavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def engine(path: Path) -> Iterator[SqliteEngine]:
    opened = SqliteEngine(path)
    yield opened
    opened.close()


def record(name: str, revision: int, *, size: int = 10) -> Record:
    return Record(Name("/configmaps/", "default", name), revision, b"x" * size)


def stored(engine: SqliteEngine) -> tuple[int, list[str]]:
    revision, _, records = engine.load()
    return revision, sorted(r.name.name for r in records)


def fill_up(engine: SqliteEngine) -> None:
    """As if no page more fitted on the disk; SQLite answers as for ENOSPC."""
    (pages,) = engine._db.execute("PRAGMA page_count").fetchone()
    engine._db.execute(f"PRAGMA max_page_count={pages}")


def make_room(engine: SqliteEngine) -> None:
    engine._db.execute("PRAGMA max_page_count=1000000")


def test_a_batch_that_does_not_fit_leaves_nothing_of_it(engine: SqliteEngine) -> None:
    engine.persist([record("kept", 1)], 1)
    fill_up(engine)
    with pytest.raises(StoreUnavailable, match="full"):
        engine.persist([record("a", 2), record("kept", 3), record("big", 4, size=10**6)], 4)
    assert stored(engine) == (1, ["kept"])
    make_room(engine)
    engine.persist([record("big", 5, size=10**6)], 5)
    assert stored(engine) == (5, ["big", "kept"])


def test_a_file_that_became_read_only_is_unavailable_and_comes_back(engine: SqliteEngine) -> None:
    engine._db.execute("PRAGMA query_only=1")
    with pytest.raises(StoreUnavailable, match="readonly"):
        engine.persist([record("a", 1)], 1)
    engine._db.execute("PRAGMA query_only=0")
    engine.persist([record("a", 1)], 1)
    assert stored(engine) == (1, ["a"])


def test_a_revision_never_goes_back(engine: SqliteEngine) -> None:
    engine.persist([], 9)
    engine.persist([record("a", 5)], 5)
    assert engine.load()[0] == 9


def test_a_write_ahead_log_cut_anywhere_keeps_whole_batches_only(
    path: Path, tmp_path: Path
) -> None:
    """What a power cut can leave: the log ends in the middle of a batch's pages."""
    engine = SqliteEngine(path)
    for n in range(1, 6):
        engine.persist([record(f"{n}-{i}", n, size=900) for i in range(5)], n)
    log = path.with_name("state.db-wal").read_bytes()
    image = path.read_bytes()
    engine.close()
    for cut in range(0, len(log), len(log) // 25):
        copy = tmp_path / f"cut-{cut}.db"
        copy.write_bytes(image)
        copy.with_name(copy.name + "-wal").write_bytes(log[:cut])
        again = SqliteEngine(copy)
        revision, names = stored(again)
        assert names == [f"{n}-{i}" for n in range(1, revision + 1) for i in range(5)]
        again.close()


@pytest.mark.parametrize(
    "content", [b"this is no database" * 100, b"SQLite format 3\0" + b"x" * 99]
)
def test_a_file_that_is_no_database_is_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreUnavailable, match=r"state\.db"):
        SqliteEngine(path)


def test_a_damaged_page_is_found(path: Path) -> None:
    engine = SqliteEngine(path)
    engine.persist([record(f"a{n}", n, size=900) for n in range(1, 50)], 49)
    assert engine.is_sound()
    engine.close()
    damage(path)
    again = SqliteEngine(path)
    assert not again.is_sound()
    with pytest.raises(StoreUnavailable):
        again.load()
    again.close()


def damage(path: Path) -> None:
    """Somewhere among the objects, behind what opening reads."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        for at in range(size // 2 // 4096 * 4096, size, 4096):
            file.seek(at)
            file.write(b"\xff" * 100)
