"""A kernel without a controller for a limit: pods run, and are told."""

from pathlib import Path

import pytest

from agent.runtime.cgroups import unkept
from agent.runtime.machine import Machine
from agent.runtime.runtime import Resources
from edgek.aio.clock import FakeClock
from edgek.kinds import POD
from tests.support.node import running_node
from tests.support.pods import make_pod

RASPBERRY_PI = Machine(controllers=frozenset({"cpu", "pids"}))
MEMORY = Resources(memory_limit_bytes=32 << 20)
CPU = Resources(cpu_quota_us=5000)


def test_only_limits_that_are_set_and_have_no_controller_are_told():
    assert unkept(MEMORY, machine=RASPBERRY_PI) == [
        "The container's memory limit is not kept: "
        "no memory cgroup controller (boot with cgroup_enable=memory)"
    ]
    assert unkept(CPU, machine=RASPBERRY_PI) == []
    assert unkept(Resources(), machine=RASPBERRY_PI) == []
    assert unkept(MEMORY, machine=Machine()) == []


@pytest.mark.looptime
async def test_a_pod_whose_limit_cannot_be_kept_runs_and_says_so(tmp_path: Path) -> None:
    pod = make_pod()
    pod["spec"]["containers"][0]["resources"] = {"limits": {"memory": "32Mi"}}
    async with running_node(tmp_path, clock=FakeClock()) as node:  # which has no controllers
        node.api.put(POD, pod)
        node.api.put(POD, make_pod("free"))
        await node.until(lambda: "LimitNotKept" in node.reasons())
        await node.until(lambda: node.status("free").get("phase") == "Running")
        assert node.status().get("phase") == "Running"
        assert len(node.messages("LimitNotKept")) == 1
