"""Directories on a share, made, archived and removed; a bind mount stands for the share."""

import os
from pathlib import Path

import pytest

from agent.pods.mounts import MountError, mounts_below, run_child
from agent.pods.volumes.nfs_directory import NfsDirectory
from edgek.api.meta import Obj
from edgek.kinds.provisioned import NFS_DIRECTORY, ON_DELETE, SHARE
from edgek.kinds.volume_match import PROVISIONED_BY

pytestmark = [pytest.mark.host, pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")]


async def bind(
    source: str, target: Path, *, kind: str,
    options: tuple[str, ...] = (), enter: tuple[str, ...] = (),
) -> None:  # fmt: skip
    share = source.partition(":")[2]
    code, said = await run_child(["mount", "--bind", share, str(target)], seconds=5)
    if code:
        raise MountError(said)


def volume(share: Path, directory: str, *, on_delete: str = "archive") -> Obj:
    marks = {PROVISIONED_BY: NFS_DIRECTORY, SHARE: str(share), ON_DELETE: on_delete}
    nfs = {"server": "192.0.2.9", "path": f"{share}/{directory}"}
    return {"metadata": {"name": "pv", "annotations": marks}, "spec": {"nfs": nfs}}


async def test_a_directory_is_made_once_archived_or_removed(tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    directories = NfsDirectory(tmp_path / "shares", mount=bind)
    await directories.make(volume(share, "ns/data"))
    assert (share / "ns/data").stat().st_mode & 0o777 == 0o777
    (share / "ns/data").chmod(0o700)
    (share / "ns/data/file").touch()
    await directories.make(volume(share, "ns/data"))
    assert (share / "ns/data").stat().st_mode & 0o777 == 0o700  # its user's own choice
    await directories.remove(volume(share, "ns/data"))
    assert (share / "ns/archived-data/file").exists()
    await directories.remove(volume(share, "ns/data"))  # again, as after a crash
    await directories.make(volume(share, "ns/data"))
    await directories.remove(volume(share, "ns/data"))
    assert len(list((share / "ns").glob("archived-data*"))) == 2
    await directories.make(volume(share, "other"))
    await directories.remove(volume(share, "other", on_delete="delete"))
    assert not (share / "other").exists()
    assert mounts_below(tmp_path) == []
    assert list((tmp_path / "shares").iterdir()) == []


async def test_a_share_that_cannot_be_had_leaves_nothing(tmp_path: Path) -> None:
    directories = NfsDirectory(tmp_path / "shares", mount=bind)
    with pytest.raises(MountError):
        await directories.make(volume(tmp_path / "not-there", "x"))
    assert list((tmp_path / "shares").iterdir()) == []


@pytest.mark.parametrize("path", ["../up", "a/../../up", ""])
async def test_a_path_outside_the_share_is_not_ours(tmp_path: Path, path: str) -> None:
    directories = NfsDirectory(tmp_path / "shares", mount=bind)
    await directories.remove(volume(tmp_path, path, on_delete="delete"))
    assert not (tmp_path / "shares").exists()
