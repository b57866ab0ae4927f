"""A disk that is full or read-only: writes are refused as 503, nothing is half written, reads and
watches go on, and so do writes as soon as the cause is gone."""

from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from edgek.aio.clock import SystemClock
from edgek.api.errors import Invalid, ServiceUnavailable
from edgek.api.meta import Key, Obj, deep_copy
from edgek.client.client import Client
from edgek.kinds import CONFIG_MAP, LEASE, SERVICE
from edgek.roles import StartError
from server import parts
from server.app import Api
from server.config import parse_config
from server.identity import prepare_identity
from server.request.model import Request
from server.run import prepare_cluster
from server.storage.sqlite import SqliteEngine
from server.storage.store import Record, StoreUnavailable
from tests.support.api import ADMIN, admin, open_api
from tests.support.raw import Watching, get
from tests.support.tls_server import settings

PATH = "/api/v1/namespaces/default/configmaps"


class FailingEngine:
    """SQLite in memory, on a disk that can be full."""

    def __init__(self) -> None:
        self.full = False
        self.sqlite = SqliteEngine(":memory:")

    def load(self) -> tuple[int, Iterable[Record]]:
        return self.sqlite.load()

    def persist(self, records: Sequence[Record], revision: int) -> None:
        if self.full:
            raise StoreUnavailable("datastore: database or disk is full")
        self.sqlite.persist(records, revision)

    def close(self) -> None:
        self.sqlite.close()


@pytest.fixture
def engine() -> FailingEngine:
    return FailingEngine()


@pytest.fixture
async def api(engine: FailingEngine) -> AsyncIterator[Api]:
    async with open_api(engine=engine, user=ADMIN) as opened:
        yield opened


@pytest.fixture
def client(api: Api) -> Client:
    return admin(api)


def config_map(name: str, **data: str) -> Obj:
    return {"metadata": {"name": name, "namespace": "default"}, "data": data}


async def test_a_write_is_503_with_upstreams_reason_and_when_to_come_back(
    api: Api, engine: FailingEngine
) -> None:
    engine.full = True
    body = orjson.dumps(config_map("a"))
    response = await api.handle(Request(method="POST", path=PATH, raw_body=body))
    assert response.status == 503
    assert response.obj is not None
    assert response.obj["reason"] == "ServiceUnavailable"
    assert "disk is full" in response.obj["message"]
    assert "Retry-After" in response.headers


async def test_nothing_of_a_failed_write_is_seen_and_all_works_again_afterwards(
    api: Api, client: Client, engine: FailingEngine
) -> None:
    kept = await client.create(CONFIG_MAP, config_map("kept", x="1"))
    gone = Key("default", "kept")
    watching = await Watching.of(api, PATH, resourceVersion=kept["metadata"]["resourceVersion"])
    engine.full = True
    for failing in (
        client.create(CONFIG_MAP, config_map("new")),
        client.patch(CONFIG_MAP, gone, {"data": {"x": "2"}}),
        client.delete(CONFIG_MAP, gone),
    ):
        with pytest.raises(ServiceUnavailable):
            await failing
    assert (await get(api, PATH))["items"] == [kept]
    engine.full = False
    changed = await client.patch(CONFIG_MAP, gone, {"data": {"x": "3"}})
    assert int(changed["metadata"]["resourceVersion"]) > int(kept["metadata"]["resourceVersion"])
    await client.create(CONFIG_MAP, config_map("new"))
    await client.delete(CONFIG_MAP, gone)
    seen = await watching.some(3)
    assert seen == [("MODIFIED", "kept"), ("ADDED", "new"), ("DELETED", "kept")]
    await watching.close()


async def test_what_is_only_in_memory_goes_on(client: Client, engine: FailingEngine) -> None:
    """Nodes stay Ready: their leases need no disk."""
    engine.full = True
    lease = await client.create(LEASE, deep_copy(dict(LEASE.example)))
    assert await client.update(LEASE, lease)


async def test_a_service_that_failed_gives_its_address_back(
    client: Client, engine: FailingEngine
) -> None:
    wanted: Any = {
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {"clusterIP": "10.43.0.77", "ports": [{"port": 80}]},
    }
    engine.full = True
    with pytest.raises(ServiceUnavailable):
        await client.create(SERVICE, deep_copy(wanted))
    engine.full = False
    made = await client.create(SERVICE, deep_copy(wanted))
    assert made["spec"]["clusterIP"] == "10.43.0.77"
    with pytest.raises(Invalid, match="already allocated"):
        await client.create(SERVICE, deep_copy(wanted))


async def test_a_start_on_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    engine, clock = FailingEngine(), SystemClock()
    config = parse_config(settings(tmp_path))
    identity = prepare_identity(config, now=clock.now())
    running = parts.open_api(config, identity, clock, engine=engine)
    engine.full = True
    with pytest.raises(StartError, match=r"first objects: datastore: .* disk is full"):
        await prepare_cluster(running, config)
    assert not running.ready()
    await running.api.close()
