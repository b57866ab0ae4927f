"""Volumes made of images: pulled as a container's image is, and waited for by who mounts them."""

from pathlib import Path
from typing import Any

import pytest

from agent.pods.volumes.image import images_of_volumes
from agent.runtime.fake import Script
from edgek.aio.clock import FakeClock
from edgek.api.meta import Obj
from edgek.kinds import POD
from tests.support.node import Node, running_node
from tests.support.pods import make_pod

pytestmark = pytest.mark.looptime


def with_files(reference: str, **source: Any) -> Obj:
    pod = make_pod("web", "main", "a", volumes=[
        {"name": "files", "image": {"reference": reference, **source}}])  # fmt: skip
    mount = {"name": "files", "mountPath": "/f", "subPath": "etc"}
    pod["spec"]["containers"][0]["volumeMounts"] = [mount]
    return pod


def reason(node: Node, index: int = 0) -> str:
    if node.pod() is None:
        return ""
    state = node.container(index=index).get("state", {})
    return str(state.get("waiting", {}).get("reason", "running" if "running" in state else ""))


async def test_its_files_are_mounted_when_it_has_come(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.runtime.registry.add("files:1")
        node.sync.parts.volumes._bind = lambda handle, target, *, read_only: None  # no root here
        node.api.put(POD, with_files("files:1"))
        await node.until(lambda: reason(node) == "running")
        (directory,) = node.runtime.image_mounts
        assert directory == tmp_path / "pods/uid-web/volumes/image/files"
        spec = next(s for s in node.runtime.specs.values() if s.image == "main:1")
        (mount,) = [m for m in spec.mounts if m.target == "/f"]
        assert mount.source.endswith("volume-subpaths/files/main-0")
        assert mount.read_only
        assert mount.no_exec
        assert node.messages("Pulling") == ['Pulling image "files:1"']


async def test_a_note_keeps_its_image_from_collection_for_as_long_as_the_pod_is_here(
    tmp_path: Path,
) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.runtime.registry.add("files:1")
        node.sync.parts.volumes._bind = lambda handle, target, *, read_only: None
        node.api.put(POD, with_files("files:1"))
        await node.until(lambda: reason(node) == "running")
        image = await node.runtime.find_image("files:1")
        assert image is not None
        assert images_of_volumes(tmp_path / "pods") == {image.id}
        node.delete()
        await node.until(lambda: node.pod() is None)
        assert images_of_volumes(tmp_path / "pods") == frozenset()


async def test_an_image_is_in_hand_while_a_container_is_made_of_it(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.runtime.scripts["main:1"] = Script(create_delay=5)
        image = await node.runtime.find_image("main:1")
        assert image is not None
        images = node.sync.parts.launcher.images
        node.api.put(POD, make_pod())
        await node.until(lambda: images.kept() == {image.id})
        await node.until(lambda: reason(node) == "running")
        assert images.kept() == frozenset()


async def test_who_mounts_it_waits_for_its_pull_in_the_words_of_one(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.sync.parts.volumes._bind = lambda handle, target, *, read_only: None
        node.api.put(POD, with_files("absent:1"))
        await node.until(lambda: reason(node) == "ErrImagePull")
        assert reason(node, 1) == "ContainerCreating"
        await node.until(lambda: reason(node) == "ImagePullBackOff")
        node.runtime.registry.add("absent:1")
        await node.until(lambda: reason(node) == reason(node, 1) == "running")
        assert "FailedMount" not in node.reasons()


async def test_one_that_is_never_pulled_may_be_loaded_by_hand(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.sync.parts.volumes._bind = lambda handle, target, *, read_only: None
        node.api.put(POD, with_files("absent:1", pullPolicy="Never"))
        await node.until(lambda: reason(node) == "ErrImageNeverPull")
        node.runtime.add_image("absent:1")
        await node.until(lambda: reason(node) == "running", within=90)
