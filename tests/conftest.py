"""Fixtures that every test may use: a clock, the real API in process, a client of it.

A test that needs what a machine cannot give is skipped by name with the reason. Where CI runs,
the skips are counted: one more than ``ALLOWED_SKIPS`` fails the run, so that none joins unnoticed.
"""

import os
from collections.abc import AsyncIterator

import pytest

from edgek.aio.clock import FakeClock
from edgek.client.client import Client
from server.app import Api
from tests.support.api import admin, open_api

ALLOWED_SKIPS = 0


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = len(reporter.stats.get("skipped", [])) if reporter else 0
    if os.environ.get("CI") and skipped > ALLOWED_SKIPS and exitstatus == 0:
        reporter.write_line(f"{skipped} tests were skipped, {ALLOWED_SKIPS} may be", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


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
