"""A node's CSI parts against a driver over real gRPC; without mounts."""

import asyncio
import base64
import hashlib
import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.csi.build import Csi
from agent.csi.csi_node import Installed, plan_csi_node, plan_node
from agent.csi.places import Places, remove_leftovers
from agent.csi.republish import Republish
from agent.csi.request import plan_volume
from agent.csi.server import ServerSide
from agent.pods.environment import Surroundings
from agent.pods.mounts import MountError
from agent.pods.tokens import Tokens
from agent.pods.volumes.plugin import VolumeError, Wanted
from agent.stats.volumes import VolumeAt, measure
from edgek.aio.clock import FakeClock
from edgek.api.errors import ServiceUnavailable
from edgek.api.meta import Key, Obj
from edgek.control.events import EventRecorder
from edgek.kinds import (
    CSI_DRIVER,
    CSI_NODE,
    NODE,
    PERSISTENT_VOLUME_CLAIM,
    SECRET,
    VOLUME_ATTACHMENT,
)  # fmt: skip
from edgek.kinds.kind import Kind
from tests.support.csi_driver import NAME, CsiDriver, Links
from tests.support.memory_api import MemoryApi, fail
from tests.support.pods import make_pod

DRIVER_NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1", "uid": "u1"}}


class Bed:
    def __init__(self, root: Path, api: MemoryApi) -> None:
        self.root, self.api = root, api
        self.objects: dict[tuple[Kind, str, str], Obj] = {}
        self.recorder = EventRecorder(api.client, FakeClock())
        self.csi = Csi(
            api.client,
            kubelet_dir=root / "kubelet",
            pod_root=root / "pods",
            node_name="node1",
            events=self.recorder.source("kubelet", host="node1"),
            clock=FakeClock(),
        )

    def driver_object(self, **spec: Any) -> None:
        self.objects[CSI_DRIVER, "", NAME] = {
            "metadata": {"name": NAME},
            "spec": {"attachRequired": False, "volumeLifecycleModes": ["Persistent"], **spec},
        }

    def around(self) -> Surroundings:
        return Surroundings(
            lookup=lambda kind, space, name: self.objects.get((kind, space, name)),
            pod_ip="", host_ip="", services=(), allocatable={},
        )  # fmt: skip

    def persistent(self, pod: Obj, **spec: Any) -> Wanted:
        source = {
            "driver": NAME, "volumeHandle": "disk1", "fsType": "ext4",
            "volumeAttributes": {"a": "b"}, **spec.pop("csi", {}),
        }  # fmt: skip
        volume = {
            "metadata": {"name": "pv1"},
            "spec": {"accessModes": ["ReadWriteOnce"], "csi": source, **spec},
        }
        return self._wanted(pod, source, volume=volume)

    def inline(self, pod: Obj) -> Wanted:
        return self._wanted(pod, {"driver": NAME, "volumeAttributes": {"size": "1"}})

    def _wanted(self, pod: Obj, source: Obj, **more: Any) -> Wanted:
        directory = self.root / "pods" / pod["metadata"]["uid"] / "volumes/csi/data"
        return Wanted(
            pod=pod, name="data", type="csi", source=source, directory=directory,
            around=self.around(), **more,
        )  # fmt: skip

    def left(self) -> list[str]:
        """What is left of volumes in the kubelet's directory."""
        known = ("pods", "plugins", "plugins_registry", NAME)
        return [
            os.path.join(at, name)  # os.walk copes with what goes while it looks
            for at, directories, files in os.walk(self.root / "kubelet")
            for name in (*directories, *files)
            if not name.endswith(".sock") and name not in known
        ]


@asynccontextmanager
async def bed(root: Path, api: MemoryApi | None = None) -> AsyncIterator[Bed]:
    api = api or MemoryApi()
    if api.one(NODE, "", "node1") is None:
        api.put(NODE, DRIVER_NODE)
    b = Bed(root, api)
    running = [asyncio.create_task(b.csi.run()), asyncio.create_task(b.recorder.run())]
    try:
        yield b
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@pytest.fixture
def place() -> Iterator[Path]:
    """A socket's path has 107 letters at most: pytest's own directory is too deep."""
    with tempfile.TemporaryDirectory(prefix="csi-") as made:
        yield Path(made)


@pytest.fixture
def driver(place: Path) -> Iterator[CsiDriver]:
    made = CsiDriver(place / "kubelet", place / "disks", mounter=Links())
    with made.running():
        yield made


async def until(what: Callable[[], Any], within: float = 10) -> None:
    async with asyncio.timeout(within):
        while not what():  # noqa: ASYNC110 - what() may be anything
            await asyncio.sleep(0.01)


def methods(driver: CsiDriver) -> list[str]:
    return [method for method, _ in driver.calls if not method.startswith("NodeGet")]


def last(driver: CsiDriver, method: str) -> dict[str, Any]:
    return [message for name, message in driver.calls if name == method][-1]


# -- registration ----------------------------------------------------------------------------


async def test_a_driver_that_comes_is_told_to_the_cluster_and_taken_back_when_it_goes(
    place: Path,
) -> None:
    async with bed(place) as b:
        await until(lambda: (place / "kubelet/plugins_registry").is_dir())
        driver = CsiDriver(place / "kubelet", place / "disks", mounter=Links())
        with driver.running():
            await until(lambda: b.api.one(CSI_NODE, "", "node1"))
            await until(lambda: driver.told)
            assert driver.told == [{"plugin_registered": True}]
            found = b.api.one(CSI_NODE, "", "node1")
            assert found is not None
            assert found["spec"]["drivers"] == [
                {
                    "name": NAME, "nodeID": "id-of-this-node", "topologyKeys": [f"{NAME}/rack"],
                    "allocatable": {"count": 7},
                }
            ]  # fmt: skip
            assert found["metadata"]["ownerReferences"][0]["uid"] == "u1"
            node = b.api.one(NODE, "", "node1")
            assert node is not None
            assert node["metadata"]["labels"] == {f"{NAME}/rack": "r1"}
            ids = node["metadata"]["annotations"]["csi.volume.kubernetes.io/nodeid"]
            assert json.loads(ids) == {NAME: "id-of-this-node"}
        await until(lambda: not (b.api.one(CSI_NODE, "", "node1") or {})["spec"]["drivers"])


@pytest.mark.parametrize(
    ("kind", "versions", "said"),
    [
        ("DRAPlugin", ["1.0.0"], "no handler registered for plugin type: DRAPlugin"),
        ("CSIPlugin", ["0.3.0"], "None of the versions specified"),
    ],
)
async def test_a_plugin_that_cannot_be_taken_is_told_why(
    place: Path, driver: CsiDriver, kind: str, versions: list[str], said: str
) -> None:
    driver.kind, driver.versions = kind, versions
    async with bed(place) as b:
        await until(lambda: driver.told)
        assert said in driver.told[0]["error"]
        assert b.api.one(CSI_NODE, "", "node1") is None


def test_a_csi_node_keeps_the_drivers_that_nothing_was_said_of() -> None:
    old = {"spec": {"drivers": [{"name": "other", "nodeID": "x", "topologyKeys": None}]}}
    new = plan_csi_node(old, DRIVER_NODE, {"mine": Installed(name="mine", node_id="n")})
    assert new is not None
    assert [d["name"] for d in new["spec"]["drivers"]] == ["mine", "other"]
    assert plan_csi_node(new, DRIVER_NODE, {"mine": Installed(name="mine", node_id="n")}) is None
    ids = {"csi.volume.kubernetes.io/nodeid": '{"other":"x","mine":"n"}'}
    node = {"metadata": {"name": "node1", "annotations": ids}}
    assert plan_node(node, {"mine": Installed(name="mine", node_id="n")}) == {}
    patch = plan_node(node, {"mine": None})
    kept = patch["metadata"]["annotations"]["csi.volume.kubernetes.io/nodeid"]
    assert json.loads(kept) == {"other": "x"}


# -- volumes ---------------------------------------------------------------------------------


async def test_a_volume_is_staged_published_and_undone(place: Path, driver: CsiDriver) -> None:
    async with bed(place) as b:
        b.driver_object()
        wanted = b.persistent(make_pod())
        provided = await b.csi.volumes.set_up(wanted)
        kubelet = place / "kubelet"
        assert provided.path == kubelet / "pods/uid-web/volumes/kubernetes.io~csi/pv1/mount"
        assert provided.owned
        stage, publish = last(driver, "NodeStageVolume"), last(driver, "NodePublishVolume")
        assert stage["volume_capability"] == {
            "mount": {"fs_type": "ext4"}, "access_mode": {"mode": 1},
        }  # fmt: skip
        assert stage["staging_target_path"].endswith("/globalmount")
        assert publish["staging_target_path"] == stage["staging_target_path"]
        assert publish["volume_context"] == {"a": "b"}
        data = json.loads((provided.path.parent / "vol_data.json").read_text())
        assert data["driverName"] == NAME
        await b.csi.volumes.set_up(wanted)  # again: nothing to do
        assert methods(driver) == ["NodeStageVolume", "NodePublishVolume"]
        await b.csi.volumes.tear_down(wanted.directory)
        assert methods(driver)[2:] == ["NodeUnpublishVolume", "NodeUnstageVolume"]
        assert b.left() == []
        await b.csi.volumes.tear_down(wanted.directory)
        assert len(methods(driver)) == 4


async def test_a_volume_stays_staged_while_another_pod_has_it(
    place: Path, driver: CsiDriver
) -> None:
    async with bed(place) as b:
        b.driver_object()
        one, two = b.persistent(make_pod("one")), b.persistent(make_pod("two"))
        await b.csi.volumes.set_up(one)
        await b.csi.volumes.set_up(two)
        await b.csi.volumes.tear_down(one.directory)
        assert methods(driver)[-1] == "NodeUnpublishVolume"
        await b.csi.volumes.tear_down(two.directory)
        assert methods(driver)[-1] == "NodeUnstageVolume"


async def test_a_restarted_agent_undoes_what_an_earlier_one_did(
    place: Path, driver: CsiDriver
) -> None:
    async with bed(place) as b:
        b.driver_object()
        wanted = b.persistent(make_pod())
        await b.csi.volumes.set_up(wanted)
    async with bed(place) as b:
        await until(lambda: len(driver.told) == 2)
        await b.csi.volumes.tear_down(wanted.directory)
        assert methods(driver)[-2:] == ["NodeUnpublishVolume", "NodeUnstageVolume"]
        assert b.left() == []


async def test_an_inline_volume_is_told_of_its_pod_and_never_staged(
    place: Path, driver: CsiDriver
) -> None:
    async with bed(place) as b:
        wanted = b.inline(make_pod(serviceAccountName="me"))
        with pytest.raises(VolumeError, match="no CSIDriver object"):
            await b.csi.volumes.set_up(wanted)
        b.driver_object(podInfoOnMount=True, volumeLifecycleModes=["Ephemeral"])
        await b.csi.volumes.set_up(wanted)
        publish = last(driver, "NodePublishVolume")
        assert publish["volume_id"].startswith("csi-")
        assert publish["volume_context"] == {
            "size": "1",
            "csi.storage.k8s.io/pod.name": "web",
            "csi.storage.k8s.io/pod.namespace": "default",
            "csi.storage.k8s.io/pod.uid": "uid-web",
            "csi.storage.k8s.io/serviceAccount.name": "me",
            "csi.storage.k8s.io/ephemeral": "true",
        }
        with pytest.raises(VolumeError, match='only supports \\["Ephemeral"\\]'):
            await b.csi.volumes.set_up(b.persistent(make_pod("two")))
        await b.csi.volumes.tear_down(wanted.directory)
        assert methods(driver) == ["NodePublishVolume", "NodeUnpublishVolume"]
        assert b.left() == []


async def test_secrets_go_to_the_driver_and_nowhere_else(place: Path, driver: CsiDriver) -> None:
    async with bed(place) as b:
        b.driver_object()
        ref = {"name": "key", "namespace": "vault"}
        csi = {"nodeStageSecretRef": ref, "nodePublishSecretRef": ref}
        wanted = b.persistent(make_pod(), csi=csi)
        with pytest.raises(VolumeError, match='secrets "key" not found'):
            await b.csi.volumes.set_up(wanted)
        secret = {"data": {"password": base64.b64encode(b"hush").decode()}}
        b.objects[SECRET, "vault", "key"] = {"metadata": {"name": "key"}, **secret}
        await b.csi.volumes.set_up(wanted)
        assert last(driver, "NodeStageVolume")["secrets"] == {"password": "hush"}
        files = [
            p for p in (*b.root.glob("kubelet/**/*"), *b.root.glob("pods/**/*")) if p.is_file()
        ]
        assert files
        assert not any(b"hush" in p.read_bytes() for p in files)
        assert not any(os.stat(p).st_mode & 0o077 for p in files)


async def test_an_attached_volume_waits_for_its_attachment_and_is_in_use_till_it_is_unstaged(
    place: Path, driver: CsiDriver
) -> None:
    def in_use() -> list[str] | None:
        node = b.api.one(NODE, "", "node1") or {}
        found: list[str] | None = (node.get("status") or {}).get("volumesInUse")
        return found

    async with bed(place) as b:
        b.driver_object(attachRequired=True)
        wanted = b.persistent(make_pod())
        setting_up = asyncio.create_task(b.csi.volumes.set_up(wanted))
        await until(in_use)
        assert in_use() == [f"kubernetes.io/csi/{NAME}^disk1"]
        assert methods(driver) == []
        name = "csi-" + hashlib.sha256(f"disk1{NAME}node1".encode()).hexdigest()
        b.api.put(
            VOLUME_ATTACHMENT,
            {
                "metadata": {"name": name},
                "status": {"attached": True, "attachmentMetadata": {"path": "/dev/x"}},
            },
        )
        await setting_up
        assert last(driver, "NodeStageVolume")["publish_context"] == {"path": "/dev/x"}
        (driver.store / "fail").write_text("NodeUnstageVolume")
        await b.csi.volumes.tear_down(wanted.directory)
        assert in_use()
        (driver.store / "fail").unlink()
        await until(lambda: not in_use())


async def test_with_no_server_in_reach_an_attached_volume_is_mounted_as_it_was(
    place: Path, driver: CsiDriver
) -> None:
    name = "csi-" + hashlib.sha256(f"disk1{NAME}node1".encode()).hexdigest()
    context = {"path": "/dev/x"}
    async with bed(place) as b:
        b.driver_object(attachRequired=True)
        wanted = b.persistent(make_pod())
        status = {"attached": True, "attachmentMetadata": context}
        b.api.put(VOLUME_ATTACHMENT, {"metadata": {"name": name}, "status": status})
        await b.csi.volumes.set_up(wanted)
        assert (wanted.directory / "attachment.json").stat().st_mode & 0o777 == 0o600
    driver.calls.clear()
    gone = ServiceUnavailable("no server in reach")
    b.api.before += [fail("GET", "volumeattachments", gone, times=99),
                     fail("PATCH", "nodes", gone, times=99)]  # fmt: skip
    async with bed(place, b.api) as b:  # links are no mounts: as after a reboot
        b.driver_object(attachRequired=True)
        await b.csi.volumes.set_up(wanted)
        assert last(driver, "NodeStageVolume")["publish_context"] == context
        assert last(driver, "NodePublishVolume")["publish_context"] == context
        other = b.persistent(make_pod("other"))
        with pytest.raises(ServiceUnavailable):
            await b.csi.volumes.set_up(other)  # it never was here


async def test_a_driver_that_can_says_how_full_its_volume_is(
    place: Path, driver: CsiDriver
) -> None:
    async with bed(place) as b:
        b.driver_object()
        provided = await b.csi.volumes.set_up(b.persistent(make_pod()))
        assert provided.measure is not None
        ask = {"namespace": "n", "volume": "v", "claim": "c", "path": provided.path}
        volume = VolumeAt(pod_uid="u", ask=provided.measure, **ask)
        (found,) = (await measure([volume])).values()
        assert (found.capacity, found.used, found.inodes_used) == (1 << 30, 1 << 20, 3)
        assert last(driver, "NodeGetVolumeStats")["volume_path"] == str(provided.path)
        (driver.store / "fail").write_text("NodeGetVolumeStats")
        assert await provided.measure() is None
        (of_disk,) = (await measure([volume])).values()
        assert of_disk.capacity != 1 << 30


async def test_what_the_driver_refuses_is_said_in_its_words(place: Path, driver: CsiDriver) -> None:
    async with bed(place) as b:
        b.driver_object()
        (driver.store / "fail").write_text("NodePublishVolume")
        words = "rpc error: code = Internal desc = NodePublishVolume is not to be"
        with pytest.raises(VolumeError, match=f"^{words}$"):
            await b.csi.volumes.set_up(b.persistent(make_pod()))


async def test_a_volume_that_is_mounted_somewhere_else_is_not_written_to(
    place: Path, driver: CsiDriver
) -> None:
    class Elsewhere(Links):
        """As a driver in a pod without mountPropagation: the node sees a bare directory."""

        def bind(self, source: Path, target: Path) -> None:
            target.mkdir(exist_ok=True)

    driver.mounter = Elsewhere()
    async with bed(place) as b:
        b.driver_object()
        with pytest.raises(VolumeError, match="mountPropagation: Bidirectional"):
            await b.csi.volumes.set_up(b.persistent(make_pod()))


async def test_a_driver_that_is_gone_does_not_keep_a_pod_for_ever(
    place: Path, driver: CsiDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bed(place) as b:
        b.driver_object()
        wanted = b.persistent(make_pod())
        provided = await b.csi.volumes.set_up(wanted)
        driver.registrar.unlink()
        await until(lambda: not (b.api.one(CSI_NODE, "", "node1") or {})["spec"]["drivers"])
        with pytest.raises(MountError, match="not found in the list of registered CSI drivers"):
            await b.csi.volumes.tear_down(wanted.directory)
        loop = asyncio.get_running_loop()
        now = loop.time()
        monkeypatch.setattr(loop, "time", lambda: now + 1000)
        await b.csi.volumes.tear_down(wanted.directory)
        monkeypatch.undo()
        assert not provided.path.is_symlink()
        assert methods(driver)[-1] == "NodePublishVolume"


async def test_a_volume_grows_with_its_claim(place: Path, driver: CsiDriver) -> None:
    async with bed(place) as b:
        b.driver_object()
        claim = {
            "metadata": {"name": "c", "namespace": "default", "uid": "c1"},
            "status": {
                "capacity": {"storage": "1Gi"},
                "conditions": [{"type": "FileSystemResizePending", "status": "True"}],
            },
        }
        b.api.put(PERSISTENT_VOLUME_CLAIM, claim)
        wanted = replace(b.persistent(make_pod(), capacity={"storage": "2Gi"}), claim=claim)
        await b.csi.volumes.set_up(wanted)
        assert last(driver, "NodeExpandVolume")["capacity_range"] == {"required_bytes": 2 << 30}
        told = b.api.one(PERSISTENT_VOLUME_CLAIM, "default", "c")
        assert told is not None
        assert told["status"]["capacity"] == {"storage": "2Gi"}
        assert not told["status"].get("conditions")
        assert b.api.objects[PERSISTENT_VOLUME_CLAIM, Key("default", "c")]


async def test_a_driver_that_hangs_holds_up_its_own_volume_alone(
    place: Path, driver: CsiDriver
) -> None:
    async with bed(place) as b:
        b.driver_object()
        (driver.store / "hang").write_text("NodeStageVolume")
        hanging = b.persistent(make_pod("one"))
        task = asyncio.create_task(b.csi.volumes.set_up(hanging))
        await until(lambda: "NodeStageVolume" in methods(driver))
        (driver.store / "hang").unlink()
        other = b.persistent(make_pod("two"), csi={"volumeHandle": "disk2"})
        await b.csi.volumes.set_up(other)
        task.cancel()  # as the pod's deletion does
        await asyncio.gather(task, return_exceptions=True)
        await b.csi.volumes.tear_down(hanging.directory)
        await b.csi.volumes.tear_down(other.directory)
        assert b.left() == []


async def test_what_stays_staged_goes_when_the_driver_comes_back(place: Path) -> None:
    async with bed(place) as b:
        b.driver_object()
        first = CsiDriver(place / "kubelet", place / "disks", mounter=Links())
        with first.running():
            wanted = b.persistent(make_pod())
            await b.csi.volumes.set_up(wanted)
            (first.store / "fail").write_text("NodeUnstageVolume")
            await b.csi.volumes.tear_down(wanted.directory)
            assert any(path.endswith("globalmount") for path in b.left())
        (first.store / "fail").unlink()
        second = CsiDriver(place / "kubelet", place / "disks", mounter=Links())
        with second.running():
            await until(lambda: b.left() == [])
            assert methods(second) == ["NodeUnstageVolume"]


async def test_a_driver_that_wants_it_is_asked_again(place: Path, driver: CsiDriver) -> None:
    async with bed(place) as b:
        b.driver_object(requiresRepublish=True)
        wanted = b.persistent(make_pod())
        await b.csi.volumes.set_up(wanted)
        await b.csi.volumes.set_up(wanted)
        assert methods(driver) == ["NodeStageVolume", "NodePublishVolume", "NodePublishVolume"]


@pytest.mark.looptime
async def test_a_volume_is_asked_for_again_until_it_is_gone_and_then_nothing_ticks(
    place: Path,
) -> None:
    asked: list[Wanted] = []

    async def publish(wanted: Wanted) -> None:
        asked.append(wanted)
        raise VolumeError("not now")

    again = Republish(publish, period=90)
    task = asyncio.create_task(again.run())
    wanted = Bed(place, MemoryApi()).persistent(make_pod())
    await asyncio.sleep(1000)
    again.keep(wanted)
    await asyncio.sleep(200)
    assert asked == [wanted] * 2
    again.drop(wanted.directory)
    await asyncio.sleep(1000)
    assert len(asked) == 2
    task.cancel()


class OneToken(Tokens):
    """Gives the same token to all who ask."""

    def __init__(self, api: MemoryApi, token: str) -> None:
        super().__init__(api.client, clock=FakeClock())
        self.token = token

    async def get(self, pod: Obj, source: Obj, *, old: bytes | None) -> bytes:
        return self.token.encode()


async def test_a_driver_gets_tokens_by_audience_as_a_token_request_gives_them(
    place: Path,
) -> None:
    claims = base64.urlsafe_b64encode(b'{"exp": 1893456000}').decode().rstrip("=")
    token = f"h.{claims}.s"
    api = MemoryApi()
    async with bed(place, api) as b:
        b.driver_object(tokenRequests=[{"audience": "vault"}])
        found = b.objects[CSI_DRIVER, "", NAME]
        places = Places(root=place / "kubelet", pod_root=place / "pods")
        volume = plan_volume(b.persistent(make_pod()), found, places, node="node1")
        given = await ServerSide(api.client, OneToken(api, token)).tokens(volume, make_pod())
    (text,) = given.values()
    assert json.loads(text) == {
        "vault": {"token": token, "expirationTimestamp": "2030-01-01T00:00:00Z"}
    }
    assert list(given) == ["csi.storage.k8s.io/serviceAccount.tokens"]


async def test_an_agent_that_leaves_takes_its_notes_and_leaves_what_is_the_drivers(
    place: Path, driver: CsiDriver
) -> None:
    async with bed(place) as b:
        b.driver_object()
        (place / "kubelet/plugins" / NAME / "cache").write_text("the driver's")
        provided = await b.csi.volumes.set_up(b.persistent(make_pod()))
        staging = last(driver, "NodeStageVolume")["staging_target_path"]
        for target in (provided.path, Path(staging)):
            target.unlink()  # as unmounting does to a mount
        driver.socket.unlink()
        driver.registrar.unlink()
        remove_leftovers(place / "kubelet")
        left = [p.name for p in (place / "kubelet").rglob("*") if p.is_file()]
        assert left == ["cache"]
        assert not (place / "kubelet/pods").exists()
