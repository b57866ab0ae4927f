"""Devices: what the file may say, what is found, who gets it, and following both."""

import asyncio
import os
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.devices.allot import LABEL, Allotments, Unavailable, choose
from agent.devices.declared import Declared, DevicesError, parse_devices
from agent.devices.inventory import Unit, counts, take_inventory
from agent.devices.watch import DeviceWatch

NULL = Declared(name="edgek.io/null", paths=("/dev/null",), shared=2)


def no_group(name: str) -> int:
    return {"gpio": 997}[name]


def parse(text: str) -> tuple[Declared, ...]:
    return parse_devices(yaml.safe_load(text), group_id=no_group)


def test_a_resource_is_read_with_all_it_may_have() -> None:
    (found,) = parse("""
    edgek.io/gpio:
      paths: [/dev/gpiochip0, "/dev/gpiomem*"]
      count: 1
      shared: 10
      permissions: rwm
      groups: [gpio, 44]
      env: {CHIP: "0"}
      mounts: [{path: /run/udev}]
    """)
    assert (found.name, found.shared, found.groups) == ("edgek.io/gpio", 10, (997, 44))
    assert (found.env, found.mounts[0].target, found.mounts[0].read_only) == (
        {"CHIP": "0"}, "/run/udev", True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[1]", "must be a map"),
        ("gpio: {paths: [/dev/x]}", "gpio: must be a name like edgek.io/gpio"),
        ("x.kubernetes.io/gpio: {paths: [/dev/x]}", "kubernetes.io is not for devices"),
        ("e.io/x: {}", "e.io/x: paths are missing"),
        ("e.io/x: {paths: [/etc/passwd]}", r"paths\[0\]: must be a path or a pattern below /dev"),
        ("e.io/x: {paths: [/dev/../etc/x]}", "below /dev"),
        ("e.io/x: {paths: [/dev/x], permission: rw}", "permission: there is no such field"),
        ("e.io/x: {paths: [/dev/x], permissions: rx}", "letters r, w and m"),
        ("e.io/x: {paths: [/dev/x], shared: 0}", "whole number from 1 to 1000"),
        ("e.io/x: {paths: [/dev/x], groups: [spi]}", "this machine has no group 'spi'"),
        ("e.io/x: {paths: [/dev/x], mounts: [{path: run}]}", "must be absolute"),
    ],
)
def test_what_is_wrong_is_named(text: str, problem: str) -> None:
    with pytest.raises(DevicesError, match=problem):
        parse(text)


def test_several_nodes_are_one_device_and_each_makes_one_of_every_node() -> None:
    whole = Declared(name="e.io/whole", paths=("/dev/null", "/dev/zer*"))
    half = Declared(name="e.io/half", paths=("/dev/null", "/dev/there-is-none"))
    each = Declared(name="e.io/each", paths=("/dev/null", "/dev/zero", "/dev/shm"), each=True)
    found = take_inventory((whole, half, each))
    assert found["e.io/whole"] == (Unit(id="all", paths=("/dev/null", "/dev/zero")),)
    assert found["e.io/half"] == ()
    assert [u.id for u in found["e.io/each"]] == ["/dev/null", "/dev/zero"]
    assert counts((whole, half, each), found, {"e.io/each": 3}) == {
        "e.io/whole": (1, 1), "e.io/half": (1, 0), "e.io/each": (3, 2),
    }  # fmt: skip


def test_the_least_used_is_given_and_never_more_than_may_share_it() -> None:
    units = [Unit(id=i, paths=()) for i in "ab"]
    assert choose(NULL, units, amount=2, used=Counter(a=1)) == ("b", "a")
    with pytest.raises(Unavailable, match="Requested: 2, Available: 1, which is unexpected"):
        choose(NULL, units, amount=2, used=Counter(a=2, b=1))


def test_a_container_gets_the_same_device_again_and_a_new_agent_learns_it_from_the_label() -> None:
    each = Declared(name="e.io/x", paths=("/dev/null", "/dev/zero"), each=True)
    world: Any = {"declared": {"e.io/x": each}, "inventory": take_inventory((each,))}
    before = Allotments()
    before.reserve("pod1", "c", {"e.io/x": 1}, **world)
    given = before.reserve("pod2", "c", {"e.io/x": 1}, **world)
    assert [d.path for d in given.devices] == ["/dev/zero"]
    assert before.reserve("pod2", "c", {"e.io/x": 1}, **world) == given
    after = Allotments()
    after.adopt("pod2", "c", given.labels[LABEL])
    assert [d.path for d in after.reserve("p", "c", {"e.io/x": 1}, **world).devices] == [
        "/dev/null"
    ]
    after.keep({"p"})
    assert [d.path for d in after.reserve("q", "c", {"e.io/x": 1}, **world).devices] == [
        "/dev/zero"
    ]


async def changed(what: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not what():  # noqa: ASYNC110 - the kernel's events, not ours
            await asyncio.sleep(0.02)


async def test_the_file_is_followed_and_one_that_is_wrong_changes_nothing(tmp_path: Path) -> None:
    path, problems = tmp_path / "etc/devices.yaml", list[str]()
    watch = DeviceWatch(path)
    watch.on_problem = problems.append
    task = asyncio.create_task(watch.run())
    try:
        await asyncio.sleep(0)
        assert watch.counts() == {}
        path.parent.mkdir()
        await asyncio.sleep(0.05)
        path.write_text("edgek.io/null: {paths: [/dev/null]}")
        await changed(lambda: watch.counts() == {"edgek.io/null": (1, 1)})
        path.write_text("edgek.io/null: {paths: [null]}")
        await changed(lambda: problems)
        assert watch.counts() == {"edgek.io/null": (1, 1)}
        path.unlink()
        await changed(lambda: watch.counts() == {"edgek.io/null": (0, 0)})
    finally:
        task.cancel()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a device node")
async def test_a_device_that_is_unplugged_works_no_more_until_it_is_back(tmp_path: Path) -> None:
    node = Path("/dev/shm") / f"edgek-test-{os.getpid()}"
    path = tmp_path / "devices.yaml"
    path.write_text(f"edgek.io/x: {{paths: [{node}], shared: 3}}")
    watch, told = DeviceWatch(path), list[dict[str, tuple[int, int]]]()
    watch.on_change = lambda: told.append(watch.counts())
    task = asyncio.create_task(watch.run())
    try:
        await asyncio.sleep(0.05)
        assert watch.counts() == {"edgek.io/x": (3, 0)}
        os.mknod(node, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        await changed(lambda: told == [{"edgek.io/x": (3, 3)}])
        with pytest.raises(Unavailable):
            watch.reserve("p", "c", {"edgek.io/x": 4})
        assert watch.reserve("p", "c", {"edgek.io/x": 1, "other/x": 1}).devices[0].path == str(node)
        node.unlink()
        await changed(lambda: told[-1] == {"edgek.io/x": (3, 0)})
        with pytest.raises(Unavailable, match="is not there"):
            watch.reserve("p", "c", {"edgek.io/x": 1})
    finally:
        task.cancel()
        node.unlink(missing_ok=True)
