"""Real Podman, in a node of the test bed: see inside_node.py for what is tried."""

import os
import sys
from pathlib import Path

import pytest

from tests.support.images import image_archive
from tests.support.testbed import Testbed, missing_need

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.host,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(missing_need()), reason=missing_need() or "-"),
]


def test_podman_keeps_the_contract_in_a_node(tmp_path: Path) -> None:
    with Testbed(tmp_path, nodes=1) as bed:
        node = bed.nodes[0]
        node.run("podman", "load", "-q", "-i", image_archive(), capture_output=True)
        environment = {**os.environ, "EDGEK_TEST_CGROUP": node.cgroup}
        result = node.run(
            "env", "-C", ROOT, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
            f"--basetemp={tmp_path}/inside", "tests/host/inside_node.py",
            env=environment, capture_output=True, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr
