"""The real server, in process, on SQLite in memory: what most tests talk to."""

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from edgek.aio.clock import Clock, FakeClock
from edgek.client.client import Client
from server.admission.chain import Plugin
from server.app import Api, ApiConfig, Parts, build_api
from server.authn.anonymous import Anonymous
from server.request.model import User
from server.request.principals import AUTHENTICATED, MASTERS
from server.storage.sqlite import SqliteEngine
from server.storage.store import Engine

ADMIN = User(name="admin", groups=(MASTERS, AUTHENTICATED))


def parts(engine: Engine, *, clock: Clock, plugins: Sequence[Plugin] = ()) -> Parts:
    return Parts(
        engine=engine,
        clock=clock,
        authenticator=lambda reader: Anonymous(),
        plugins=lambda reader: plugins,
        paths=lambda env: (),
    )


@asynccontextmanager
async def open_api(
    *, engine: Engine | None = None, clock: Clock | None = None, plugins: Sequence[Plugin] = ()
) -> AsyncIterator[Api]:
    """Names and uids are counted (``web-aaaa1``), so that tests can foretell them."""
    made = parts(engine or SqliteEngine(":memory:"), clock=clock or FakeClock(), plugins=plugins)
    api = build_api(ApiConfig(service_cidr="10.43.0.0/16", node_ports="30000-32767"), made)
    counted = itertools.count(1)
    api.env.registry.suffix = lambda: f"aaaa{next(counted)}"
    api.env.registry.new_uid = lambda: f"uid-{next(counted)}"
    try:
        yield api
    finally:
        await api.close()


def admin(api: Api) -> Client:
    return api.client(ADMIN)
