"""Versions of objects that a controller wrote over itself, while its cache still shows them.

A status says what was done. Who plans from one that is older than its own last write does things
again: pods that are counted by now look as if they never were. Since a status is written over
exactly the version it was worked out from, it is enough to remember that version until the
cache shows another; no resourceVersions are compared. (Upstream: pkg/controller/util/consistency.)
"""

from edgek.api.meta import Obj, resource_version, uid
from edgek.client.client import Client
from edgek.control.informer import Informer


class WrittenOver:
    """Of the objects of one informer. Bounded by the writes that the cache has not shown."""

    def __init__(self, client: Client, informer: Informer) -> None:
        self._client = client
        self._kind = informer.kind
        self._old: dict[str, set[str]] = {}
        informer.on_change(self._changed)

    def is_old(self, obj: Obj) -> bool:
        """The version that we wrote is on its way, and its coming is a change to look at."""
        return resource_version(obj) in self._old.get(uid(obj), ())

    async def update_status(self, obj: Obj, status: Obj) -> Obj:
        """Noted before it is made: the watch may be quicker than the answer."""
        self._old.setdefault(uid(obj), set()).add(resource_version(obj))
        written = obj
        try:
            written = await self._client.update_status(self._kind, {**obj, "status": status})
        finally:
            if resource_version(written) == resource_version(obj):  # it failed, or changed nothing
                self._old.get(uid(obj), set()).discard(resource_version(obj))
        return written

    def _changed(self, old: Obj | None, new: Obj | None) -> None:
        if old is not None and (new is None or not self.is_old(new)):
            self._old.pop(uid(old), None)
