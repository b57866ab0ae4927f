"""The checkpoint: whatever happens to it, the agent goes on."""

import asyncio
import logging
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from agent.node.checkpoint import Checkpoint, encoded
from agent.node.cluster import CidrWatch, Cluster, read_cluster
from edgek.aio.clock import FakeClock
from edgek.api.meta import Obj
from tests.support.pods import make_pod

looptime = pytest.mark.looptime


def config_map(name: str, text: str = "") -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"t": text},
    }


async def test_what_was_written_is_read_again_and_statuses_are_not(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "c", clock=FakeClock())
    pod = make_pod()
    pod["status"] |= {"podIP": "10.42.0.2", "conditions": [{"type": "Ready"}]}
    assert await checkpoint.write("pods", [pod])
    (read,) = checkpoint.load("pods")
    assert read["spec"] == pod["spec"]
    assert read["status"] == {"phase": "Pending"}
    assert (tmp_path / "c/pods.json").stat().st_mode & 0o777 == 0o600


DAMAGED: dict[str, Any] = {
    "empty": b"",
    "truncated": orjson.dumps([make_pod()])[:-20],
    "of zeros": b"\0" * 100,
    "another shape": b'{"pods": 7}',
    "of another time": b'[1, null, {"kind": "Pod"}, {"metadata": []}, {"metadata": {"name": 7}}]',
    "no UTF-8": b'["\xff"]',
}


@pytest.mark.parametrize("how", DAMAGED)
async def test_a_damaged_one_is_told_of_and_the_server_waited_for(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "pods.json").write_bytes(DAMAGED[how])
    checkpoint = Checkpoint(tmp_path, clock=FakeClock())
    assert checkpoint.load("pods") == []
    assert (caplog.text == "") == (how == "empty")
    assert await checkpoint.write("pods", [make_pod()])
    assert len(checkpoint.load("pods")) == 1


async def test_a_power_cut_in_the_middle_of_a_write_leaves_the_one_before_and_nothing_else(
    tmp_path: Path,
) -> None:
    checkpoint = Checkpoint(tmp_path, clock=FakeClock())
    assert await checkpoint.write("pods", [make_pod("web")])
    (tmp_path / ".pods.json.0123abcd.tmp").write_bytes(b'[{"metadata": {"na')
    again = Checkpoint(tmp_path, clock=FakeClock())
    assert [p["metadata"]["name"] for p in again.load("pods")] == ["web"]
    assert os.listdir(tmp_path) == ["pods.json"]


async def test_what_is_whole_in_a_damaged_one_is_kept(tmp_path: Path) -> None:
    (tmp_path / "pods.json").write_bytes(orjson.dumps([None, make_pod()]))
    (pod,) = Checkpoint(tmp_path, clock=FakeClock()).load("pods")
    assert pod["metadata"]["name"] == "web"


@looptime
async def test_a_disk_that_cannot_be_written_is_tried_again_and_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "c"
    place.write_text("a file where the directory should be")
    checkpoint = Checkpoint(place, clock=FakeClock())
    checkpoint.provide("pods", lambda: [make_pod()])
    writing = asyncio.create_task(checkpoint.run())
    with caplog.at_level(logging.INFO):
        checkpoint.mark("pods")
        await asyncio.sleep(600)
        assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1
        assert "cannot be written" in checkpoint.describe()["problem"]
        place.unlink()
        await asyncio.sleep(120)
    writing.cancel()
    assert len(checkpoint.load("pods")) == 1
    assert checkpoint.describe()["problem"] == ""
    assert "works again" in caplog.text


def test_its_size_is_bounded_and_the_largest_objects_go_first() -> None:
    objects = [config_map("a"), config_map("huge", "x" * 1000), config_map("b", "y" * 100)]
    data, left_out = encoded(objects, limit=600)
    assert left_out == 1
    assert [o["metadata"]["name"] for o in orjson.loads(data)] == ["a", "b"]
    assert encoded(objects)[1] == 0


async def test_it_is_written_only_where_it_differs(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, clock=FakeClock())
    await checkpoint.write("pods", [make_pod()])
    first = (tmp_path / "pods.json").stat()
    pod = make_pod()
    pod["metadata"]["resourceVersion"] = "77"
    await checkpoint.write("pods", [pod])
    assert (tmp_path / "pods.json").stat().st_ino == first.st_ino
    written = checkpoint.describe()["written"]
    assert datetime.fromisoformat(written).timestamp() == int(first.st_mtime)


# -- the cluster's networks --------------------------------------------------------------------

CLUSTER = Cluster(
    cluster_cidr="10.42.0.0/16", service_cidr="10.43.0.0/16", cluster_dns="10.43.0.10",
    cluster_domain="cluster.local", pod_cidr="10.42.1.0/24",
)  # fmt: skip


def node(cidr: str = "10.42.1.0/24", name: str = "node1") -> Obj:
    return {"metadata": {"name": name}, "spec": {"podCIDR": cidr} if cidr else {}}


async def test_a_node_made_anew_is_given_time_and_then_moves(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, clock=FakeClock())
    watch = CidrWatch("node1", CLUSTER, checkpoint)
    moving = asyncio.create_task(watch.moved())
    for seen in (node(), node("", "node1"), node("10.42.9.0/24", "node9"), None):
        watch.on_change(node(), seen)
    await asyncio.sleep(0.01)
    assert not moving.done()
    watch.on_change(None, node("10.42.7.0/24"))
    await asyncio.wait_for(moving, 5)
    config, moved = checkpoint.load("cluster")
    found = read_cluster(config, moved)
    assert found is not None
    assert (found.pod_cidr, found.cluster_dns) == ("10.42.7.0/24", "10.43.0.10")
