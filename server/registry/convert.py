"""Between the version an object is stored in and the one a request speaks.

Most kinds are stored as they are served and pass through untouched. For the others a converted
entry stands for the stored one at the same revision; the last few are kept, because each of a
kind's watchers asks for the same ones.
"""

from collections import OrderedDict
from collections.abc import Sequence

import orjson

from edgek.api.meta import Obj
from edgek.kinds.kind import Conversion, Kind
from server.storage.store import Change, Entry

KEPT = 256

_Key = tuple[Conversion, str, str, str, int]


class Converter:
    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, Entry] = OrderedDict()

    async def one(self, kind: Kind, entry: Entry) -> Entry:
        if kind.conversion is None:
            return entry
        return (await self.served(kind, [entry]))[0]

    async def served(self, kind: Kind, entries: Sequence[Entry]) -> Sequence[Entry]:
        """The entries as ``kind`` shows them, in the same order. Raises ApiError."""
        conversion = kind.conversion
        if conversion is None or not entries:
            return entries
        found = [self._kept.get(_key(kind, conversion, entry)) for entry in entries]
        missing = [e for e, known in zip(entries, found, strict=True) if known is None]
        stored = [e.decoded() for e in missing]
        shown = await conversion.serve(stored)
        fresh = (
            entry if new is old else _shown(entry, new)
            for entry, old, new in zip(missing, stored, shown, strict=True)
        )
        made = [known or next(fresh) for known in found]
        if len(entries) <= KEPT:
            self._keep(kind, conversion, made)
        return made

    async def served_changes(self, kind: Kind, changes: list[Change]) -> list[Change]:
        """A watch's changes, both sides as ``kind`` shows them."""
        if kind.conversion is None or not changes:
            return changes
        olds = [c.old for c in changes if c.old is not None]
        shown = await self.served(kind, [*(c.new for c in changes), *olds])
        new, old = iter(shown), iter(shown[len(changes) :])
        return [Change(c.type, next(new), None if c.old is None else next(old)) for c in changes]

    def _keep(self, kind: Kind, conversion: Conversion, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._kept[_key(kind, conversion, entry)] = entry
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)


def _key(kind: Kind, conversion: Conversion, entry: Entry) -> _Key:
    return conversion, kind.storage_prefix, entry.namespace, entry.name, entry.revision


def _shown(entry: Entry, obj: Obj) -> Entry:
    return Entry(
        entry.name,
        namespace=entry.namespace,
        revision=entry.revision,
        raw=orjson.dumps(obj),
        obj=obj,
        decode=orjson.loads,
    )
