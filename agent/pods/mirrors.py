"""Mirrors: for each static pod of this node an object in the API that shows it.

One is made when it is missing (also when somebody has deleted it), replaced when its manifest has
changed, and deleted when the static pod has ended. As pkg/kubelet/pod/mirror_client.go. Static
pods do not wait for any of this.
"""

import contextlib
import logging
from collections.abc import Callable

from agent.pods.static import is_mirror, mirror_of, shows
from agent.pods.status_writer import StatusWriter
from agent.pods.store import Pods
from edgek.aio.outage import Outage
from edgek.api.errors import AlreadyExists, ApiError, NotFound, ServiceUnavailable, Timeout
from edgek.api.meta import Key, Obj, is_deleting, uid
from edgek.client.client import Client
from edgek.control.workqueue import WorkQueue
from edgek.kinds import POD

log = logging.getLogger(__name__)

MAX_RETRY = 60.0
CREATE, DELETE, NOTHING = "create", "delete", ""


def plan_mirror(static: Obj | None, mirror: Obj | None, *, ending: bool) -> str:
    """What to do for one name. ``ending``: a static pod of that name is still being ended, and
    its mirror tells of that."""
    if mirror is None:
        return CREATE if static is not None else NOTHING
    if static is None:
        return NOTHING if ending and not is_deleting(mirror) else DELETE
    return DELETE if is_deleting(mirror) or not shows(mirror, static) else NOTHING


class Mirrors:
    """``node`` gives our Node as the API has it, which owns mirrors; None while there is none."""

    def __init__(
        self, client: Client, pods: Pods, writer: StatusWriter, *, node: Callable[[], Obj | None]
    ) -> None:
        self._client, self._pods, self._writer, self._node = client, pods, writer, node
        self._queue: WorkQueue[Key] = WorkQueue(max_delay=MAX_RETRY)
        self._outages: dict[Key, Outage] = {}
        pods.on_static = self._queue.add

    def on_node(self, old: Obj | None, new: Obj | None) -> None:
        """An informer's handler: a Node that is made anew owns no mirrors yet."""
        if old is None and new is not None and new is self._node():
            for key in self._pods.statics():
                self._queue.add(key)

    async def run(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self._reconcile(key)
            except ApiError as err:
                known = isinstance(err, ServiceUnavailable | Timeout)
                self._outage(key).failed(err, known=known)
                self._queue.add_rate_limited(key)
            else:
                self._queue.forget(key)
                if (outage := self._outages.pop(key, None)) is not None:
                    outage.over()
            finally:
                self._queue.done(key)

    async def _reconcile(self, key: Key) -> None:
        if not self._pods.synced:
            return  # which mirrors there are is not known yet; ``Pods.sync`` asks again
        static, mirror = self._pods.static(key), self._pods.mirrors.get(key)
        action = plan_mirror(static, mirror, ending=self._pods.ending(key))
        if action == DELETE and mirror is not None:
            await self._delete(key, mirror)
        elif action == CREATE and static is not None:
            await self._create(key, static)
        elif static is not None:
            self._writer.put(static, static["status"])

    async def _create(self, key: Key, static: Obj) -> None:
        node = self._node()
        if node is None:
            return  # ``on_node`` asks again
        try:
            made = await self._client.create(POD, mirror_of(static, node))
        except AlreadyExists:
            made = await self._client.get(POD, key)
            if not is_mirror(made):
                raise AlreadyExists(f"there is a pod {key} already, made by others") from None
        self._pods.adopt(made)

    async def _delete(self, key: Key, mirror: Obj) -> None:
        preconditions = {"uid": uid(mirror)}
        with contextlib.suppress(NotFound):
            await self._client.delete(POD, key, grace_period_seconds=0, preconditions=preconditions)
        if self._pods.mirrors.get(key) is mirror:
            self._pods.on_change(mirror, None)

    def _outage(self, key: Key) -> Outage:
        return self._outages.setdefault(key, Outage(log, f"mirror of static pod {key}"))
