"""The node's object, its heartbeat and the checkpoint."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.api.tunnel import Tunnel
from agent.kubelet_args import KubeletArgs
from agent.node.addresses import Addresses
from agent.node.checkpoint import Checkpoint
from agent.node.facts import Facts
from agent.node.lease import NodeLease
from agent.node.register import Registration
from agent.node.resources import node_resources
from agent.node.status import NodeSpec
from edgek.aio.clock import FakeClock
from edgek.aio.tasks import Tasks
from edgek.api.conditions import find_condition
from edgek.api.errors import ServiceUnavailable
from edgek.client.transport import Call
from edgek.client.websocket import WebSocket
from edgek.control.informer import Informers
from edgek.kinds import LEASE, NODE
from tests.support.memory_api import MemoryApi
from tests.support.pods import make_pod

FACTS = Facts(hostname="pi", architecture="arm64", cpus=4, memory=1 << 30, storage=1 << 34, info={})
SPEC = NodeSpec(
    name="node1",
    addresses=Addresses(internal=("192.0.2.1",), hostname="pi"),
    facts=FACTS,
    resources=node_resources(FACTS, KubeletArgs(), max_pods=110),
    first_labels={"tier": "edge"},
    taints=({"key": "k", "effect": "NoSchedule"},),
)


def registration(api: MemoryApi) -> Registration:
    return Registration(api.client, SPEC, clock=FakeClock())


async def test_a_node_registers_with_its_labels_taints_and_capacity() -> None:
    api = MemoryApi()
    await registration(api).ensure()
    node = api.one(NODE, "", "node1")
    assert node is not None
    assert node["metadata"]["labels"] == {
        "beta.kubernetes.io/arch": "arm64", "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": "arm64", "kubernetes.io/hostname": "node1",
        "kubernetes.io/os": "linux", "node.kubernetes.io/instance-type": "edgek", "tier": "edge",
    }  # fmt: skip
    assert node["spec"]["taints"] == [{"key": "k", "effect": "NoSchedule"}]
    assert node["status"]["capacity"]["cpu"] == "4"
    ready = find_condition(node["status"]["conditions"], "Ready")
    assert ready is not None
    assert (ready["status"], ready["message"]) == ("False", "the agent is starting")


async def test_what_others_changed_is_kept_and_a_second_look_writes_nothing() -> None:
    api = MemoryApi()
    await registration(api).ensure()
    node = api.one(NODE, "", "node1")
    assert node is not None
    changed = node | {"spec": {"unschedulable": True}}
    changed["status"] = node["status"] | {
        "capacity": node["status"]["capacity"] | {"x.io/gpu": "1"}
    }
    api.put(NODE, changed)
    writes = len(api.writes)
    await registration(api).ensure()
    assert len(api.writes) == writes
    assert api.one(NODE, "", "node1")["spec"] == {"unschedulable": True}  # type: ignore[index]


@pytest.mark.looptime
async def test_readiness_is_written_when_it_changes_and_a_deleted_node_comes_back() -> None:
    api = MemoryApi()
    kept = registration(api)
    async with Tasks("test") as tasks:
        tasks.spawn(kept.run(), name="node")
        kept.started()
        await asyncio.sleep(1)
        node = api.one(NODE, "", "node1")
        assert node is not None
        ready = find_condition(node["status"]["conditions"], "Ready")
        assert ready is not None
        assert ready["status"] == "True"
        calls = len(api.calls)
        await asyncio.sleep(3600)
        assert len(api.calls) == calls
        api.remove(NODE, "", "node1")
        kept.on_change(node, None)
        await asyncio.sleep(1)
        assert api.one(NODE, "", "node1") is not None


def ready(api: MemoryApi) -> tuple[str, str]:
    node = api.one(NODE, "", "node1")
    assert node is not None
    found = find_condition(node["status"]["conditions"], "Ready")
    assert found is not None
    return found["status"], found["message"]


async def test_a_ready_node_stays_ready_while_its_agent_starts_again() -> None:
    api = MemoryApi()
    first = registration(api)
    first.started()
    await first.ensure()
    await registration(api).ensure()
    assert ready(api)[0] == "True"


async def test_after_a_boot_a_node_is_not_ready_until_its_agent_is() -> None:
    api = MemoryApi()
    first = registration(api)
    first.started()
    await first.ensure()
    booted = replace(SPEC, facts=replace(FACTS, info={"bootID": "another"}))
    second = Registration(api.client, booted, clock=FakeClock())
    await second.ensure()
    assert ready(api) == ("False", "the agent is starting")
    second.started()
    await second.ensure()
    assert ready(api)[0] == "True"


async def test_a_node_is_not_ready_while_there_is_a_problem() -> None:
    api = MemoryApi()
    kept = registration(api)
    kept.started()
    kept.set_problem("podman", "container runtime is down: no answer")
    await kept.ensure()
    assert ready(api) == ("False", "container runtime is down: no answer")
    kept.set_problem("podman", "")
    await kept.ensure()
    assert ready(api)[0] == "True"


@pytest.mark.looptime
async def test_a_status_the_server_took_for_lost_is_written_again() -> None:
    api = MemoryApi()
    kept = registration(api)
    kept.started()
    async with Tasks("test") as tasks:
        nodes = Informers(api.client, tasks).get(NODE)
        nodes.on_change(kept.on_change)
        tasks.spawn(kept.run(), name="node")
        await asyncio.sleep(1)
        node = api.one(NODE, "", "node1")
        assert node is not None
        conditions = [c | {"status": "Unknown"} for c in node["status"]["conditions"]]
        api.put(NODE, node | {"status": node["status"] | {"conditions": conditions}})
        await asyncio.sleep(1)
        assert ready(api)[0] == "True"


@pytest.mark.looptime
async def test_the_lease_is_renewed_every_ten_seconds_and_made_again_when_it_is_lost() -> None:
    api, clock = MemoryApi(), FakeClock()
    lease = NodeLease(api.client, "node1", clock=clock)

    def down(call: Call) -> None:
        raise ServiceUnavailable("no")

    async with Tasks("test") as tasks:
        tasks.spawn(lease.run(), name="lease")
        await asyncio.sleep(25)
        found = api.one(LEASE, "kube-node-lease", "node1")
        assert found is not None
        assert found["spec"]["renewTime"] == "2026-01-01T00:00:20.000000Z"
        api.before.append(down)
        await asyncio.sleep(30)
        api.before.clear()
        api.remove(LEASE, "kube-node-lease", "node1")
        await asyncio.sleep(10)
        assert api.one(LEASE, "kube-node-lease", "node1") is not None


@pytest.mark.looptime
async def test_a_node_that_was_called_silent_is_ready_as_soon_as_its_lease_is_renewed() -> None:
    api, clock = MemoryApi(), FakeClock()
    own = registration(api)
    own.started()

    def down(call: Call) -> None:
        raise ServiceUnavailable("no")

    lease = NodeLease(api.client, "node1", clock=clock, on_back=(own.look_again,))
    async with Tasks("test") as tasks:
        tasks.spawn(lease.run(), name="lease")
        tasks.spawn(own.run(), name="registration")
        await asyncio.sleep(5)
        api.before.append(down)
        await asyncio.sleep(60)
        node = api.one(NODE, "", "node1")
        assert node is not None
        silent = [c | {"status": "Unknown"} for c in node["status"]["conditions"]]
        api.put(NODE, node | {"status": node["status"] | {"conditions": silent}})
        api.before.clear()
        await asyncio.sleep(10)
        assert ready(api)[0] == "True"


@pytest.mark.looptime
async def test_a_pause_of_the_tunnel_ends_when_the_server_is_known_to_answer() -> None:
    class Away:
        tries = 0

        @asynccontextmanager
        async def websocket(self, path: str, **how: Any) -> AsyncIterator[WebSocket]:
            self.tries += 1
            raise ServiceUnavailable("no")
            yield

    away = Away()
    tunnel = Tunnel(away, "node1", {})
    async with Tasks("test") as tasks:
        tasks.spawn(tunnel.run(), name="tunnel")
        await asyncio.sleep(300)
        before = away.tries
        tunnel.dial_now()
        await asyncio.sleep(0.1)
        assert away.tries == before + 1
        await asyncio.sleep(10)
        assert away.tries <= before + 2


@pytest.mark.looptime
async def test_the_checkpoint_is_written_only_when_what_matters_changed(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "checkpoint", clock=FakeClock())
    pod = make_pod()
    pods = [pod]
    checkpoint.provide("pods", lambda: pods)
    file = tmp_path / "checkpoint" / "pods.json"
    async with Tasks("test") as tasks:
        tasks.spawn(checkpoint.run(), name="checkpoint")
        checkpoint.mark("pods")
        while not file.exists():  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.1)
        assert file.stat().st_mode & 0o777 == 0o600
        before = file.stat().st_mtime_ns, file.stat().st_ino
        pod["metadata"]["resourceVersion"] = "9"
        pod["status"] = pod["status"] | {"podIP": "10.42.0.9"}
        await checkpoint.write("pods", pods)
        assert (file.stat().st_mtime_ns, file.stat().st_ino) == before
        pod["status"]["phase"] = "Failed"
        await checkpoint.write("pods", pods)
    (loaded,) = checkpoint.load("pods")
    assert loaded["status"]["phase"] == "Failed"
    assert "resourceVersion" not in loaded["metadata"]


def test_a_damaged_checkpoint_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "pods.json").write_bytes(b"[{")
    assert Checkpoint(tmp_path, clock=FakeClock()).load("pods") == []
