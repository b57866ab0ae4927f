"""What a pod names, may do without, and is not there: known also with no server in reach."""

import asyncio
from pathlib import Path

import pytest

from agent.pods.sources import Ref
from edgek.aio.clock import FakeClock
from edgek.api.errors import ServiceUnavailable
from edgek.api.meta import Key, Obj
from edgek.kinds import CONFIG_MAP, POD
from tests.support.memory_api import fail
from tests.support.node import Node, running_node
from tests.support.pods import make_pod

SETTINGS = Ref(CONFIG_MAP, Key("default", "settings"))


def user() -> Obj:
    pod = make_pod()
    settings = {"configMapRef": {"name": "settings", "optional": True}}
    pod["spec"]["containers"][0]["envFrom"] = [settings]
    return pod


def running(node: Node) -> bool:
    return node.pod() is not None and node.status().get("phase") == "Running"


def cut_off(node: Node) -> None:
    gone = ServiceUnavailable("no server in reach")
    node.api.before.append(fail("GET", "configmaps", gone, times=1_000_000))


@pytest.mark.looptime
async def test_what_was_not_there_before_keeps_no_pod_of_before_from_starting(
    tmp_path: Path,
) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        cut_off(node)
        sources = node.sync.parts.sources
        sources.remember({}, missing=[SETTINGS], pods=["uid-web"])
        node.api.put(POD, user())
        await node.until(lambda: running(node))
        assert list(sources.missing()) == [SETTINGS]


@pytest.mark.looptime
async def test_a_pod_that_the_server_told_of_waits_for_its_word(tmp_path: Path) -> None:
    async with running_node(tmp_path, clock=FakeClock()) as node:
        cut_off(node)
        node.sync.parts.sources.remember({}, missing=[SETTINGS], pods=["uid-of-another"])
        node.api.put(POD, user())
        await asyncio.sleep(30)
        assert not running(node)
        assert list(node.sync.parts.sources.missing()) == []
        node.api.before.clear()
        await node.until(lambda: running(node), within=60)
        assert list(node.sync.parts.sources.missing()) == [SETTINGS]
