"""Threads for work on files that may take minutes, or hang.

Which thread for what: ``asyncio.to_thread`` where all that is touched is the agent's own (its
data, /proc, sockets); those threads are few on a small machine, every start of a pod needs them,
and a file server that hangs would keep one after the other. Where a path leads into a volume, or
is one that a pod or its owner chose, the work has a thread here that ends with it: ``in_thread``
for what must be quick, and is given up if it is not; ``LongWork`` for what may go on for minutes
(owners and modes of a whole volume), few at a time. One that is given up is left behind.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

T = TypeVar("T")
NAME = "files"
THREAD_SECONDS = 20.0
MOST = 100
"""At a time, of which most must hang by then."""


class _OwnThread(Executor):
    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> "Future[T]":
        done: Future[T] = Future()

        def run() -> None:
            if not done.set_running_or_notify_cancel():
                return
            try:
                done.set_result(fn(*args, **kwargs))
            except BaseException as err:
                done.set_exception(err)

        threading.Thread(target=run, name=NAME, daemon=True).start()
        return done


async def in_own_thread(work: Callable[[], T]) -> T:
    """Cancelling leaves the thread behind. Raises OSError where too many have been."""
    if sum(thread.name == NAME for thread in threading.enumerate()) >= MOST:
        raise OSError("too many threads wait for files")
    return await asyncio.get_running_loop().run_in_executor(_OwnThread(), work)


async def in_thread(work: Callable[[], T]) -> T:
    """Raises TimeoutError where it takes too long: the thread is then given up."""
    async with asyncio.timeout(THREAD_SECONDS):
        return await in_own_thread(work)


class LongWork:
    """``at_once`` at a time; the others wait for their turn."""

    def __init__(self, *, at_once: int) -> None:
        self._turns = asyncio.Semaphore(at_once)

    async def run(self, work: Callable[[], T]) -> T:
        async with self._turns:
            return await in_own_thread(work)
