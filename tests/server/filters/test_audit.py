"""What the audit filters say of requests that end in other ways than with an answer."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edgek.aio.clock import FakeClock
from edgek.aio.tasks import cancel_and_wait
from edgek.api.meta import Obj
from server.audit.policy import parse_policy
from server.authz.authorizer import Decision, Verdict
from server.filters.audit import Audit, audit
from server.request.info import RequestInfo, parse_request_info
from server.request.model import Handler, Request, Response, Upgrade, User, WebSocket


class Said:
    """A log in memory."""

    def __init__(self) -> None:
        self.events: list[Obj] = []

    def write(self, event: Obj) -> None:
        self.events.append(event)

    @property
    def stages(self) -> list[str]:
        return [event["stage"] for event in self.events]


class Allows:
    def authorize(self, user: User, info: RequestInfo, *, explain: bool = False) -> Verdict:
        return Verdict(Decision.ALLOW, "because")


async def answer_of(handler: Handler, said: Said, *, level: str = "Metadata") -> Response:
    policy = parse_policy(
        {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": level}]}
    )
    log: Any = said
    log = Audit(policy=policy, log=log, clock=FakeClock())
    info = parse_request_info("GET", "/api/v1/pods", {"watch": "1"})
    request = Request(method="GET", path="/api/v1/pods", info=info, user=User(name="ann"))
    return await audit(log, Allows())(handler)(request)


class Watch:
    closed = False

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed = True


async def test_a_watch_ends_once_also_when_nobody_ever_read_it() -> None:
    said, watch = Said(), Watch()

    async def handler(request: Request) -> Response:
        return Response(watch=watch)

    response = await answer_of(handler, said)
    assert said.stages == ["RequestReceived", "ResponseStarted"]
    closing: Any = response.watch
    await closing.aclose()
    await closing.aclose()
    assert said.stages == ["RequestReceived", "ResponseStarted", "ResponseComplete"]
    assert watch.closed


async def test_a_session_ends_when_its_conversation_does() -> None:
    said = Said()

    async def serve(socket: WebSocket) -> None:
        assert said.stages[-1] == "ResponseStarted"

    async def handler(request: Request) -> Response:
        return Response(upgrade=Upgrade(protocol="", serve=serve))

    response = await answer_of(handler, said)
    assert response.upgrade is not None
    nobody: Any = None
    await response.upgrade.serve(nobody)
    assert said.stages[-1] == "ResponseComplete"


async def test_who_hangs_up_is_told_of_too() -> None:
    said, begun = Said(), asyncio.Event()

    async def handler(request: Request) -> Response:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    request = asyncio.create_task(answer_of(handler, said))
    await begun.wait()
    await cancel_and_wait(request)
    assert said.stages == ["RequestReceived", "ResponseComplete"]
    assert said.events[-1]["responseStatus"] == {"metadata": {}, "code": 499}


async def test_a_bug_is_a_panic() -> None:
    said = Said()

    async def handler(request: Request) -> Response:
        raise KeyError("secret words")

    with pytest.raises(KeyError):
        await answer_of(handler, said)
    assert said.stages == ["RequestReceived", "Panic"]
    assert said.events[-1]["responseStatus"] == {"metadata": {}, "code": 500}
    assert "secret words" not in str(said.events)


async def test_what_the_policy_leaves_out_is_handed_on_untouched() -> None:
    said, response = Said(), Response()

    async def handler(request: Request) -> Response:
        return response

    assert await answer_of(handler, said, level="None") is response
    assert said.events == []
    assert response.headers == {}
