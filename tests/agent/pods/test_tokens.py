"""Tokens of pods, with a server that answers, refuses or is silent."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from agent.pods.tokens import DEFAULT_SECONDS, FIRST_SECONDS, RETRY, Tokens
from edgek.aio.clock import FakeClock
from edgek.api.errors import Timeout
from edgek.api.meta import Obj
from edgek.api.time import format_time
from edgek.client.client import Client
from edgek.client.transport import Call

pytestmark = pytest.mark.looptime
POD: Obj = {"metadata": {"name": "web", "namespace": "default", "uid": "u1"}, "spec": {}}
SILENCE = 30.0


class Server:
    """A transport; ``silent`` answers nothing until the caller's time is over."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.silent = False
        self.asked = 0

    async def call(self, call: Call) -> Obj:
        self.asked += 1
        if self.silent:
            await asyncio.sleep(SILENCE)
            raise Timeout("no answer")
        ends = format_time(self._clock.now() + timedelta(seconds=DEFAULT_SECONDS))
        return {"status": {"token": f"token{self.asked}", "expirationTimestamp": ends}}

    def watch(self, call: Call) -> Any:
        raise AssertionError("tokens are not watched")

    async def close(self) -> None:
        pass


@pytest.fixture
def server(clock: FakeClock) -> Server:
    return Server(clock)


@pytest.fixture
def tokens(server: Server, clock: FakeClock) -> Tokens:
    return Tokens(Client(server), clock=clock)


def seconds() -> float:
    return asyncio.get_running_loop().time()


async def test_a_token_is_used_until_most_of_its_life_is_over(
    tokens: Tokens, server: Server, clock: FakeClock
) -> None:
    assert await tokens.get(POD, {}, old=None) == b"token1"
    clock.advance(DEFAULT_SECONDS * 0.7)
    assert await tokens.get(POD, {}, old=b"token1") == b"token1"
    clock.advance(DEFAULT_SECONDS * 0.2)
    assert await tokens.get(POD, {}, old=b"token1") == b"token2"


async def test_a_pod_with_a_token_of_before_does_not_wait_for_a_silent_server(
    tokens: Tokens, server: Server, clock: FakeClock
) -> None:
    server.silent = True
    began = seconds()
    assert await tokens.get(POD, {}, old=b"before") == b"before"
    assert seconds() - began == pytest.approx(FIRST_SECONDS)
    assert tokens.renew_at("u1") == clock.now() + RETRY


async def test_a_server_far_away_is_given_its_time_to_renew(
    tokens: Tokens, server: Server, clock: FakeClock
) -> None:
    server.silent = True
    await tokens.get(POD, {}, old=b"before")
    clock.advance(RETRY.total_seconds())
    began = seconds()
    assert await tokens.get(POD, {}, old=b"before") == b"before"
    assert seconds() - began == pytest.approx(SILENCE)


async def test_without_any_token_the_servers_silence_is_told(
    tokens: Tokens, server: Server
) -> None:
    server.silent = True
    with pytest.raises(Timeout):
        await tokens.get(POD, {}, old=None)


async def test_a_clock_that_is_set_renews_tokens_whatever_they_say(
    tokens: Tokens, server: Server, clock: FakeClock
) -> None:
    await tokens.get(POD, {}, old=None)
    clock.advance(-86400)
    tokens.renew_all()
    due = tokens.renew_at("u1")
    assert due is not None
    assert due < clock.now()
    assert await tokens.get(POD, {}, old=b"token1") == b"token2"
    server.silent = True
    tokens.renew_all()
    assert await tokens.get(POD, {}, old=b"token2") == b"token2"
