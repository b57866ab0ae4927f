"""netplug as a CNI plugin, run as engines run it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.echo import ask_tcp, echoes
from tests.support.netlab import Lab, Space, lab

pytestmark = pytest.mark.host
ROOT = Path(__file__).parents[2]


@pytest.fixture
def host() -> Iterator[Lab]:
    with lab(1) as made:
        yield made


@pytest.fixture
def sandbox(host: Lab) -> Iterator[Space]:
    made = Space(f"{host.nodes[0].name}-c")
    yield made
    made.close()


def cni(
    host: Lab, tmp_path: Path, command: str, sandbox: Space | None = None, **config: Any
) -> tuple[int, Any]:
    given = {
        "cniVersion": "1.1.0", "name": "net", "type": "netplug", "podCIDR": "10.42.200.0/24",
        "stateDir": str(tmp_path), **config,
    }  # fmt: skip
    environment = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": "abc",
        "CNI_IFNAME": "eth0",
        "CNI_NETNS": f"/run/netns/{sandbox.name}" if sandbox else "",
    }
    done = subprocess.run(
        ["ip", "netns", "exec", host.nodes[0].name, sys.executable, "-m", "netplug.cni"],
        input=json.dumps(given), text=True, capture_output=True, timeout=30, check=False, cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout) if done.stdout else None


def test_add_check_and_del(host: Lab, sandbox: Space, tmp_path: Path) -> None:
    node = host.nodes[0]
    before = node.run("ip", "-br", "link")
    code, result = cni(host, tmp_path, "ADD", sandbox)
    assert (code, result["ips"][0]["address"]) == (0, "10.42.200.1/32")
    assert result["interfaces"][1]["sandbox"] == f"/run/netns/{sandbox.name}"
    with echoes((f"/run/netns/{sandbox.name}", "c", 8080)):
        assert ask_tcp(f"/run/netns/{node.name}", "10.42.200.1", 8080)[0] == "c"
    assert cni(host, tmp_path, "CHECK", sandbox) == (0, None)
    for _ in range(2):
        assert cni(host, tmp_path, "DEL") == (0, None)
    assert cni(host, tmp_path, "CHECK", sandbox)[0] == 1
    assert node.run("ip", "-br", "link") == before


def test_gc_removes_what_the_engine_no_longer_knows(
    host: Lab, sandbox: Space, tmp_path: Path
) -> None:
    cni(host, tmp_path, "ADD", sandbox)
    known = {"cni.dev/valid-attachments": [{"containerID": "abc", "ifname": "eth0"}]}
    assert cni(host, tmp_path, "GC", **known) == (0, None)
    assert cni(host, tmp_path, "CHECK", sandbox) == (0, None)
    assert cni(host, tmp_path, "GC") == (0, None)
    assert cni(host, tmp_path, "CHECK", sandbox)[0] == 1


def test_errors_have_the_specifications_shape(host: Lab, sandbox: Space, tmp_path: Path) -> None:
    code, result = cni(host, tmp_path, "ADD", podCIDR="nonsense")
    assert (code, result["code"], "podCIDR" in result["msg"]) == (1, 7, True)
    code, result = cni(host, tmp_path, "ADD")
    assert (code, result["code"], result["msg"]) == (1, 4, "CNI_NETNS is not set")
    code, result = cni(host, tmp_path, "DANCE")
    assert (code, result["code"]) == (1, 4)
    assert "1.1.0" in cni(host, tmp_path, "VERSION")[1]["supportedVersions"]
