"""limit and continue: pages of one consistent list.

A token names the revision of the first page and where the next begins. As long as nothing of
the kind has changed, the next page comes from the live entries; after that from a snapshot
that the first page left behind (references, not copies; few and not for long, so memory stays
bounded). When that is gone the client gets 410 with a token to go on inconsistently, as upstream.
"""

import base64
import binascii
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import orjson

from edgek.api import errors
from server.endpoints.negotiate import ListMeta
from server.endpoints.select import Selection
from server.registry.registry import Registry
from server.storage.store import Entry

SNAPSHOTS = 16
KEPT = timedelta(minutes=5)
"""As long as upstream keeps old revisions (etcd's compaction)."""
INCONSISTENT = -1


class Token(NamedTuple):
    """``revision`` INCONSISTENT: go on with whatever is there now."""

    revision: int
    namespace: str
    name: str

    def text(self) -> str:
        return base64.urlsafe_b64encode(orjson.dumps(["edgek/v1", *self])).decode().rstrip("=")


def parse_token(text: str) -> Token:
    try:
        padded = text + "=" * (-len(text) % 4)
        mark, revision, namespace, name = orjson.loads(base64.urlsafe_b64decode(padded))
        token = Token(revision, namespace, name)
    except (ValueError, TypeError, binascii.Error) as err:
        raise errors.BadRequest("continue key is not valid") from err
    shape = (type(mark), *(type(part) for part in token))
    if mark != "edgek/v1" or shape != (str, int, str, str):
        raise errors.BadRequest("continue key is not valid")
    return token


class Snapshot(NamedTuple):
    taken: datetime
    entries: Sequence[Entry]


@dataclass(kw_only=True)
class Pages:
    """Keeps the snapshots of lists that are being paged through, the oldest first."""

    snapshots: OrderedDict[tuple[int, Selection], Snapshot] = field(default_factory=OrderedDict)

    async def page(
        self, registry: Registry, selection: Selection, *, limit: int, token: Token | None
    ) -> tuple[Sequence[Entry], ListMeta]:
        self._forget(registry.clock.now() - KEPT)
        revision = registry.store.revision_of(selection.kind.storage_prefix)
        if token is None:
            entries = await selection.entries(registry)
        else:
            entries, revision = await self._resume(registry, selection, token, revision)
        rest = entries if token is None else _after(entries, token)
        if not limit or len(rest) <= limit:
            return rest, ListMeta(str(revision))
        # The whole list, not the rest: a client that lost a page asks for it once more.
        self._keep(revision, selection, Snapshot(registry.clock.now(), entries))
        return self._cut(rest, selection, revision, limit)

    def _forget(self, before: datetime) -> None:
        """Without a timer: lists that page come often enough."""
        while self.snapshots and next(iter(self.snapshots.values())).taken < before:
            self.snapshots.popitem(last=False)

    def _keep(self, revision: int, selection: Selection, snapshot: Snapshot) -> None:
        self.snapshots.pop((revision, selection), None)
        self.snapshots[revision, selection] = snapshot
        while len(self.snapshots) > SNAPSHOTS:
            self.snapshots.popitem(last=False)

    def _cut(
        self, entries: Sequence[Entry], selection: Selection, revision: int, limit: int
    ) -> tuple[Sequence[Entry], ListMeta]:
        page = entries[:limit]
        token = Token(revision, page[-1].namespace, page[-1].name)
        # As upstream: with selectors the rest is not known, so it is not told.
        remaining = None if selection else len(entries) - limit
        return page, ListMeta(str(revision), token.text(), remaining)

    async def _resume(
        self, registry: Registry, selection: Selection, token: Token, revision: int
    ) -> tuple[Sequence[Entry], int]:
        unchanged = registry.store.last_change(selection.kind.storage_prefix) <= token.revision
        if token.revision == INCONSISTENT or unchanged:
            entries = await selection.entries(registry)
            revision = token.revision if unchanged else revision
        elif (kept := self.snapshots.get((token.revision, selection))) is not None:
            entries, revision = kept.entries, token.revision
        else:
            raise _expired(token)
        return entries, revision


def _after(entries: Sequence[Entry], token: Token) -> Sequence[Entry]:
    start = (token.namespace, token.name)
    return entries[bisect_right(entries, start, key=lambda e: (e.namespace, e.name)) :]


def _expired(token: Token) -> errors.Expired:
    go_on = Token(INCONSISTENT, token.namespace, token.name).text()
    error = errors.Expired(
        "The provided continue parameter is too old to display a consistent list result. You can "
        "start a new list without the continue parameter, or use the continue token in this "
        "response to retrieve the remainder of the results. Continuing with the provided token "
        "results in an inconsistent list - objects that were created, modified, or deleted "
        "between the time the first chunk was returned and now may show up in the list."
    )
    error.metadata = {"continue": go_on}
    return error
