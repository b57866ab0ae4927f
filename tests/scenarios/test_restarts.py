"""A server that is killed at any moment, again and again, comes to the same end.

Each seed kills all loops at other writes, before or after they are done, while workloads are made
and changed; in the end everything is as it is where nobody killed anything.
"""

import asyncio
import random
from typing import Any

import pytest

from edgek.api.meta import Key, Obj, controller_of
from edgek.kinds import (
    DAEMON_SET,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    JOB,
    POD,
    REPLICA_SET,
    SERVICE,
    STATEFUL_SET,
)
from edgek.kinds.kind import Kind
from edgek.kinds.pods import is_ready
from tests.support.cluster_in_memory import ClusterInMemory, cluster_in_memory

SEEDS = range(8)
DEATHS = 25
ODDS = 0.15


def template(name: str, image: str = "good", **spec: Any) -> Obj:
    return {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": image}], **spec},
    }


def made(kind: Kind, name: str, **spec: Any) -> Obj:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def selected(name: str, **spec: Any) -> Obj:
    return {"selector": {"matchLabels": {"app": name}}, "template": template(name), **spec}


OBJECTS = (
    (SERVICE, made(SERVICE, "web", selector={"app": "web"}, ports=[{"port": 80}])),
    (DEPLOYMENT, made(DEPLOYMENT, "web", **selected("web", replicas=5))),
    (STATEFUL_SET, made(STATEFUL_SET, "db", **selected("db", replicas=3, serviceName="db"))),
    (DAEMON_SET, made(DAEMON_SET, "log", **selected("log"))),
    (JOB, made(JOB, "sum", completions=4, parallelism=2, completionMode="Indexed",
               template=template("sum", "done", restartPolicy="Never"))),
)  # fmt: skip


async def story(cluster: ClusterInMemory) -> None:
    for name in ("n1", "n2", "n3"):
        await cluster.add_node(name)
    for kind, obj in OBJECTS:
        await cluster.client.create(kind, obj)
        await cluster.settle(0.1)
    await cluster.settle(5)
    await change(cluster, DEPLOYMENT, "web", {"replicas": 3, "template": template("web", "better")})
    await change(cluster, DAEMON_SET, "log", {"template": template("log", "better")})
    await cluster.settle(5)
    await change(cluster, STATEFUL_SET, "db", {"template": template("db", "better")})
    await cluster.settle(400)  # longer than any back-off


class Killer:
    """Ends the server at some of its writes; at most ``DEATHS`` times, so that it ends at all."""

    def __init__(self, cluster: ClusterInMemory, rng: random.Random) -> None:
        self.deaths = 0
        self._cluster = cluster
        self._rng = rng

    async def __call__(self) -> None:
        if self._cluster.dying:  # the dead write nothing, not even their last words
            raise asyncio.CancelledError
        if self.deaths < DEATHS and self._rng.random() < ODDS:
            self.deaths += 1
            await self._cluster.die()


async def change(cluster: ClusterInMemory, kind: Kind, name: str, spec: Obj) -> None:
    await cluster.client.patch(kind, Key("default", name), {"spec": spec})


async def end_of(cluster: ClusterInMemory) -> Obj:
    """What a user would call the state of things: nothing that names or times differ in."""
    status: dict[str, Any] = {}
    for kind, obj in OBJECTS:
        found = await cluster.client.get(kind, Key("default", obj["metadata"]["name"]))
        status[f"{kind.plural}/{obj['metadata']['name']}"] = settled(found)
    pods = (await cluster.client.list(POD, namespace="default")).items
    slices = (await cluster.client.list(ENDPOINT_SLICE, namespace="default")).items
    web = [s for s in slices if s["metadata"]["labels"].get("kubernetes.io/service-name") == "web"]
    return {
        "status": status,
        "pods": sorted(described(pod) for pod in pods),
        "sets": sorted(
            (r["metadata"]["labels"]["app"], r["spec"]["replicas"])
            for r in (await cluster.client.list(REPLICA_SET, namespace="default")).items
        ),
        "endpoints": sum(len(s.get("endpoints") or ()) for s in web),
    }


NOISE = ("conditions", "observedGeneration", "currentRevision", "updateRevision", "startTime",
         "completionTime")  # fmt: skip


def settled(obj: Obj) -> Obj:
    status = obj.get("status") or {}
    true = sorted(c["type"] for c in status.get("conditions") or () if c["status"] == "True")
    return {**{k: v for k, v in status.items() if k not in NOISE}, "true": true}


def described(pod: Obj) -> tuple[str, ...]:
    owner = controller_of(pod) or {}
    image = pod["spec"]["containers"][0]["image"]
    name = pod["metadata"]["name"] if owner.get("kind") == "StatefulSet" else ""
    ready = "ready" if is_ready(pod) else pod["status"]["phase"]
    return owner.get("kind", ""), pod["metadata"]["labels"]["app"], name, image, ready


async def told(seed: int | None) -> tuple[Obj, int]:
    """How it ended, and how often the server was killed meanwhile."""
    async with cluster_in_memory() as cluster:
        killer = Killer(cluster, random.Random(seed))
        if seed is not None:
            cluster.writes.before = cluster.writes.after = killer
        await story(cluster)
        deaths, killer.deaths = killer.deaths, DEATHS  # it rests while the cluster is taken down
        return await end_of(cluster), deaths


@pytest.mark.looptime
async def test_the_story_ends_well() -> None:
    end, _ = await told(None)
    assert [p for p in end["pods"] if p[4] not in ("ready", "Succeeded")] == []
    assert len(end["pods"]) == 3 + 3 + 3 + 4
    assert end["sets"] == [("web", 0), ("web", 3)]
    assert end["status"]["jobs/sum"]["completedIndexes"] == "0-3"


@pytest.mark.looptime
@pytest.mark.parametrize("seed", SEEDS)
async def test_killed_at_any_moment_it_ends_the_same(seed: int) -> None:
    end, deaths = await told(seed)
    undisturbed, _ = await told(None)
    assert end == undisturbed
    assert deaths > DEATHS / 3
