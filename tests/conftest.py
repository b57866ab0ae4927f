"""Fixtures that every test may use: a clock, the real API in process, a client of it."""

from collections.abc import AsyncIterator

import pytest


from tests.support.api import admin, open_api

from edgek.aio.clock import FakeClock
from edgek.client.client import Client
from server.app import Api


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def api(clock: FakeClock) -> AsyncIterator[Api]:
    async with open_api(clock=clock) as opened:
        yield opened


@pytest.fixture
def client(api: Api) -> Client:
    """Acts as system:masters."""
    return admin(api)
