"""SQLite as the engine: the only file that touches sqlite3.

WAL with ``synchronous=FULL``: a commit that returned survives a power cut. sqlite-utils makes
and migrates the schema; the hot path uses its connection directly.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.storage.store import Loaded, Name, Record, StoreUnavailable

if TYPE_CHECKING:
    from sqlite_utils import Database

_ROWS = 50
"""Rows a statement. Each statement gives up the GIL and has to get it back from a busy event loop,
which takes longer than the statement: few large ones make a batch several times faster."""
_EVERYTHING = ""
"""The row of ``changes`` that counts for all sections: the revision reached or promised."""
_MARK = (
    "INSERT INTO changes(section, revision) VALUES (?,?) ON CONFLICT(section) DO UPDATE "
    "SET revision=max(revision, excluded.revision)"
)


class SqliteEngine:
    """One database file, or ``:memory:``. ``durable=False`` skips the fsync of each commit: a
    power cut loses the last ones, but does not damage the file."""

    def __init__(
        self, path: str | Path, *, durable: bool = True, busy_seconds: float = 5.0
    ) -> None:
        # Late: sqlite-utils is needed to make and migrate the schema, not to serve.
        from sqlite_utils import Database

        try:
            self._db = sqlite3.connect(str(path), isolation_level=None, check_same_thread=False)
            self._db.execute(f"PRAGMA busy_timeout={int(busy_seconds * 1000)}")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            # One server, one writer: a second process must fail at once, not corrupt our image.
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA cache_size=-2000")
            migrate(Database(self._db))
        except sqlite3.Error as err:
            raise StoreUnavailable(f"{path}: {err}") from err

    def load(self) -> Loaded:
        try:
            changes = dict(self._db.execute("SELECT section, revision FROM changes"))
            return Loaded(changes.pop(_EVERYTHING, 0), changes, list(self._records()))
        except (sqlite3.Error, TypeError, ValueError) as err:
            raise StoreUnavailable(f"datastore: {err}") from err

    def _records(self) -> Iterator[Record]:
        rows = self._db.execute("SELECT section, namespace, name, revision, value FROM objects")
        for section, namespace, name, revision, value in rows:
            yield Record(Name(section, namespace, name), revision, value)

    def is_sound(self) -> bool:
        """Reads the whole file to say so."""
        try:
            row = self._db.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error:
            return False
        return bool(row and row[0] == "ok")

    def persist(self, records: Sequence[Record], revision: int) -> None:
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            try:
                self._write(records)
                # One small page whatever the number of rows: no more to write than for one.
                changes = {r.name.section: r.revision for r in records} | {_EVERYTHING: revision}
                db.executemany(_MARK, changes.items())
                db.execute("COMMIT")
            except BaseException:
                # SQLite rolls some failures back itself (disk full): then there is none left.
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        except sqlite3.Error as err:
            raise StoreUnavailable(f"datastore: {err}") from err

    def _write(self, records: Sequence[Record]) -> None:
        last = {record.name: record for record in records}.values()
        kept = [(*r.name, r.revision, r.value) for r in last if r.value is not None]
        gone = [tuple(r.name) for r in last if r.value is None]
        for rows in _chunks(kept):
            self._db.execute(_upsert(len(rows)), [v for row in rows for v in row])
        for names in _chunks(gone):
            self._db.execute(_delete(len(names)), [v for name in names for v in name])

    def close(self) -> None:
        self._db.close()


def _chunks(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    for start in range(0, len(rows), _ROWS):
        yield rows[start : start + _ROWS]


@lru_cache(maxsize=_ROWS)
def _upsert(rows: int) -> str:
    return (
        "INSERT INTO objects(section, namespace, name, revision, value) "
        f"VALUES {','.join(['(?,?,?,?,?)'] * rows)} "
        "ON CONFLICT(section, namespace, name) DO UPDATE SET revision=excluded.revision, "
        "value=excluded.value"
    )


@lru_cache(maxsize=_ROWS)
def _delete(rows: int) -> str:
    names = ",".join(["(?,?,?)"] * rows)
    return f"DELETE FROM objects WHERE (section, namespace, name) IN (VALUES {names})"


def migrate(db: "Database") -> None:
    """Brings a database of any earlier version to this one; idempotent."""
    with db.conn:
        db.table("objects").create(
            {"section": str, "namespace": str, "name": str, "revision": int, "value": bytes},
            pk=("section", "namespace", "name"),
            not_null=("revision", "value"),
            if_not_exists=True,
        )
        db.table("changes").create(
            {"section": str, "revision": int}, pk="section", if_not_exists=True
        )
