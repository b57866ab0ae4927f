"""Files are written whole, private from the first byte, and only when they change."""

import os
from pathlib import Path

import pytest

from edgek.pki import files


def test_a_written_file_is_private_whatever_the_umask(tmp_path: Path):
    old = os.umask(0)
    try:
        files.write_atomic(tmp_path / "key", b"secret")
    finally:
        os.umask(old)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["key"]


def test_a_write_that_fails_leaves_the_old_content_and_no_litter(tmp_path: Path):
    target = tmp_path / "dir"
    target.mkdir()
    (target / "x").touch()
    with pytest.raises(OSError, match=r"[Dd]irectory"):
        files.write_atomic(target, b"new")  # a file cannot replace a directory
    assert [p.name for p in tmp_path.iterdir()] == ["dir"]


def test_what_is_there_already_is_not_written_again_but_its_mode_is_mended(tmp_path: Path):
    path = tmp_path / "kubeconfig"
    assert files.write_if_changed(path, b"a")
    inode = path.stat().st_ino
    path.chmod(0o644)
    assert not files.write_if_changed(path, b"a")
    assert (path.stat().st_ino, path.stat().st_mode & 0o777) == (inode, 0o600)


def test_a_private_directory_is_closed_also_where_another_made_it(tmp_path: Path):
    (tmp_path / "agent" / "pods").mkdir(parents=True, mode=0o755)
    files.make_private_dir(tmp_path / "agent")
    assert (tmp_path / "agent").stat().st_mode & 0o777 == 0o700
