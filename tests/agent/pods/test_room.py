"""Room on a node in memory: a critical pod starts when those that went for it have ended."""

from pathlib import Path
from typing import Any

import pytest

from agent.runtime.fake import Script
from agent.runtime.runtime import RuntimeFailure
from edgek.aio.clock import FakeClock
from edgek.api.meta import Obj
from edgek.kinds import POD
from tests.support.node import Node, running_node
from tests.support.pods import make_pod

pytestmark = pytest.mark.looptime
CRITICAL = {"priority": 2_000_000_000}


def asking(name: str, image: str, cpu: str, **spec: Any) -> Obj:
    pod = make_pod(name, image, **spec)
    pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
    return pod


def running(node: Node, name: str) -> bool:
    return node.pod(name) is not None and node.status(name).get("phase") == "Running"


async def test_a_critical_pod_waits_for_the_end_of_its_victims(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock(), cpu="1") as node:
        node.runtime.scripts["a:1"] = Script(ignores_term=True)
        node.api.put(POD, asking("victim", "a", "800m", terminationGracePeriodSeconds=20))
        await node.until(lambda: running(node, "victim"))
        node.api.put(POD, asking("first", "b", "400m", **CRITICAL))
        await node.until(lambda: "Preempting" in node.reasons())
        # The room of the victim is enough for another one too, who must wait as well.
        node.api.put(POD, asking("second", "b", "400m", **CRITICAL))
        node.api.put(POD, asking("small", "b", "100m"))  # has room beside all of them
        await node.until(lambda: running(node, "small"), within=5)
        await node.until(lambda: node.container("first") and node.container("second"))
        state = node.container("first")["state"]
        assert state == {"waiting": {"reason": "ContainerCreating"}}
        assert not running(node, "second")
        await node.until(lambda: running(node, "first") and running(node, "second"))
        assert node.status("victim")["reason"] == "Preempting"


async def test_one_that_waits_may_be_deleted_and_does_not_wait_for_ever(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock(), cpu="1") as node:
        node.api.put(POD, asking("victim", "a", "800m", terminationGracePeriodSeconds=20))
        await node.until(lambda: running(node, "victim"))
        for _ in range(50):
            node.runtime.fail_next("stop", RuntimeFailure("it hangs"))
        for name in ("gone", "patient"):
            node.api.put(POD, asking(name, "b", "400m", **CRITICAL))
        await node.until(lambda: node.container("gone") and node.container("patient"))
        node.delete("gone")
        await node.until(lambda: node.pod("gone") is None, within=20)
        assert not running(node, "patient")
        await node.until(lambda: running(node, "patient"), within=35)
        assert running(node, "victim")  # as far as is known: half as long again as its grace
