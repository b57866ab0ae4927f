"""Volumes of our own classes whose claim is gone: a node is named that takes their data away.

Of a local-path volume it is the node that has it, however long it is off; when that Node itself
is gone, so are the data, and the volume goes too. Of a directory on a share it is any node that
is ready, another one where that does not get it done. The node then deletes the PersistentVolume
(agent/pods/volumes/reclaim.py).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from edgek.api.conditions import find_condition
from edgek.api.meta import Key, Obj, annotations, get_path, key_of, labels, name
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, Watch
from edgek.kinds import NODE
from edgek.kinds import PERSISTENT_VOLUME as VOLUME
from edgek.kinds.provisioned import (
    LOCAL_PATH,
    SHARE,
    STORAGE_NODE,
    is_to_be_reclaimed,
    provisioned_by,
)

TURN = timedelta(minutes=2)
"""How long a node has for a directory on a share before another one is asked."""


def is_shared(volume: Obj, others: Sequence[Obj]) -> bool:
    """Whether another volume has the same directory, or one in it, or one around it."""
    own = (get_path(volume, "spec", "nfs", "server"), _inside(volume))
    # The share itself, mounted whole by an administrator, is no reason to keep anything.
    share = f"{annotations(volume).get(SHARE, '')}/"
    for other in others:
        server, path = get_path(other, "spec", "nfs", "server"), _inside(other)
        near = path.startswith(own[1]) or own[1].startswith(path)
        if near and name(other) != name(volume) and server == own[0] and path not in ("", share):
            return True
    return False


def _inside(volume: Obj) -> str:
    path = get_path(volume, "spec", "nfs", "path", default="")
    return f"{path.rstrip('/')}/" if path else ""


def next_node(current: str, ready: Sequence[str]) -> str:
    """In turn, by name; "" for none."""
    names = sorted(ready)
    return next((n for n in names if n > current), names[0] if names else "")


def is_ready(node: Obj) -> bool:
    found = find_condition(get_path(node, "status", "conditions"), "Ready")
    return found is not None and found["status"] == "True"


class Turn(NamedTuple):
    """Whose it is to take a directory away, and until when."""

    node: str
    ends: datetime


class Reclaiming:
    name = "volume-reclaimer"
    kind = VOLUME

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._volumes = context.informers.get(VOLUME)
        self._nodes = context.informers.get(NODE)
        self._clock = context.clock
        self._turns: dict[Key, Turn] = {}
        self.watches: Sequence[Watch] = (
            ForKind(VOLUME, when=lambda old, new: new is not None and is_to_be_reclaimed(new)),
            Mapped(NODE, self._of_node, when=lambda old, new: old is None or new is None),
        )

    def _of_node(self, node: Obj) -> list[Key]:
        """It came, or it is gone for good."""
        return [key_of(v) for v in self._volumes.list() if is_to_be_reclaimed(v)]

    async def reconcile(self, key: Key) -> Result:
        volume = self._volumes.get(key)
        if volume is None or not is_to_be_reclaimed(volume):
            self._turns.pop(key, None)
            return DONE
        if provisioned_by(volume) == LOCAL_PATH:
            await self._with_its_node(volume)
            return DONE
        if is_shared(volume, self._volumes.list()):
            await self._delete(volume)
            return DONE
        return await self._by_turns(key, volume)

    async def _with_its_node(self, volume: Obj) -> None:
        if self._nodes.get(Key("", labels(volume).get(STORAGE_NODE, ""))) is None:
            await self._delete(volume)

    async def _by_turns(self, key: Key, volume: Obj) -> Result:
        current, now = labels(volume).get(STORAGE_NODE, ""), self._clock.now()
        turn = self._turns.get(key)
        if turn is None or turn.node != current:  # also of an earlier life of this process
            turn = self._turns[key] = Turn(current, now + TURN)
        if not current or now >= turn.ends:
            chosen = next_node(current, [name(n) for n in self._nodes.list() if is_ready(n)])
            turn = self._turns[key] = Turn(chosen or current, now + TURN)
            if turn.node != current:
                patch = {"metadata": {"labels": {STORAGE_NODE: chosen}}}
                await self._client.patch(VOLUME, key, patch)
        return Result(requeue_after=(turn.ends - now).total_seconds())

    async def _delete(self, volume: Obj) -> None:
        which = {"uid": volume["metadata"]["uid"]}
        await self._client.delete(VOLUME, key_of(volume), preconditions=which)


def build(context: Context) -> Reclaiming:
    return Reclaiming(context)
