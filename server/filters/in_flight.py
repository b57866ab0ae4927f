"""A bound on the requests being worked on, so that a flood waits instead of filling memory.

Admins, nodes and everybody else have places of their own: whoever floods, agents keep their
leases and the admin gets in to end it. Watches and streams leave their place when their answer
begins, as upstream's long-running requests are not counted. Fair shares between the clients of
one level come later (priority and fairness).
"""

import asyncio

from edgek.api import errors
from server.request.model import Filter, Handler, Request, Response, User
from server.request.principals import MASTERS, NODES

LIMIT = 400
QUEUE = 1000
WAIT_SECONDS = 30.0
LEVELS = (MASTERS, NODES)
"""Groups with places of their own, the first that a user is in counts; the rest share theirs."""


class _Level:
    """The places of one kind of client."""

    def __init__(self, *, limit: int, queue: int) -> None:
        self._places = asyncio.Semaphore(limit)
        self._queue = queue
        self._waiting = 0

    async def enter(self) -> None:
        """Raises TooManyRequests where there is no place, nor one to wait for."""
        if not self._places.locked():
            await self._places.acquire()  # does not wait
            return
        if self._waiting >= self._queue:
            raise _too_many()
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._places.acquire()
        except TimeoutError as err:
            raise _too_many() from err
        finally:
            self._waiting -= 1

    def leave(self) -> None:
        self._places.release()


def _too_many() -> errors.TooManyRequests:
    return errors.TooManyRequests.after("too many requests, please try again later.", seconds=1)


def level_of(user: User) -> str:
    return next((group for group in LEVELS if group in user.groups), "")


def in_flight_filter(limit: int = LIMIT, queue: int = QUEUE) -> Filter:
    """``limit`` and ``queue`` are those of each level."""

    def wrap(handler: Handler) -> Handler:
        levels = {name: _Level(limit=limit, queue=queue) for name in (*LEVELS, "")}

        async def handle(request: Request) -> Response:
            if request.in_process:  # our own control loops are bounded by their workers
                return await handler(request)
            level = levels[level_of(request.user)]
            await level.enter()
            try:
                return await handler(request)
            finally:
                level.leave()

        return handle

    return wrap
