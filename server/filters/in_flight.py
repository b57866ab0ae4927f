"""A bound on the requests being worked on, so that a flood waits instead of filling memory.

Watches and streams leave their place when their answer begins, as upstream's long-running
requests are not counted. Fair shares per class of client come later (priority and fairness).
"""

import asyncio

from edgek.api import errors
from server.request.model import Filter, Handler, Request, Response

LIMIT = 400
QUEUE = 1000


def in_flight_filter(limit: int = LIMIT, queue: int = QUEUE) -> Filter:
    def wrap(handler: Handler) -> Handler:
        places = asyncio.Semaphore(limit)
        waiting = 0

        async def handle(request: Request) -> Response:
            nonlocal waiting
            if request.in_process:  # our own control loops are bounded by their workers
                return await handler(request)
            if waiting >= queue:
                raise errors.TooManyRequests.after(
                    "too many requests, please try again later.", seconds=1
                )
            waiting += 1
            try:
                await places.acquire()
            finally:
                waiting -= 1
            try:
                return await handler(request)
            finally:
                places.release()

        return handle

    return wrap
