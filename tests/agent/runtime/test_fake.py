"""The fake engine keeps the contract of the real one."""

import asyncio
from dataclasses import replace

import pytest

from agent.runtime.fake import FakeRuntime, Script
from agent.runtime.runtime import ContainerSpec, Namespaces, RuntimeFailure, RuntimeUnavailable
from tests.contracts.runtime import RuntimeContract

SPEC = ContainerSpec(
    name="a",
    image="web:1",
    namespaces=Namespaces(net="host", ipc="host", uts="host"),
    cgroup_parent="/x",
    log_path="/log",
    labels={"io.edgek.pod-uid": "uid-1"},
)


class FakeBench:
    def __init__(self) -> None:
        self.runtime = FakeRuntime()

    def spec(
        self,
        name: str,
        *,
        exits: int | None = None,
        after: float = 0.0,
        ignores_term: bool = False,
        image: str = "",
    ) -> ContainerSpec:
        if not image:
            image = f"image-of-{name}:1"
            self.runtime.add_image(image)
        self.runtime.scripts[image] = Script(
            exit_code=exits, after=after, ignores_term=ignores_term
        )
        return replace(SPEC, name=name, image=image)

    async def hears(self, name: str) -> None:
        """At once."""


class TestFake(RuntimeContract):
    @pytest.fixture
    def bench(self) -> FakeBench:
        return FakeBench()


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime(images=("web:1",))


async def test_a_crash_loses_exits_until_it_is_back_and_says_so(runtime: FakeRuntime) -> None:
    exits = aiter(runtime.exits())
    container_id = await runtime.create(SPEC)
    await runtime.start(container_id)
    runtime.crash()
    runtime.end(container_id, exit_code=137)
    with pytest.raises(RuntimeUnavailable):
        await runtime.containers()
    runtime.recover()
    assert await anext(exits) == ""
    assert (await runtime.containers())[0].exit_code == 137


async def test_a_slow_reader_sees_each_exit_once(runtime: FakeRuntime) -> None:
    exits = aiter(runtime.exits())
    for _ in range(3):
        runtime.recover()
    assert await anext(exits) == ""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await anext(exits)


async def test_failures_are_scripted_one_call_at_a_time(runtime: FakeRuntime) -> None:
    runtime.fail_next("create", RuntimeFailure("no", reason="CreateContainerError"))
    with pytest.raises(RuntimeFailure, match="no"):
        await runtime.create(SPEC)
    assert await runtime.create(SPEC)
    assert runtime.calls == [("create", "a"), ("create", "a")]
