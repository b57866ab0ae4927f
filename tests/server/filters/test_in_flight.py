"""A flood is told to come back later, and keeps neither agents nor admins out."""

import asyncio

import pytest

from edgek.api.errors import TooManyRequests
from server.filters.errors import errors_filter
from server.filters.in_flight import WAIT_SECONDS, in_flight_filter
from server.request.model import Handler, Request, Response, User

POD = User(name="system:serviceaccount:default:noisy", groups=("system:serviceaccounts",))
NODE = User(name="system:node:n1", groups=("system:nodes", "system:authenticated"))
ADMIN = User(name="admin", groups=("system:masters",))


class Slow:
    """A handler that works until ``go`` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.working = 0
        self.most = 0

    async def __call__(self, request: Request) -> Response:
        self.working += 1
        self.most = max(self.most, self.working)
        try:
            await self.go.wait()
        finally:
            self.working -= 1
        return Response(obj={})


def flood(handler: Handler, count: int, user: User = POD) -> "list[asyncio.Task[Response]]":
    one = [handler(Request(method="GET", path="/", user=user)) for _ in range(count)]
    return [asyncio.ensure_future(coro) for coro in one]


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_what_is_over_places_and_queue_is_429_with_retry_after() -> None:
    slow = Slow()
    handler = errors_filter(in_flight_filter(limit=3, queue=2)(slow))
    tasks = flood(handler, 10)
    await turn()
    refused = [t.result() for t in tasks if t.done()]
    assert [(r.status, r.headers) for r in refused] == [(429, {"Retry-After": "1"})] * 5
    slow.go.set()
    answers = await asyncio.gather(*tasks)
    assert sorted(r.status for r in answers) == [200] * 5 + [429] * 5
    assert slow.most == 3


@pytest.mark.parametrize("user", [NODE, ADMIN])
async def test_a_flood_of_others_leaves_nodes_and_admins_their_places(user: User) -> None:
    slow = Slow()
    handler = in_flight_filter(limit=2, queue=2)(slow)
    noise = flood(handler, 100)
    await turn()
    mine = flood(handler, 2, user)
    await turn()
    assert slow.working == 4
    slow.go.set()
    assert [r.status for r in await asyncio.gather(*mine)] == [200, 200]
    results = await asyncio.gather(*noise, return_exceptions=True)
    assert sum(isinstance(r, TooManyRequests) for r in results) == 96


async def test_a_client_that_goes_while_it_waits_or_works_gives_up_its_place() -> None:
    slow = Slow()
    handler = in_flight_filter(limit=1, queue=1)(slow)
    for task in reversed(flood(handler, 2)):
        await turn()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    slow.go.set()
    assert (await handler(Request(method="GET", path="/", user=POD))).status == 200


@pytest.mark.looptime
async def test_nobody_waits_for_ever() -> None:
    handler = in_flight_filter(limit=1, queue=9)(Slow())
    first, second = flood(handler, 2)
    await asyncio.sleep(WAIT_SECONDS + 1)
    assert isinstance(second.exception(), TooManyRequests)
    first.cancel()


async def test_our_own_control_loops_are_not_counted() -> None:
    slow = Slow()
    handler = in_flight_filter(limit=1, queue=0)(slow)
    flood(handler, 1)
    await turn()
    slow.go.set()
    assert await handler(Request(method="GET", path="/", in_process=True, user=POD))
