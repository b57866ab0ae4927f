"""Real Podman, in a node of the test bed: see inside_node.py for what is tried."""

import os
import sys
from pathlib import Path

import pytest

from agent.runtime.machine import look_at_machine
from tests.support.images import image_archive
from tests.support.testbed import Testbed, missing_need

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]


def run_inside(directory: Path, *, hide_v2: bool, select: str) -> None:
    with Testbed(directory, nodes=1, hide_v2=hide_v2) as bed:
        node = bed.nodes[0]
        environment = {**os.environ, "EDGEK_TEST_CGROUP": node.cgroup}
        environment["EDGEK_TEST_IMAGES"] = str(image_archive())
        result = node.run(
            "env", "-C", ROOT, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
            f"--basetemp={directory}/inside", "-k", select, "tests/host/inside_node.py",
            env=environment, capture_output=True, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr


def test_podman_keeps_the_contract_in_a_node(tmp_path: Path) -> None:
    run_inside(tmp_path, hide_v2=True, select="not nothing")


@pytest.mark.skipif(not look_at_machine().hybrid, reason="needs a hybrid cgroup tree")
def test_podman_copes_with_hybrid_cgroups(tmp_path: Path) -> None:
    run_inside(
        tmp_path, hide_v2=False,
        select="exec or session or namespaces or cgroup or comes_back or exit_right_after",
    )  # fmt: skip
