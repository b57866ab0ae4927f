"""Watches: what is there (if asked), then each change as it happens, with bookmarks.

As apiserver storage/cacher and handlers/watch.go. A selector turns changes into what the
watcher would see: an object that leaves it is DELETED to this watcher. A reader that falls too
far behind is cut off and resumes from history.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Self

import orjson

from edgek.api import errors
from edgek.client.transport import WatchEvent
from server.endpoints.env import Env
from server.endpoints.negotiate import View, bookmark_object, line_of, negotiate
from server.endpoints.query import flag, number, revision
from server.endpoints.route import Target
from server.endpoints.select import Selection
from server.registry.convert import Converter
from server.registry.errors import store_errors
from server.request.model import Request, Response
from server.storage.store import Change, Entry, Watcher

MIN_SECONDS = 1800
"""A watch without timeoutSeconds ends after this to twice this, as apiserver's
--min-request-timeout spreads them."""
BATCH = 64
"""Initial objects per chunk: bounds memory and the time other requests wait."""

Chunk = list[tuple[WatchEvent | None, bytes]]


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """``initial``: send what is there first; ``mark_end``: then say so with a bookmark."""

    selection: Selection
    view: View
    in_process: bool
    bookmarks: bool
    initial: bool
    mark_end: bool
    seconds: float


async def watch(env: Env, request: Request, target: Target) -> Response:
    plan = _plan(env, request, target)
    asked = revision(request.query)
    try:
        watcher, candidates, at = _open(env, plan, asked)
    except errors.Expired as err:
        # As upstream's cacher: a watch from too old a revision starts, and says so in its stream.
        return Response(watch=_error(err))
    feed = _Feed(plan, watcher, env.registry.converter)
    return Response(watch=_Stream(_events(feed, candidates, at), watcher))


class _Stream:
    """The events, with a close that frees the watcher even where nothing was ever read: a
    generator that has not begun has no ``finally`` yet."""

    def __init__(self, events: AsyncGenerator[Chunk, None], watcher: Watcher) -> None:
        self._events = events
        self._watcher = watcher

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        return await anext(self._events)

    async def aclose(self) -> None:
        self._watcher.close()
        await self._events.aclose()


def _plan(env: Env, request: Request, target: Target) -> _Plan:
    query = request.query
    send_initial = flag(query, "sendInitialEvents")
    if send_initial and query.get("resourceVersionMatch") != "NotOlderThan":
        raise errors.Invalid(
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting "
            "resourceVersionMatch to NotOlderThan"
        )
    if query.get("resourceVersionMatch") and "sendInitialEvents" not in query:
        raise errors.Invalid(
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless "
            "sendInitialEvents is provided"
        )
    bookmarks = flag(query, "allowWatchBookmarks")
    seconds = number(query, "timeoutSeconds") or random.uniform(MIN_SECONDS, 2 * MIN_SECONDS)
    return _Plan(
        selection=Selection.of(target.kind, target.key.namespace, query),
        view=negotiate(env, request, target.kind),
        in_process=request.in_process,
        bookmarks=bookmarks,
        initial=send_initial or ("sendInitialEvents" not in query and not revision(query)),
        mark_end=send_initial and bookmarks,
        seconds=seconds,
    )


@dataclass(frozen=True)
class _Feed:
    """A plan and where its changes come from."""

    plan: _Plan
    watcher: Watcher
    converter: Converter

    async def next(self) -> list[Change]:
        kind = self.plan.selection.kind
        return await self.converter.served_changes(kind, await self.watcher.next())


def _open(env: Env, plan: _Plan, asked: int | None) -> tuple[Watcher, Sequence[Entry], int]:
    """Subscribes and reads in one step of the loop: nothing can come in between."""
    selection, store = plan.selection, env.registry.store
    section = selection.kind.storage_prefix
    if plan.in_process:
        selection.hold(store)
    with store_errors(selection.kind):
        since = store.revision_of(section)
        if asked and (not plan.initial or asked > since):
            since = asked
        watcher = store.watch(
            section, since=since, namespace=selection.namespace, index=selection.index
        )
    candidates = selection.candidates(env.registry) if plan.initial else []
    return watcher, candidates, since


async def _events(feed: _Feed, candidates: Sequence[Entry], at: int) -> AsyncGenerator[Chunk, None]:
    first = True
    try:
        async for chunk in _initial(feed, candidates):
            first = False
            yield chunk
        if feed.plan.mark_end:
            yield [_bookmark(feed.plan, at, initial_end=True)]
        async for chunk in _follow(feed, first=first):
            yield chunk
    except errors.ApiError as err:  # an object that cannot be converted
        async for chunk in _error(err):
            yield chunk
    finally:
        feed.watcher.close()


async def _initial(feed: _Feed, candidates: Sequence[Entry]) -> AsyncIterator[Chunk]:
    plan, first = feed.plan, True
    for start in range(0, len(candidates), BATCH):
        shown = await feed.converter.served(plan.selection.kind, candidates[start : start + BATCH])
        chunk = []
        for entry in shown:
            if not plan.selection or plan.selection.matches(entry.shared()):
                chunk.append(_one(plan, "ADDED", entry, first=first))
                first = False
        if chunk:
            yield chunk


async def _follow(feed: _Feed, *, first: bool) -> AsyncIterator[Chunk]:
    plan, watcher = feed.plan, feed.watcher
    overdue = False

    def end() -> None:
        nonlocal overdue
        overdue = True
        watcher.close()

    # One timer a watch: a timeout around each wait costs a fifth of each event.
    timer = asyncio.get_running_loop().call_later(plan.seconds, end)
    try:
        while not watcher.ended:
            changes = await feed.next()
            chunk = []
            for change in changes:
                if (seen := _seen(plan.selection, change)) is not None:
                    chunk.append(_one(plan, *seen, first=first))
                    first = False
            if not chunk and plan.bookmarks and not watcher.ended:
                chunk = [_bookmark(plan, watcher.revision)]
            if chunk:
                yield chunk
    finally:
        timer.cancel()
    if overdue and plan.bookmarks:
        yield [_bookmark(plan, watcher.revision)]


def _seen(selection: Selection, change: Change) -> tuple[str, Entry] | None:
    """The change as a watcher with this selection sees it; None where it does not."""
    if not selection:
        return change.type, change.new
    was = change.old is not None and selection.matches(change.old.shared())
    is_ = change.type != "DELETED" and selection.matches(change.new.shared())
    if is_:
        return ("MODIFIED" if was else "ADDED"), change.new
    if not was or change.old is None:
        return None
    return "DELETED", (change.new if change.type == "DELETED" else _left(change.old, change.new))


def _left(old: Entry, new: Entry) -> Entry:
    """The last state that matched, at the revision at which it left."""
    obj = old.decoded()
    obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(new.revision)}}
    return Entry(
        old.name,
        namespace=old.namespace,
        revision=new.revision,
        raw=orjson.dumps(obj),
        obj=obj,
        decode=orjson.loads,
    )


def _one(plan: _Plan, type_: str, entry: Entry, *, first: bool) -> tuple[WatchEvent | None, bytes]:
    if plan.in_process:
        return WatchEvent(type_, entry.shared()), b""
    return None, plan.view.line(type_, entry, first=first)


def _bookmark(
    plan: _Plan, at: int, *, initial_end: bool = False
) -> tuple[WatchEvent | None, bytes]:
    if plan.in_process:
        kind = plan.selection.kind
        obj = bookmark_object(kind.api_version, kind.kind, str(at), initial_end=initial_end)
        return WatchEvent("BOOKMARK", obj), b""
    return None, plan.view.bookmark(str(at), initial_end=initial_end)


async def _error(err: errors.ApiError) -> AsyncIterator[Chunk]:
    status = err.to_status()
    yield [(WatchEvent("ERROR", status), line_of("ERROR", orjson.dumps(status)))]
