"""Taking a pod's directory away must never take away what is mounted in it."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.pods.mounts import (
    bind_handle,
    mounts_below,
    remove_tree,
    remove_unmounted,
    run_child,
    unmount_below,
)

pytestmark = [pytest.mark.host, pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")]


@pytest.fixture
def precious(tmp_path: Path) -> Iterator[Path]:
    """A directory with data that is bound into ``tmp_path/pod``, as a volume is."""
    data = tmp_path / "data"
    (data / "deep").mkdir(parents=True)
    (data / "deep/file").write_text("precious")
    (tmp_path / "pod/volumes/v").mkdir(parents=True)
    (tmp_path / "pod/etc").mkdir()
    bind(data, tmp_path / "pod/volumes/v")
    yield data
    for target in reversed(mounts_below(tmp_path)):
        subprocess.run(["umount", "-l", target], check=False)


def bind(source: Path, target: Path) -> None:
    subprocess.run(["mount", "--bind", source, target], check=True)


def test_what_is_still_mounted_is_left_alone(tmp_path: Path, precious: Path) -> None:
    remove_unmounted(tmp_path / "pod")
    assert (precious / "deep/file").read_text() == "precious"
    assert not (tmp_path / "pod/etc").exists()


async def test_a_mount_hidden_below_another_is_unmounted_too(
    tmp_path: Path, precious: Path
) -> None:
    bind(tmp_path / "pod/etc", tmp_path / "pod/volumes")  # volumes/v is out of reach now
    await unmount_below(tmp_path / "pod")
    assert mounts_below(tmp_path / "pod") == []
    await remove_tree(tmp_path / "pod")
    assert (precious / "deep/file").read_text() == "precious"


def test_what_a_handle_holds_is_mounted_in_the_place_of_what_was(
    tmp_path: Path, precious: Path
) -> None:
    target = tmp_path / "pod/volumes/v"
    handle = os.open(precious / "deep", os.O_PATH)
    try:
        bind_handle(handle, target)
    finally:
        os.close(handle)
    assert [p.name for p in target.iterdir()] == ["file"]
    assert mounts_below(target) == [target]


async def test_a_child_that_hangs_is_killed_with_its_helpers() -> None:
    async with asyncio.timeout(5):
        code, said = await run_child(["sh", "-c", "sleep 60 & sleep 60"], seconds=0.2)
    assert (code, said) == (124, "no answer within 0 seconds")


def test_a_tree_is_bound_read_only_with_what_is_mounted_in_it_and_alone(
    tmp_path: Path, precious: Path
) -> None:
    tree, target, below = tmp_path / "pod", tmp_path / "target", "volumes/v"
    target.mkdir()
    bind(tree, tree)
    subprocess.run(["mount", "--make-rshared", tree], check=True)
    bind(precious, tree / below)
    handle = os.open(tree, os.O_PATH)
    try:
        bind_handle(handle, target, read_only=True)
    finally:
        os.close(handle)
    bind(precious, tree / "etc")
    for place in ("file", f"{below}/file"):
        with pytest.raises(OSError, match="Read-only file system"):
            (target / place).touch()
    (tree / below / "new").touch()
    assert (target / below / "new").exists()
    assert list((target / "etc").iterdir()) == []  # what comes later stays away
