"""The entries of one kind, in order, with the indexes and the history that watches need."""

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from server.storage.store import Change, Entry, HistoryGone
from server.storage.watch import SectionWatcher

HISTORY = 1024
"""Changes kept for resuming watches, as bytes; an idle kind keeps them for ever."""
BOOKMARK_SECONDS = 60.0

Index = Callable[[Any], str]
Keep = Callable[[Any], Any]
"""What of a decoded object is held in memory."""
Follower = Callable[[Change], None]
"""Called as a change becomes visible, in the same step: who follows is never behind a reader.
Must not raise."""


def whole(obj: Any) -> Any:
    return obj


class _Space:
    """One namespace of a section. ``order`` is the sorted names, None when it must be made."""

    __slots__ = ("entries", "order")

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.order: list[str] | None = []

    def sorted(self) -> list[Entry]:
        if self.order is None:
            self.order = sorted(self.entries)
        return [self.entries[name] for name in self.order]

    def put(self, entry: Entry) -> None:
        if entry.name not in self.entries and self.order is not None:
            # Names mostly come in small numbers between lists: keep the order if it is cheap.
            if not self.order or entry.name > self.order[-1]:
                self.order.append(entry.name)
            else:
                self.order = None
        self.entries[entry.name] = entry

    def drop(self, name: str) -> None:
        del self.entries[name]
        if self.order is not None:
            del self.order[bisect_left(self.order, name)]


class Section:
    """Invariant: ``floor`` <= every resumable revision; ``history`` holds all changes above it."""

    def __init__(
        self,
        *,
        floor: int,
        indexes: dict[str, Index] | None = None,
        history: int = HISTORY,
        keep: Keep = whole,
    ) -> None:
        self.floor = floor
        self.revision = floor
        self.keep_decoded = False
        self._spaces: dict[str, _Space] = {}
        self._history: deque[Change] = deque()
        self._history_size = history
        self._keep = keep
        self._index_of = indexes or {}
        self._indexed: dict[tuple[str, str], dict[tuple[str, str], Entry]] = {}
        self._watchers: dict[tuple[str, str] | None, set[SectionWatcher]] = {}
        self._bookmark: asyncio.TimerHandle | None = None
        self._followers: list[Follower] = []

    def get(self, namespace: str, name: str) -> Entry | None:
        space = self._spaces.get(namespace)
        return space.entries.get(name) if space else None

    def entries(self, namespace: str = "") -> Sequence[Entry]:
        if namespace or len(self._spaces) <= 1:
            space = self._spaces.get(namespace) if namespace else _only(self._spaces)
            return space.sorted() if space else ()
        return [e for ns in sorted(self._spaces) for e in self._spaces[ns].sorted()]

    def __len__(self) -> int:
        return sum(len(s.entries) for s in self._spaces.values())

    def indexed(self, path: str, value: str) -> Iterable[Entry]:
        return tuple(self._indexed.get((path, value), {}).values())

    def load(self, entry: Entry) -> None:
        """Puts an entry without telling anyone: at start only."""
        self._spaces.setdefault(entry.namespace, _Space()).put(entry)
        self._reindex(None, entry, entry.shared() if self._index_of else None)

    def apply(self, change: Change) -> None:
        """Makes the change visible and tells the watchers."""
        new, old = change.new, change.old
        self.revision = new.revision
        bare = _lean(new)
        self._remember(Change(change.type, bare, None if old is None else _lean(old)))
        decoded = new.shared()
        targets = self._targets(old, decoded)
        if change.type == "DELETED":
            self._remove(new)
        else:
            if not self.keep_decoded:
                new = bare
            self._spaces.setdefault(new.namespace, _Space()).put(new)
            self._reindex(old, new, decoded)
        for follower in self._followers:
            follower(change)
        self._tell(change, targets)

    def follow(self, follower: "Follower") -> None:
        self._followers.append(follower)

    def end_watches(self) -> None:
        """Their readers come to the end of the stream, and watch again if they may."""
        for watchers in tuple(self._watchers.values()):
            for watcher in tuple(watchers):
                watcher.close()

    def _remove(self, entry: Entry) -> None:
        space = self._spaces[entry.namespace]
        old = space.entries[entry.name]
        space.drop(entry.name)
        self._reindex(old, None, None)
        if not space.entries:
            del self._spaces[entry.namespace]

    def _remember(self, change: Change) -> None:
        self._history.append(change)
        while len(self._history) > self._history_size:
            self.floor = self._history.popleft().new.revision

    def _targets(self, old: Entry | None, decoded: Any) -> set[tuple[str, str] | None]:
        targets: set[tuple[str, str] | None] = {None}
        if self._watchers.keys() - targets:
            before = old.shared() if old is not None else None
            for path, read in self._index_of.items():
                targets.add((path, read(decoded)))
                if before is not None:
                    targets.add((path, read(before)))
        return targets

    def _tell(self, change: Change, targets: set[tuple[str, str] | None]) -> None:
        for target in targets:
            # A copy: a watcher that overflows detaches itself.
            for watcher in tuple(self._watchers.get(target, ())):
                watcher.push(change)
        if self._watchers and self._bookmark is None:
            loop = asyncio.get_running_loop()
            self._bookmark = loop.call_later(BOOKMARK_SECONDS, self._send_bookmarks)

    def _send_bookmarks(self) -> None:
        """Lets idle watchers resume from here; armed by a change, so an idle kind has no timer."""
        self._bookmark = None
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.push_bookmark(self.revision)

    def _reindex(self, old: Entry | None, new: Entry | None, decoded: Any) -> None:
        for path, read in self._index_of.items():
            if old is not None:
                bucket = (path, read(old.shared()))
                found = self._indexed[bucket]
                found.pop((old.namespace, old.name), None)
                if not found:
                    del self._indexed[bucket]
            if new is not None:
                bucket = (path, read(decoded))
                self._indexed.setdefault(bucket, {})[new.namespace, new.name] = new

    def since(self, revision: int) -> list[Change]:
        """Changes after ``revision``. Raises HistoryGone."""
        if revision < self.floor:
            raise HistoryGone(revision, self.floor)
        return [c for c in self._history if c.new.revision > revision]

    def attach(self, watcher: SectionWatcher, index: tuple[str, str] | None) -> None:
        self._watchers.setdefault(index, set()).add(watcher)

    def detach(self, watcher: SectionWatcher, index: tuple[str, str] | None) -> None:
        found = self._watchers.get(index)
        if found is None:
            return
        found.discard(watcher)
        if not found:
            del self._watchers[index]
        if not self._watchers and self._bookmark is not None:
            self._bookmark.cancel()
            self._bookmark = None

    def decode_all(self) -> None:
        """From now on keeps decoded objects: someone in this process holds them anyway."""
        if self.keep_decoded:
            return
        self.keep_decoded = True
        for space in self._spaces.values():
            for entry in space.entries.values():
                entry.obj = self._keep(entry.decoded())


def _only(spaces: dict[str, _Space]) -> _Space | None:
    return next(iter(spaces.values()), None)


def _lean(entry: Entry) -> Entry:
    """The entry without its decoded object."""
    if entry.obj is None:
        return entry
    return Entry(
        entry.name,
        namespace=entry.namespace,
        revision=entry.revision,
        raw=entry.raw,
        obj=None,
        decode=entry._decode,
    )
