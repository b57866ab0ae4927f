"""Keeping the history of a workload's template: making, raising and removing its revisions.

Shared by the controllers whose pods come from ControllerRevisions; what is kept and what goes is
decided in controller_revision.py. As pkg/controller/history.
"""

from collections.abc import Iterable
from dataclasses import replace

from edgek.api.errors import AlreadyExists, Conflict, NotFound
from edgek.api.meta import Obj, is_controlled_by, key_of, name, resource_version, uid
from edgek.control.controller import Context
from edgek.kinds import CONTROLLER_REVISION
from edgek.kinds.kind import Kind
from server.controllers.adoption import claim, index_orphans, selector_of
from server.controllers.controller_revision import (
    HASH,
    History,
    find_history,
    new_revision,
    revision_of,
    template_patch,
)


class RevisionControl:
    """The revisions' side of one controller of objects of ``kind``."""

    def __init__(self, context: Context, kind: Kind, *, hash_key: str = HASH) -> None:
        self._client = context.client
        self._kind = kind
        self._hash_key = hash_key
        self._revisions = context.informers.get(CONTROLLER_REVISION)
        index_orphans(self._revisions)

    async def known(self, owner: Obj) -> History:
        """What there is, after adopting and releasing."""
        kinds, selector = (self._kind, CONTROLLER_REVISION), selector_of(owner)
        return find_history(
            owner, await claim(self._client, kinds, self._revisions, owner, selector)
        )

    async def history(self, owner: Obj) -> tuple[History, Obj]:
        """With the present template's revision, made or made the newest where it was not."""
        history = await self.known(owner)
        current = history.current
        if current is None:
            current = await self._snapshot(owner, history)
        elif history.old and revision_of(current) < history.next_revision:  # an undo
            raised = {**current, "revision": history.next_revision}
            current = await self._client.update(CONTROLLER_REVISION, raised)
        return replace(history, current=current), current

    async def remove(self, revisions: Iterable[Obj]) -> None:
        for revision in revisions:
            only = {"uid": uid(revision), "resourceVersion": resource_version(revision)}
            try:
                await self._client.delete(CONTROLLER_REVISION, key_of(revision), preconditions=only)
            except NotFound:
                continue

    async def _snapshot(self, owner: Obj, history: History) -> Obj:
        wanted = new_revision(owner, history.next_revision, self._hash_key)
        try:
            return await self._client.create(CONTROLLER_REVISION, wanted)
        except AlreadyExists:
            pass
        try:
            existing = await self._client.get(CONTROLLER_REVISION, key_of(wanted))
        except NotFound as err:
            raise Conflict.of(CONTROLLER_REVISION, name(wanted)) from err
        same = existing.get("data") == template_patch(owner)
        if same and is_controlled_by(existing, owner):
            return existing  # made by us, and not in the cache yet
        status: Obj = {**(owner.get("status") or {})}
        status["collisionCount"] = status.get("collisionCount", 0) + 1
        await self._client.update_status(self._kind, {**owner, "status": status})
        raise AlreadyExists.of(CONTROLLER_REVISION, name(wanted))
