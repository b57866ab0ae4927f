"""hostPath: what is made, what is only looked at, and in which words it is refused."""

import os
import socket
from pathlib import Path

import pytest

from agent.pods.environment import ConfigError
from agent.pods.volumes.host_path import check_host_path


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "socket"))
    listening.close()
    return tmp_path


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("dir", ""), ("file", ""), ("new/deep", ""), ("dir", "Directory"), ("file", "File"),
        ("socket", "Socket"), ("dir", "DirectoryOrCreate"), ("new/deep", "DirectoryOrCreate"),
        ("file", "FileOrCreate"), ("dir/new", "FileOrCreate"),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_there_afterwards(host: Path, path: str, kind: str) -> None:
    check_host_path(host / path, kind)
    assert (host / path).is_file() or (host / path).is_dir() or kind == "Socket"


@pytest.mark.parametrize(
    ("path", "kind", "what"),
    [
        ("gone", "Directory", "a directory"), ("file", "Directory", "a directory"),
        ("file", "DirectoryOrCreate", "a directory"), ("gone", "File", "a file"),
        ("dir", "File", "a file"), ("pipe", "File", "a file"), ("dir", "FileOrCreate", "a file"),
        ("file", "Socket", "a socket file"), ("gone", "CharDevice", "a character device"),
        ("file", "BlockDevice", "a block device"),
    ],
)  # fmt: skip
def test_what_is_something_else_is_refused(host: Path, path: str, kind: str, what: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_host_path(host / path, kind)
    assert str(refused.value) == f"hostPath type check failed: {host / path} is not {what}"
    assert not (host / "gone").exists()
