"""A node takes the data of its own volumes away when their claim is gone, and no other data."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.pods.volumes.reclaim import build_reclaim
from edgek.aio.clock import FakeClock
from edgek.aio.tasks import Tasks
from edgek.api.meta import Obj
from edgek.control.events import EventRecorder
from edgek.control.informer import Informers
from edgek.kinds import PERSISTENT_VOLUME as VOLUME
from edgek.kinds.provisioned import LOCAL_PATH, STORAGE_NODE
from edgek.kinds.volume_match import PROVISIONED_BY
from tests.support.loops import until
from tests.support.memory_api import MemoryApi


def volume(name: str, *, node: str = "n1", phase: str = "Released", policy: str = "Delete") -> Obj:
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": {STORAGE_NODE: node},
                     "annotations": {PROVISIONED_BY: LOCAL_PATH}},
        "spec": {"claimRef": {"namespace": "ns", "name": "c"},
                 "hostPath": {"path": "/etc"}, "persistentVolumeReclaimPolicy": policy},
        "status": {"phase": phase},
    }  # fmt: skip


@asynccontextmanager
async def reclaiming(root: Path, api: MemoryApi) -> AsyncIterator[None]:
    async with Tasks("node") as tasks:
        recorder = EventRecorder(api.client, FakeClock())
        control = build_reclaim(
            client=api.client,
            informers=Informers(api.client, tasks),
            node_name="n1",
            events=recorder.source("kubelet", host="n1"),
            home=root / "agent",
            storage_root=root / "storage",
        )
        tasks.spawn(control.run(), name="reclaim")
        yield


async def left_in(api: MemoryApi, *names: str) -> None:
    """Waits until there are no other volumes."""

    async def only_these() -> bool:
        return {v["metadata"]["name"] for v in api.all(VOLUME)} == set(names)

    await until(only_these)


async def test_only_released_volumes_of_this_node_lose_their_directory(tmp_path: Path) -> None:
    api = MemoryApi()
    kept = {
        "bound": volume("bound", phase="Bound"),
        "retained": volume("retained", policy="Retain"),
        "elsewhere": volume("elsewhere", node="n2"),
    }
    for name, obj in {**kept, "gone": volume("gone")}.items():
        api.put(VOLUME, obj)
        (tmp_path / "storage" / f"{name}_ns_c" / "deep").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "storage/gone_ns_c/link").symlink_to(tmp_path / "outside")
    async with reclaiming(tmp_path, api):
        await left_in(api, *kept)
    left = {p.name for p in (tmp_path / "storage").iterdir()}
    assert left == {f"{name}_ns_c" for name in kept}
    assert (tmp_path / "outside").is_dir()


async def test_what_was_half_removed_before_is_removed_again(tmp_path: Path) -> None:
    api = MemoryApi()
    (tmp_path / "storage/.removed-gone_ns_c/deep").mkdir(parents=True)
    api.put(VOLUME, volume("gone"))
    async with reclaiming(tmp_path, api):
        await left_in(api)
    assert list((tmp_path / "storage").iterdir()) == []


@pytest.mark.parametrize("space", ["..", "a/../../etc"])
async def test_a_name_that_is_no_name_removes_nothing(tmp_path: Path, space: str) -> None:
    from agent.pods.mounts import MountError
    from agent.pods.volumes.local_path import LocalPath

    odd = volume("x")
    odd["spec"]["claimRef"]["namespace"] = f"/{space}"
    with pytest.raises(MountError):
        await LocalPath(tmp_path).remove(odd)
