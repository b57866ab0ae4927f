"""Reconciler and the engine that runs it: a level-based control loop over keys.

A reconciler says what it watches as values and brings one key to its desired state; no event
type ever reaches it. The engine turns changes into keys on a work queue and runs workers, at
most one per key. A reconcile that raises is tried again with per-key exponential backoff; one
that returns ``Result(requeue_after=s)`` runs again after ``s`` seconds. With nothing changed,
nothing runs.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from edgek.aio.clock import Clock
from edgek.aio.tasks import Tasks
from edgek.api.errors import ApiError, Conflict, NotFound
from edgek.api.meta import Key, Obj
from edgek.client.client import Client
from edgek.control.events import EventRecorder
from edgek.control.informer import Informer, Informers
from edgek.control.sources import ForKind, Mapped, OwnedBy, Reads, Watch, When, always, owner_key
from edgek.control.workqueue import WorkQueue
from edgek.kinds.kind import Kind

__all__ = [
    "DONE",
    "Builder",
    "Context",
    "Controller",
    "ForKind",
    "Loop",
    "Mapped",
    "OwnedBy",
    "Reads",
    "Reconciler",
    "Result",
    "Watch",
    "When",
    "always",
    "owner_key",
    "run_controllers",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """``requeue_after`` seconds later the key runs again, whether or not anything changed."""

    requeue_after: float | None = None


DONE = Result()

# A key that changes faster than it is worked on rests in between, for longer the more work it
# is: else an object with a thousand dependents is gone through once for each that changes.
REST_FACTOR = 4
MAX_REST = 0.05


class Reconciler(Protocol):
    """``name`` as upstream names the controller; ``kind`` is what its keys name."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def watches(self) -> Sequence[Watch]: ...

    async def reconcile(self, key: Key) -> Result:
        """Brings the object named to its desired state, from any state, any number of times.

        Absent objects are normal, not errors. Whatever is raised means: again, later.
        """


@runtime_checkable
class Loop(Protocol):
    """A controller with an engine of its own, because its work is not keyed by one kind."""

    @property
    def name(self) -> str: ...

    async def run(self) -> None:
        """Runs until cancelled; no task of it outlives that."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What every controller is built from; nothing else reaches it."""

    client: Client
    informers: Informers
    events: EventRecorder
    clock: Clock


Builder = Callable[[Context], Reconciler | Loop]


async def run_controllers(context: Context, builders: Sequence[Builder]) -> None:
    """Runs them all until cancelled, or until one dies of a bug in its engine."""
    async with Tasks("controllers") as tasks:
        built = [build(context) for build in builders]
        loops = [b if isinstance(b, Loop) else Controller(b, context.informers) for b in built]
        for loop in loops:
            tasks.spawn(loop.run(), name=loop.name)
        await tasks.wait()


class Controller:
    """Runs one reconciler. ``run`` returns only by cancellation; workers end with it."""

    def __init__(
        self,
        reconciler: Reconciler,
        informers: Informers,
        *,
        workers: int = 4,
        queue: WorkQueue[Key] | None = None,
    ) -> None:
        self.reconciler = reconciler
        self.queue: WorkQueue[Key] = WorkQueue() if queue is None else queue
        self._workers = workers
        self._informers = [self._watch(informers, watch) for watch in reconciler.watches]

    @property
    def name(self) -> str:
        return self.reconciler.name

    def _watch(self, informers: Informers, watch: Watch) -> Informer:
        informer = informers.get(
            watch.kind, label_selector=watch.label_selector, field_selector=watch.field_selector
        )

        def changed(old: Obj | None, new: Obj | None) -> None:
            for key in watch.keys(old, new):
                self.queue.add(key)

        informer.on_change(changed)
        return informer

    async def run(self) -> None:
        for informer in self._informers:
            await informer.wait_synced()
        async with Tasks(self.reconciler.name) as tasks:
            for number in range(self._workers):
                tasks.spawn(self._work(), name=f"worker-{number}")
            await tasks.wait()

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            key = await self.queue.get()
            began = loop.time()
            try:
                await self._reconcile(key)
            finally:
                took = loop.time() - began
                self.queue.done(key, rest=min(took * REST_FACTOR, MAX_REST))

    async def _reconcile(self, key: Key) -> None:
        try:
            result = await self.reconciler.reconcile(key)
        except Exception as err:  # the loop outlives any one key
            self._log(key, err)
            self.queue.add_rate_limited(key)
            return
        self.queue.forget(key)
        if result.requeue_after is not None:
            self.queue.add_after(key, result.requeue_after)

    def _log(self, key: Key, err: Exception) -> None:
        """A conflict or an absence is the normal way to learn that the cache was behind; bugs
        show their traceback."""
        level = logging.DEBUG if isinstance(err, Conflict | NotFound) else logging.WARNING
        log.log(
            level,
            "reconcile failed kind=%s key=%s controller=%s failures=%d err=%s",
            self.reconciler.kind.kind,
            key,
            self.reconciler.name,
            self.queue.failures(key) + 1,
            err,
            exc_info=None if isinstance(err, ApiError | asyncio.TimeoutError) else err,
        )
