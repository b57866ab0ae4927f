"""What every Runtime promises; run on the fake (tests/agent/runtime/test_fake.py) and on Podman
(tests/host/inside_node.py). A subclass gives the fixture ``bench``.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import Protocol

import pytest

from agent.runtime.runtime import (
    ContainerSpec,
    ImageMissing,
    Resources,
    Runtime,
    RuntimeFailure,
    Security,
)

SECONDS = 20.0


class Bench(Protocol):
    """A runtime that has the image IMAGE and not the image ABSENT, and specs to try it with."""

    runtime: Runtime

    def spec(
        self,
        name: str,
        *,
        exits: int | None = None,
        after: float = 0.0,
        ignores_term: bool = False,
        image: str = "",
    ) -> ContainerSpec: ...

    async def hears(self, name: str) -> None:
        """Returns when what that container runs would hear a signal."""


@dataclass
class Exited:
    """Collects exits from the moment it was made."""

    runtime: Runtime

    def __post_init__(self) -> None:
        self._exits = self.runtime.exits()

    async def wait(self, container_id: str) -> None:
        async with asyncio.timeout(SECONDS):
            async for seen in self._exits:
                if seen == container_id:
                    return


class RuntimeContract:
    async def test_a_container_is_created_runs_and_exits_with_its_code(self, bench: Bench) -> None:
        exited = Exited(bench.runtime)
        container_id = await bench.runtime.create(bench.spec("a", exits=3, after=0.2))
        created = await bench.runtime.inspect(container_id)
        assert created is not None
        assert (created.state, created.name) == ("created", "a")
        await bench.runtime.start(container_id)
        running = await bench.runtime.inspect(container_id)
        assert running is not None
        assert running.state == "running"
        assert running.pid > 0
        assert running.started_at is not None
        await exited.wait(container_id)
        ended = await bench.runtime.inspect(container_id)
        assert ended is not None
        assert (ended.state, ended.exit_code, ended.pid) == ("exited", 3, 0)
        assert ended.finished_at is not None
        assert ended.finished_at >= running.started_at

    async def test_an_exit_right_after_the_start_is_not_lost(self, bench: Bench) -> None:
        exited = Exited(bench.runtime)
        container_id = await bench.runtime.create(bench.spec("a", exits=0))
        await bench.runtime.start(container_id)
        await exited.wait(container_id)
        ended = await bench.runtime.inspect(container_id)
        assert ended is not None
        assert (ended.state, ended.exit_code) == ("exited", 0)

    async def test_the_list_has_labels_and_the_same_facts_as_inspect(self, bench: Bench) -> None:
        exited = Exited(bench.runtime)
        lasting = await bench.runtime.create(bench.spec("lasting"))
        short = await bench.runtime.create(bench.spec("short", exits=5))
        await bench.runtime.start(lasting)
        await bench.runtime.start(short)
        await exited.wait(short)
        found = {c.id: c for c in await bench.runtime.containers()}
        assert set(found) == {lasting, short}
        assert found[lasting].labels["io.edgek.pod-uid"] == "uid-1"
        assert found[lasting].state == "running"
        assert found[short] == await bench.runtime.inspect(short)
        assert found[short].exit_code == 5

    async def test_a_start_tells_what_an_inspection_does(self, bench: Bench) -> None:
        for name in ("a", "b"):  # the second without a question to the engine
            spec = replace(bench.spec(name), security=Security(user="1000:1000"))
            assert await bench.runtime.find_image(spec.image) is not None
            container_id = await bench.runtime.create(spec)
            started = await bench.runtime.start(container_id)
            seen = await bench.runtime.inspect(container_id)
            assert started is not None
            assert seen is not None
            assert started.state == "running"
            assert started.started_at is not None
            times = {"created_at": started.created_at, "started_at": started.started_at}
            assert replace(seen, **times) == started

    async def test_a_missing_image_is_told_from_other_failures(self, bench: Bench) -> None:
        with pytest.raises(ImageMissing):
            await bench.runtime.create(bench.spec("a", image="example.com/absent:1"))
        assert await bench.runtime.find_image("example.com/absent:1") is None

    async def test_a_name_can_be_taken_once(self, bench: Bench) -> None:
        await bench.runtime.create(bench.spec("a"))
        with pytest.raises(RuntimeFailure) as caught:
            await bench.runtime.create(bench.spec("a"))
        assert caught.value.reason == "CreateContainerError"

    async def test_stop_returns_when_the_container_has_exited(self, bench: Bench) -> None:
        container_id = await bench.runtime.create(bench.spec("a"))
        await bench.runtime.start(container_id)
        await bench.hears("a")
        await bench.runtime.stop(container_id, grace_seconds=10)
        ended = await bench.runtime.inspect(container_id)
        assert ended is not None
        assert (ended.state, ended.exit_code) == ("exited", 143)

    async def test_stop_kills_after_the_grace(self, bench: Bench) -> None:
        container_id = await bench.runtime.create(bench.spec("a", ignores_term=True))
        await bench.runtime.start(container_id)
        await bench.hears("a")
        await bench.runtime.stop(container_id, grace_seconds=1)
        ended = await bench.runtime.inspect(container_id)
        assert ended is not None
        assert (ended.state, ended.exit_code) == ("exited", 137)

    async def test_stop_and_remove_of_what_is_gone_are_no_errors(self, bench: Bench) -> None:
        container_id = await bench.runtime.create(bench.spec("a", ignores_term=True))
        await bench.runtime.start(container_id)
        await bench.runtime.remove(container_id)
        await bench.runtime.remove(container_id)
        await bench.runtime.stop(container_id, grace_seconds=1)
        assert await bench.runtime.inspect(container_id) is None
        assert await bench.runtime.containers() == []

    async def test_only_what_runs_is_updated(self, bench: Bench) -> None:
        container_id = await bench.runtime.create(bench.spec("a"))
        await bench.runtime.start(container_id)
        await bench.runtime.update(container_id, Resources(memory_limit_bytes=64 * 2**20))
        after = await bench.runtime.inspect(container_id)
        assert after is not None
        assert after.state == "running"
        await bench.runtime.remove(container_id)
        with pytest.raises(RuntimeFailure):
            await bench.runtime.update(container_id, Resources(memory_limit_bytes=2**20))

    async def test_exec_gives_code_and_output_of_a_running_container(self, bench: Bench) -> None:
        container_id = await bench.runtime.create(bench.spec("a"))
        await bench.runtime.start(container_id)
        result = await bench.runtime.exec(container_id, ("true",), timeout=5)
        assert result.exit_code == 0

    async def test_exec_in_a_stopped_container_fails(self, bench: Bench) -> None:
        container_id = await bench.runtime.create(bench.spec("a"))
        with pytest.raises(RuntimeFailure):
            await bench.runtime.exec(container_id, ("true",), timeout=5)

    async def test_an_image_that_a_container_has_is_not_removed(self, bench: Bench) -> None:
        container_id = await bench.runtime.create(bench.spec("a"))
        made = await bench.runtime.inspect(container_id)
        assert made is not None
        with pytest.raises(RuntimeFailure):
            await bench.runtime.remove_image(made.image_id)
        assert made.image_id in {image.id for image in await bench.runtime.images()}
        await bench.runtime.remove_image("0" * 64)  # what is gone is no error

    async def test_what_a_container_writes_lies_in_a_directory_of_the_host(
        self, bench: Bench
    ) -> None:
        container_id = await bench.runtime.create(bench.spec("a"))
        layer, root = await bench.runtime.layer(container_id), await bench.runtime.storage_root()
        assert root.startswith("/")
        assert not layer or layer.startswith(root)

    async def test_images_are_found_by_reference(self, bench: Bench) -> None:
        reference = bench.spec("a").image
        image = await bench.runtime.find_image(reference)
        assert image is not None
        assert reference in image.names
        assert image in await bench.runtime.images()
