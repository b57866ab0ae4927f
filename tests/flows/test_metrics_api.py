"""metrics.k8s.io, from what agents report to what clients get; the figures are the test's."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from agent.api.http import Ask, Reply, http_handler, json_reply
from edgek.api.errors import NotFound
from edgek.api.meta import Key, Obj
from edgek.kinds import NODE, NODE_METRICS, POD, POD_METRICS
from tests.support.tunnelled import Tunnelled, tunnelled

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@dataclass
class Agent:
    """Reports of every pod that it was told of."""

    pods: dict[str, Obj] = field(default_factory=dict)
    asked: int = 0
    odd: bool = False

    async def usage(self, ask: Ask) -> Reply:
        self.asked += 1
        if self.odd:
            return json_reply({"timestamp": "now", "pods": [1]})
        node = {"cpu": 250_000_000, "memory": 512 << 20}
        used = {"cpu": 1_500_000, "memory": 3 << 20}
        told = [
            {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"],
             "uid": pod["metadata"]["uid"], "containers": {"main": used, "side": used}}
            for pod in self.pods.values()
        ]  # fmt: skip
        return json_reply(
            {"timestamp": 1_767_225_600.0, "window": 15.25, "node": node, "pods": told}
        )


@dataclass
class Cluster:
    up: Tunnelled
    agent: Agent

    async def pod(self, name: str, *, app: str, node: str = "node1", told: bool = True) -> None:
        obj: Obj = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "labels": {"app": app}},
            "spec": {"nodeName": node, "containers": [{"name": "main", "image": "i"}]},
        }
        made = await self.up.client.create(POD, obj)
        await self.up.client.update_status(POD, made | {"status": {"phase": "Running"}})
        if told:
            self.agent.pods[name] = made

    async def names(self, **query: Any) -> list[str]:
        found = await self.up.client.list(POD_METRICS, **query)
        return [item["metadata"]["name"] for item in found.items]


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    agent = Agent()
    async with tunnelled({"http": http_handler((("/usage", agent.usage),))}) as up:
        for name in ("node1", "node2"):
            meta = {"name": name, "labels": {"zone": name}}
            await up.client.create(NODE, {"apiVersion": "v1", "kind": "Node", "metadata": meta})
        yield Cluster(up, agent)


async def test_a_pods_metrics_are_those_its_node_reports(cluster: Cluster) -> None:
    await cluster.pod("web", app="web")
    found = await cluster.up.client.get(POD_METRICS, Key("default", "web"))
    assert found["metadata"]["labels"] == {"app": "web"}
    assert (found["timestamp"], found["window"]) == ("2026-01-01T00:00:00Z", "15.25s")
    usage = {"cpu": "1500000n", "memory": "3072Ki"}
    assert found["containers"] == [
        {"name": "main", "usage": usage},
        {"name": "side", "usage": usage},
    ]


async def test_pods_are_found_by_label_and_name(cluster: Cluster) -> None:
    await cluster.pod("web", app="web")
    await cluster.pod("db", app="db")
    assert await cluster.names() == ["db", "web"]
    assert await cluster.names(namespace="default", label_selector="app=web") == ["web"]
    assert await cluster.names(field_selector="metadata.name=db") == ["db"]
    assert await cluster.names(namespace="other") == []


async def test_a_pod_that_is_not_reported_has_no_metrics(cluster: Cluster) -> None:
    await cluster.pod("new", app="web", told=False)
    assert await cluster.names() == []
    with pytest.raises(NotFound) as missing:
        await cluster.up.client.get(POD_METRICS, Key("default", "new"))
    assert missing.value.message == 'podmetrics.metrics.k8s.io "default/new" not found'


async def test_nodes_that_do_not_answer_are_left_out_and_none_speaks_for_another(
    cluster: Cluster,
) -> None:
    await cluster.pod("here", app="web")
    await cluster.pod("there", app="web", node="node2")
    found = await cluster.up.client.list(NODE_METRICS)
    assert [item["metadata"]["name"] for item in found.items] == ["node1"]
    assert found.items[0]["usage"] == {"cpu": "250000000n", "memory": "524288Ki"}
    assert await cluster.names() == ["here"]


async def test_twenty_clients_cost_one_question(cluster: Cluster) -> None:
    await cluster.pod("web", app="web")
    answers = await asyncio.gather(*(cluster.names() for _ in range(20)))
    assert answers == [["web"]] * 20
    assert cluster.agent.asked == 1


async def test_an_answer_survives_the_client_who_asked_first(cluster: Cluster) -> None:
    await cluster.pod("web", app="web")
    first = asyncio.create_task(cluster.names())
    await asyncio.sleep(0)
    second = asyncio.create_task(cluster.names())
    first.cancel()
    assert await second == ["web"]


async def test_the_table_is_metrics_servers(cluster: Cluster) -> None:
    await cluster.pod("web", app="web")
    url, headers = cluster.up.url + POD_METRICS.path("default"), {"Accept": TABLE}
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as answer:
        table = await answer.json()
    assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "cpu", "memory", "Window"]
    assert table["rows"][0]["cells"] == ["web", "3m", "6Mi", "15.25s"]


async def test_a_node_that_talks_nonsense_is_as_one_that_does_not_answer(cluster: Cluster) -> None:
    await cluster.pod("web", app="web")
    cluster.agent.odd = True
    assert await cluster.names() == []
