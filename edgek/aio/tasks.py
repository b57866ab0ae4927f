"""No background task is unowned.

``Tasks`` is a named group that outlives single failures: a task that dies of an unexpected
error is logged with its name and reported to ``on_error`` (by default the group closes with
that error), and leaving the group cancels and awaits everything in it. ``asyncio.TaskGroup``
alone will not do: it offers no names in its errors and no way to cancel one member by key.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 6.0
"""After it a task that has not ended is told of and cancelled once more: a library may have lost
the first cancellation, or its clean-up waits for a peer. Longer than killing a process may take."""


async def cancel_and_wait(*tasks: "asyncio.Task[Any]") -> None:
    """Cancels the tasks and returns once all of them have ended; their errors are dropped."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def until_one_ends(*ways: Coroutine[Any, Any, Any]) -> None:
    """Runs all of them until the first ends, however it ends; the others are cancelled."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not task.cancelled():
                task.exception()  # one that broke has ended
    finally:
        await cancel_and_wait(*tasks)


async def first_of(*ways: Coroutine[Any, Any, Any]) -> None:
    """Runs all of them until the first ends, and raises what it raised; the others are
    cancelled."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await cancel_and_wait(*tasks)


class Tasks:
    """A supervised set of tasks.

    Invariant: after ``__aexit__`` no task of the group is running. ``wait()`` returns when the
    first task fails (raising its error) or when the group is closed.
    """

    def __init__(self, name: str, *, on_error: Callable[[str, BaseException], None] | None = None):
        self._name = name
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_error = on_error
        self._failed: asyncio.Future[None] | None = None
        self._closed = False
        self._insisting: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._failed = asyncio.get_running_loop().create_future()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, err: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def closed(self) -> bool:
        """For a timer that outlives the group: ``spawn`` would raise."""
        return self._closed

    def spawn(self, coro: Coroutine[Any, Any, Any], *, name: str) -> "asyncio.Task[Any]":
        """Starts a task the group owns; ``name`` is what its failure is logged under."""
        if self._closed:
            coro.close()
            raise RuntimeError(f"{self._name}: spawn after close")
        task = asyncio.get_running_loop().create_task(coro, name=f"{self._name}/{name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if task.cancelled() or (err := task.exception()) is None:
            return
        log.error("background task failed task=%s", task.get_name(), exc_info=err)
        if self._on_error is not None:
            self._on_error(task.get_name(), err)
        elif self._failed is not None and not self._failed.done():
            self._failed.set_exception(err)

    async def wait(self) -> None:
        """Waits until a task fails; raises what it raised."""
        assert self._failed is not None, "enter the group first"
        await asyncio.shield(self._failed)

    async def close(self) -> None:
        self._closed = True
        self._insist_later()
        try:
            while self._tasks:
                await cancel_and_wait(*self._tasks)
        finally:
            if self._insisting is not None:
                self._insisting.cancel()
        if self._failed is not None:
            if self._failed.done() and not self._failed.cancelled():
                self._failed.exception()  # retrieved: logged already in _done
            else:
                self._failed.cancel()

    def _insist_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._insisting = loop.call_later(PATIENCE_SECONDS, self._insist)

    def _insist(self) -> None:
        for task in self._tasks:
            log.warning("task does not end task=%s where=%s", task.get_name(), _where(task))
            task.cancel()
        if self._tasks:
            self._insist_later()


def _where(task: "asyncio.Task[Any]") -> str:
    """The line that a task waits at."""
    frames = task.get_stack(limit=1)
    return f"{frames[-1].f_code.co_filename}:{frames[-1].f_lineno}" if frames else "-"
