"""Fixtures that every test may use: a clock, the real API in process, a client of it.

A test that needs what a machine cannot give is skipped by name with the reason. Where CI runs,
the skips are counted: one more than ``ALLOWED_SKIPS`` fails the run, so that none joins unnoticed.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgek.aio.clock import FakeClock
from edgek.client.client import Client
from server.app import Api
from tests.support.api import admin, open_api

ALLOWED_SKIPS = 0


def pytest_configure() -> None:
    # Else pytest-asyncio makes one by asking for it, and nobody closes that.
    asyncio.set_event_loop(None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A module with ``IN_ORDER`` is one story told by many tests: it is not shuffled."""
    stories: dict[Path, list[int]] = {}
    for place, item in enumerate(items):
        if getattr(getattr(item, "module", None), "IN_ORDER", False):
            stories.setdefault(item.path, []).append(place)
    for places in stories.values():
        told = sorted((items[p] for p in places), key=lambda i: i.reportinfo()[1] or 0)
        for place, item in zip(places, told, strict=True):
            items[place] = item


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
