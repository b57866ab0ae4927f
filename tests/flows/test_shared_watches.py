"""Many watches over one connection, as an agent opens them, on a real server with TLS."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edgek.aio.clock import SystemClock
from edgek.aio.tasks import Tasks
from edgek.api.errors import ApiError, Forbidden, ServiceUnavailable
from edgek.api.meta import Obj
from edgek.client.client import Client
from edgek.client.http import Access, HttpTransport
from edgek.client.pool import MAX_IDLE
from edgek.client.transport import Call
from edgek.control.informer import Informer
from edgek.kinds import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    NAMESPACE,
    SECRET,
    SERVICE,
)
from edgek.pki.certificates import Profile, new_pair
from server.run import BOOTSTRAPPER
from tests.support.tls_server import TlsServer, tls_server

MANY = 60


def settings(name: str, value: str = "1") -> Obj:
    return {"metadata": {"name": name, "namespace": "default"}, "data": {"value": value}}


def access(server: TlsServer, user: str = "admin", group: str = "system:masters") -> Access:
    profile = Profile(common_name=user, organizations=(group,), client=True)
    pair = new_pair(server.identity.client_ca, profile, now=SystemClock().now())
    return Access(
        server=f"https://127.0.0.1:{server.config.port}",
        ca=server.identity.ca_pem,
        client_cert=pair.certificate,
        client_key=pair.key,
    )


@asynccontextmanager
async def sharing(who: Access) -> AsyncIterator[HttpTransport]:
    made = HttpTransport(who, share_watches=True)
    try:
        yield made
    finally:
        await made.close()


def connections(server: TlsServer) -> int:
    """How many clients' connections the server has."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    own, established = f":{server.config.port:04X}", "01"
    return sum(x.split()[1].endswith(own) and x.split()[3] == established for x in lines)


def served() -> int:
    """Watches that the server, which runs in this process, is at."""
    return sum(task.get_name().startswith("watches/") for task in asyncio.all_tasks())


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TlsServer]:
    async with tls_server(tmp_path, loops=False) as server:
        yield server


async def until(test: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not test():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_many_informers_take_one_connection_and_see_every_change(server: TlsServer) -> None:
    admin = server.running.api.client(BOOTSTRAPPER)
    async with sharing(access(server)) as transport, Tasks("informers") as tasks:
        client = Client(transport)
        informers = [
            Informer(client, CONFIG_MAP, namespace="default", field_selector=f"metadata.name=c{n}")
            for n in range(MANY)
        ]
        for number, informer in enumerate(informers):
            tasks.spawn(informer.run(), name=f"informer-{number}")
        for informer in informers:
            await informer.wait_synced()
        for number in range(MANY):
            await admin.create(CONFIG_MAP, settings(f"c{number}"))
        await until(lambda: all(len(informer) == 1 for informer in informers))
        assert served() == MANY
        assert connections(server) <= MAX_IDLE + 1


async def test_each_watch_is_authorized_by_itself(server: TlsServer) -> None:
    node = access(server, "system:node:node1", "system:nodes")
    async with sharing(node) as transport, Tasks("watches") as tasks:
        client = Client(transport)
        seen: list[str] = []

        async def follow() -> None:
            async with client.watch(SERVICE) as events:
                async for event in events:
                    seen.append(event.obj["metadata"]["name"])  # noqa: PERF401 - it has no end

        tasks.spawn(follow(), name="services")
        with pytest.raises(Forbidden):
            async with client.watch(SECRET, namespace="default") as events:
                await anext(events)
        service = {"metadata": {"name": "web", "namespace": "default"}}
        ports = {"spec": {"ports": [{"port": 80}]}}
        await server.running.api.client(BOOTSTRAPPER).create(SERVICE, service | ports)
        await until(lambda: "web" in seen)


async def test_where_watches_cannot_be_shared_each_has_a_connection(server: TlsServer) -> None:
    """As with a server from before they could be."""
    admin = server.running.api.client(BOOTSTRAPPER)
    rules = [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]}]
    await admin.create(CLUSTER_ROLE, {"metadata": {"name": "looks"}, "rules": rules})
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "somebody"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "looks"}
    binding = {"metadata": {"name": "looks"}, "subjects": [subject], "roleRef": role}
    await admin.create(CLUSTER_ROLE_BINDING, binding)
    async with sharing(access(server, "somebody", "nobody")) as transport:
        client = Client(transport)
        with pytest.raises(Forbidden, match="cannot watch resource"):
            async with client.watch(SERVICE):
                pass
        async with client.watch(NAMESPACE) as events:
            assert await asyncio.wait_for(anext(events), 5)
            assert served() == 0


async def test_errors_of_one_watch_leave_the_others_alone(server: TlsServer) -> None:
    admin = server.running.api.client(BOOTSTRAPPER)
    async with sharing(access(server)) as transport:
        client = Client(transport)
        async with client.watch(CONFIG_MAP, namespace="default") as events:
            with pytest.raises(ApiError, match="only resources"):
                async with transport.watch(Call(method="GET", path="/healthz")) as other:
                    await anext(other)
            with pytest.raises(ApiError):
                async with client.watch(CONFIG_MAP, field_selector="spec.no=1") as other:
                    await anext(other)
            async with client.watch(SECRET, namespace="none", timeout_seconds=1) as short:
                assert [e async for e in short if e.type != "BOOKMARK"] == []
            await admin.create(CONFIG_MAP, settings("late"))
            async with asyncio.timeout(5):
                async for event in events:
                    if event.obj["metadata"]["name"] == "late":
                        break


async def test_a_watch_that_is_given_up_ends_at_the_server_too(server: TlsServer) -> None:
    async with sharing(access(server)) as transport:
        client = Client(transport)
        async with client.watch(SECRET):
            async with client.watch(CONFIG_MAP):
                await until(lambda: served() == 2)
            await until(lambda: served() == 1)
        await until(lambda: served() == 0)


async def test_other_credentials_break_every_watch(server: TlsServer) -> None:
    async with sharing(access(server)) as transport:
        async with Client(transport).watch(SECRET, namespace="nowhere") as events:
            reading = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            await transport.replace(transport.access)
            with pytest.raises(ServiceUnavailable):
                await asyncio.wait_for(reading, 5)
        async with Client(transport).watch(NAMESPACE) as events:
            assert await asyncio.wait_for(anext(events), 5)


async def test_a_server_that_is_away_is_told_to_all_at_once() -> None:
    async with sharing(Access(server="https://127.0.0.1:1")) as transport:

        async def follow() -> None:
            async with Client(transport).watch(SECRET):
                pass

        found = await asyncio.gather(*(follow() for _ in range(50)), return_exceptions=True)
        assert all(isinstance(err, ServiceUnavailable) for err in found)
        assert "was refused" in str(found[0])
