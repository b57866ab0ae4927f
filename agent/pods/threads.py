"""Threads for work on files that may take minutes, or hang.

Not asyncio's own: those are few on a small machine, every start of a pod needs them, and a file
server that hangs would keep one after the other. Here each piece of work has a thread that ends
with it. One that is given up is left behind; ``LongWork`` does not let many begin at a time.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

T = TypeVar("T")
NAME = "files"
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


class LongWork:
    """``at_once`` at a time; the others wait for their turn."""

    def __init__(self, *, at_once: int) -> None:
        self._turns = asyncio.Semaphore(at_once)

    async def run(self, work: Callable[[], T]) -> T:
        async with self._turns:
            return await in_own_thread(work)
