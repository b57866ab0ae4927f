"""The real server, in process, on SQLite in memory: what most tests talk to."""

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from edgek.aio.clock import Clock, FakeClock
from edgek.client.client import Client
from server.admission.chain import Plugin
from server.app import Api, ApiConfig, Parts, PluginsFor, build_api
from server.authn.anonymous import Anonymous
from server.authn.union import Union as Tokens
from server.endpoints.reviews import review_verbs
from server.endpoints.usage import usage_verbs
from server.request.model import Request, User
from server.request.principals import AUTHENTICATED, MASTERS
from server.storage.sqlite import SqliteEngine
from server.storage.store import Engine
from server.tunnel import Tunnels

ADMIN = User(name="admin", groups=(MASTERS, AUTHENTICATED))


class Always:
    """An authenticator that takes every request for the same user's."""

    def __init__(self, user: User) -> None:
        self._user = user

    async def authenticate(self, request: Request) -> User | None:
        return self._user


Plugins = Sequence[Plugin] | PluginsFor


def parts(
    engine: Engine, *, clock: Clock, plugins: Plugins = (), user: User | None = None
) -> Parts:
    authenticator = Always(user) if user else Anonymous()
    return Parts(
        engine=engine,
        clock=clock,
        authenticator=lambda reader: authenticator,
        plugins=plugins if callable(plugins) else lambda *_: plugins,
        paths=lambda *_: (),
        virtual=lambda reader, authorizer, _: {
            **review_verbs(authorizer=authorizer, rules=authorizer, tokens=Tokens(())),
            **usage_verbs(Tunnels(), reader),
        },
    )


@asynccontextmanager
async def open_api(
    *,
    engine: Engine | None = None,
    clock: Clock | None = None,
    plugins: Plugins = (),
    user: User | None = None,
) -> AsyncIterator[Api]:
    """Names and uids are counted (``web-aaaa1``), so that tests can foretell them. Requests that
    bring bytes, as from HTTP, are ``user``'s."""
    engine = engine or SqliteEngine(":memory:")
    made = parts(engine, clock=clock or FakeClock(), plugins=plugins, user=user)
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
