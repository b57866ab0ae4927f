"""Variables from files that an init container has written: what is read, what is refused."""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agent.pods.env_files import parse_key, read_file_keys
from agent.pods.environment import ConfigError, Surroundings, make_environment
from agent.pods.volumes.plugin import Provided
from tests.support.pods import make_pod

FILE = """# made by an init container

  A='one # two' # three
B=''
C='first
 # second'
D="$A"
"""


@pytest.mark.parametrize(
    ("key", "value"), [("A", "one # two"), ("B", ""), ("C", "first\n # second")]
)
def test_a_value_is_what_a_shell_would_read(key: str, value: str) -> None:
    assert parse_key(FILE, key) == value


@pytest.mark.parametrize(
    "line", ['D="x"', "D=x", "D = 'x'", "D= 'x'", "='x'", "D", "D='x'y", "D='"]
)
def test_what_is_no_variable_is_told_with_its_line(line: str) -> None:
    with pytest.raises(ConfigError, match="at line 3"):
        parse_key(f"A='1\n2'\n{line}", "D")


def test_what_comes_after_the_variable_and_what_is_missing_is_no_error() -> None:
    assert parse_key("A='1'\nnonsense", "A") == "1"
    assert parse_key("A='1'", "Z") is None


async def env(root: Path, **ref: Any) -> dict[str, str]:
    source = {"fileKeyRef": {"volumeName": "v", "path": "x.env", "key": "A", **ref}}
    container = {"name": "main", "env": [{"name": "X", "valueFrom": source}]}
    keys = await read_file_keys(container, lambda name: Provided(path=root))
    around = Surroundings(lookup=lambda *_: None, file_keys=keys)
    return make_environment(make_pod(), container, around)


async def test_a_variable_comes_from_the_file_and_may_be_missing_where_it_is_optional(
    tmp_path: Path,
) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/x.env").write_text(FILE)
    (tmp_path / "good.env").write_text("A='1'\n")
    assert (await env(tmp_path, path="deep/x.env"))["X"] == "one # two"
    for ref in ({"path": "good.env", "key": "Z"}, {"path": "gone.env"}):
        with pytest.raises(ConfigError, match=r"not found|no such file"):
            await env(tmp_path, **ref)
        assert "X" not in await env(tmp_path, optional=True, **ref)
    assert not (tmp_path / "gone.env").exists()


async def test_nothing_but_a_file_inside_the_volume_is_read(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (tmp_path / "secret").write_text("A='host'")
    (volume / "link").symlink_to("../secret")
    os.mkfifo(volume / "pipe")
    (volume / "large").write_bytes(b"#" * (1 << 20) + b"\n")
    for path in ("link", "../secret", "pipe", ".", "large"):
        with pytest.raises(ConfigError, match="couldn't parse env file"):
            await env(volume, path=path)


async def test_a_volume_is_read_by_a_thread_of_its_own(tmp_path: Path) -> None:
    """It may be on a server that hangs, and those of the loop are few."""
    (tmp_path / "x.env").write_text(FILE)
    over, few = threading.Event(), ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(few)
    few.submit(over.wait)
    try:
        assert (await env(tmp_path))["X"] == "one # two"
    finally:
        over.set()
