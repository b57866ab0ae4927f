"""Store: what the registry needs of a datastore.

One increasing revision for the whole store. An entry is named by section (a kind's storage
prefix), namespace and name. Reads are from memory and current: a commit that was acknowledged is
seen by every read after it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


class StoreError(Exception):
    """Base of what a store raises."""


class ConditionFailed(StoreError):
    """An operation expected another revision; ``actual`` is 0 where nothing is stored."""

    def __init__(self, name: "Name", actual: int) -> None:
        super().__init__(f"{name}: revision is {actual}")
        self.name = name
        self.actual = actual


class HistoryGone(StoreError):
    """A watch asked for changes older than those kept. ``oldest`` is what can be asked for."""

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {asked} ({oldest})")
        self.oldest = oldest


class RevisionUnknown(StoreError):
    """A revision that this store has not reached."""

    def __init__(self, asked: int, current: int) -> None:
        super().__init__(f"Too large resource version: {asked}, current: {current}")


class StoreUnavailable(StoreError):
    """The commit is not durable and did not happen (disk full, read-only...)."""


class Name(NamedTuple):
    section: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.section}{self.namespace}/{self.name}"


class Entry:
    """One stored object at one revision; immutable.

    ``raw`` is its JSON with the revision in it, the same bytes on disk, in lists and in watches.
    ``obj``, where it is held, is the object as readers in this process share it: what of it
    nobody but its writers needs may be missing.
    """

    __slots__ = ("_decode", "name", "namespace", "obj", "raw", "revision")

    def __init__(
        self,
        name: str,
        *,
        namespace: str,
        revision: int,
        raw: bytes,
        obj: Any,
        decode: Callable[[bytes], Any],
    ) -> None:
        self.name = name
        self.namespace = namespace
        self.revision = revision
        self.raw = raw
        self.obj = obj
        self._decode = decode

    def decoded(self) -> Any:
        """The whole object, read anew."""
        return self._decode(self.raw)

    def shared(self) -> Any:
        """The object for those who only read: never mutate it."""
        return self.obj if self.obj is not None else self._decode(self.raw)


Encode = Callable[[int], tuple[bytes, Any]]
"""Given the commit's revision, the bytes to store and the object they stand for. May raise, to
refuse."""


@dataclass(frozen=True, slots=True)
class Op:
    """Write ``name``, or with ``delete`` remove it (``encode`` then gives its last state, for
    watchers). ``expected`` revision: 0 must not exist, None unconditional."""

    name: Name
    encode: Encode
    expected: int | None = None
    delete: bool = False


class Change(NamedTuple):
    """``old`` None: added; ``new`` None is never: a deletion carries the last state as ``new``."""

    type: str
    new: Entry
    old: Entry | None


class Watcher(Protocol):
    """Changes of one section from a revision on. Close it when done."""

    async def next(self) -> list[Change]:
        """The changes since the last call, at least one; [] when the watcher was closed because
        it fell too far behind. ``revision`` then tells how far it had got."""

    revision: int

    @property
    def ended(self) -> bool:
        """No more will come: closed, or overflown and drained."""

    def close(self) -> None: ...


class Store(Protocol):
    def revision_of(self, section: str) -> int:
        """What a read of the section is current at: a watch from here misses nothing."""

    def last_change(self, section: str) -> int:
        """The revision of the section's last change."""

    def get(self, name: Name) -> Entry | None: ...

    def entries(self, section: str, namespace: str = "") -> Sequence[Entry]:
        """In order of namespace and name; a snapshot that later commits leave alone."""

    def indexed(self, section: str, path: str, value: str) -> Iterable[Entry]: ...

    def keep_decoded(self, section: str) -> None:
        """Someone in this process holds the section's objects: share them instead of decoding."""

    async def commit(self, op: Op) -> Entry:
        """Returns once durable. Raises ConditionFailed, StoreUnavailable."""

    def follow(self, section: str, follower: Callable[[Change], None]) -> None:
        """Tells of each change of the section in the step in which it becomes visible."""

    async def settle(self, name: Name) -> None:
        """Returns once no commit to ``name`` is under way."""

    def watch(
        self, section: str, *, since: int, namespace: str = "", index: tuple[str, str] | None = None
    ) -> Watcher:
        """``index`` (path, value) tells only changes where the old or the new state has that
        value. Raises HistoryGone, RevisionUnknown."""

    async def close(self) -> None: ...


class Record(NamedTuple):
    """A row as an engine keeps it. ``value`` None removes it."""

    name: Name
    revision: int
    value: bytes | None


class Loaded(NamedTuple):
    """``revision`` was reached or promised; ``changes`` has each section's last, deletions too."""

    revision: int
    changes: Mapping[str, int]
    records: Iterable[Record]


class Engine(Protocol):
    """Makes records durable; used by one store only."""

    def load(self) -> Loaded: ...

    def persist(self, records: Sequence[Record], revision: int) -> None:
        """All or nothing, on disk when it returns. Raises StoreUnavailable. Runs in a thread."""

    def close(self) -> None: ...
