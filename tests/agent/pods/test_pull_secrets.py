"""Pull secrets of pods on a node in memory: what is told of those that are missing."""

from pathlib import Path

import pytest

from edgek.aio.clock import FakeClock
from edgek.kinds import POD, SECRET
from tests.support.node import running_node
from tests.support.pods import make_pod

pytestmark = pytest.mark.looptime


async def test_missing_pull_secrets_are_told_once_and_the_pull_is_tried_all_the_same(
    tmp_path: Path,
) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        node.api.put(SECRET, {"metadata": {"name": "there", "namespace": "default"}})
        node.runtime.registry |= {"late:1", "later:1"}
        names = ("gone", "there", "", "lost")
        node.api.put(
            POD, make_pod("web", "late", "later", imagePullSecrets=[{"name": n} for n in names])
        )
        await node.until(lambda: node.reasons().count("Started") == 2)
        assert node.messages("FailedToRetrieveImagePullSecret") == [
            "Unable to retrieve some image pull secrets (gone, lost); "
            "attempting to pull the image may not succeed."
        ]
        assert node.reasons().index("FailedToRetrieveImagePullSecret") < node.reasons().index(
            "Pulling"
        )
