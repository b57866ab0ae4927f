"""What a node answers at its endpoints; usage itself is tested beside agent/stats."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.api.http import PIECE, Ask, answer
from agent.api.kubelet import Kubelet, log_file
from agent.runtime.machine import Machine
from agent.runtime.runtime import Container
from agent.stats.cgroups import CgroupReader
from agent.stats.disk import Disks
from agent.stats.own_metrics import Own
from agent.stats.rates import Rates
from agent.stats.snapshot import CONTAINER_NAME, Collector
from agent.stats.volumes import ClaimedVolumes
from edgek.api.errors import ApiError, NotFound
from edgek.api.time import parse_time

POD = {"metadata": {"name": "web", "namespace": "default", "uid": "u1"}, "spec": {}}
OLD = Container(
    id="old", name="a", state="exited", image="i:1", created_at=parse_time("2026-01-01T00:00:00Z"),
    labels={CONTAINER_NAME: "main", "io.edgek.pod-uid": "u1"},
)  # fmt: skip
NEW = replace(OLD, id="new", state="running", created_at=parse_time("2026-01-01T00:01:00Z"))


async def nothing(*_: Any) -> Any:
    return {}


@pytest.fixture
def kubelet(tmp_path: Path) -> Kubelet:
    collector = Collector(
        reader=CgroupReader(machine=Machine(), base=tmp_path / "cgroup"),
        pods=lambda: [POD],
        containers=lambda uid: [OLD, NEW],
        paths=dict,
        link=lambda uid: "",
    )
    return Kubelet(
        node_name="n",
        collector=collector,
        rates=Rates(nothing),
        disks=Disks(nothing),
        volumes=ClaimedVolumes(list),
        logs=nothing,
        log_dir=tmp_path,
        data_dir=tmp_path,
        image_dir=tmp_path,
        own=lambda: Own(node_name="n", version="v", cpus=1, memory=1),
        probes=list,
        config=lambda: {"maxPods": 7},
    )


async def log_of(kubelet: Kubelet, rest: str, **query: str) -> Mapping[str, Any]:
    reply = await kubelet.container_logs(Ask(method="GET", path="/", rest=rest, query=query))
    assert reply.stream is not None
    return reply.stream[1]


async def test_a_log_is_the_newest_containers_or_the_one_before(kubelet: Kubelet) -> None:
    found = await log_of(kubelet, "default/web/main", tailLines="5", follow="true")
    assert found["containerID"] == "new"
    assert (found["podUID"], found["tailLines"], found["follow"]) == ("u1", 5, True)
    assert (await log_of(kubelet, "default/web/main", previous="true"))["containerID"] == "old"


@pytest.mark.parametrize("rest", ["default/web/other", "default/gone/main", "kube-system/web/main"])
async def test_a_log_that_is_not_there_is_a_404(kubelet: Kubelet, rest: str) -> None:
    params = {"method": "GET", "path": f"/containerLogs/{rest}"}
    assert (await answer(kubelet.endpoints(), params)).status == 404


async def test_only_what_runs_is_listed_as_running(kubelet: Kubelet) -> None:
    reply = await answer(kubelet.endpoints(), {"path": "/runningpods/"})
    assert reply.body.count(b'"image":"i:1"') == 1
    assert b'"uid":"u1"' in (await answer(kubelet.endpoints(), {"path": "/pods"})).body


@pytest.mark.parametrize("path", ["/", "/metric", "/metrics/more", "/exec/default/web/main"])
async def test_what_is_not_offered_is_a_404(kubelet: Kubelet, path: str) -> None:
    assert (await answer(kubelet.endpoints(), {"path": path})).status == 404


async def test_nothing_can_be_changed(kubelet: Kubelet) -> None:
    asked = {"method": "POST", "path": "/pods"}
    assert (await answer(kubelet.endpoints(), asked)).status == 405


class Collecting:
    """A stream's socket that keeps what it is sent."""

    accepted = False

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def accept(self) -> None:
        self.accepted = True

    async def send(self, data: bytes) -> None:
        assert self.accepted
        self.sent.append(data)

    async def receive(self) -> bytes | None:
        return None

    async def refuse(self, error: ApiError) -> None:
        raise error


async def test_only_files_below_the_log_directory_are_read(tmp_path: Path) -> None:
    top = tmp_path / "logs"
    (top / "pod<1>").mkdir(parents=True)
    text = b"text" * PIECE
    (top / "a.log").write_bytes(text)
    (tmp_path / "secret").write_text("s")
    (top / "link").symlink_to(tmp_path / "secret")
    reply, socket = log_file(top, "a.log"), Collecting()
    assert reply.stream is not None
    await reply.stream[0](reply.stream[1], socket)
    assert b"".join(socket.sent) == text
    assert max(map(len, socket.sent)) <= PIECE
    listed = log_file(top, "").body.decode()
    assert '<a href="a.log">a.log</a>' in listed
    assert "pod&lt;1>/" in listed
    for escape in ("../secret", "link", "/etc/passwd", "gone"):
        with pytest.raises(NotFound):
            log_file(top, escape)
