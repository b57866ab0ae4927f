"""Image work on a node, from the command line's calls through server and tunnel to the agent."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from agent.api.images import image_handler
from agent.runtime.fake import FakeRuntime
from agent.runtime.image_work import ImageWork
from agent.runtime.runtime import Image, RuntimeFailure
from edgek.api.errors import ApiError, BadRequest, InternalError, NotFound
from edgek.cli.cluster import Cluster
from edgek.cli.image_calls import Agent, call, node_of
from edgek.client.http import Access, HttpTransport
from edgek.kinds import NODE
from tests.support.tunnelled import tunnelled

PIECE = b"x" * 100_000


@dataclass
class FakeWork:
    """What Podman does, with archives that are nothing but bytes."""

    runtime: FakeRuntime
    got: int = 0
    broke_off: asyncio.Event = field(default_factory=asyncio.Event)
    full_at: int = 1 << 40

    async def load(self, archive: AsyncIterator[bytes]) -> list[str]:
        try:
            async for data in archive:
                self.got += len(data)
                if self.got > self.full_at:
                    raise RuntimeFailure("there is no room left for images on this node's disk")
        except ConnectionResetError:
            self.broke_off.set()
            raise
        self.runtime.add_image("app:1")
        return ["app:1"]

    async def layers(self, image_ids: Sequence[str]) -> list[str]:
        return [f"sha256:{image_id}" for image_id in image_ids]

    async def export(self, names: Sequence[str]) -> AsyncGenerator[bytes, None]:
        for name in names:
            yield name.encode()

    async def build(
        self, context: AsyncIterator[bytes], options: Mapping[str, Any]
    ) -> AsyncGenerator[bytes, None]:
        size = sum([len(data) async for data in context])
        yield b'{"stream": "STEP 1: %d bytes\\n"}\n' % size
        if options.get("target") == "none":
            yield b'{"error": "no stage none"}\n'
            return
        self.runtime.add_image(options["tag"])
        yield b'{"id": "abc"}\n'


@dataclass
class FakeKeeper:
    arrivals: list[str] = field(default_factory=list)
    told: int = 0

    def came(self) -> None:
        self.told += 1

    async def arrived(self, image: Image) -> None:
        self.arrivals += image.names[:1]

    async def collect(self) -> tuple[int, int, tuple[str, ...]]:
        return 2, 1000, ("one is in use",)


@dataclass
class Bench:
    agent: Agent
    runtime: FakeRuntime
    work: FakeWork
    keeper: FakeKeeper


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    runtime = FakeRuntime(images=("here:1",))
    work, keeper = FakeWork(runtime), FakeKeeper()
    handler = image_handler(runtime, cast(ImageWork, work), keeper)
    async with tunnelled({"image": handler}) as up:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}}
        await up.client.create(NODE, node)
        transport = HttpTransport(Access(server=up.url))
        cluster = Cluster(
            client=up.client, transport=transport, config=cast(Any, None), namespace="",
            namespace_given=False,
        )  # fmt: skip
        try:
            yield Bench(node_of(cluster, "node1"), runtime, work, keeper)
        finally:
            await transport.close()


async def pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield PIECE


async def test_an_archive_goes_through_in_pieces_and_its_images_are_made_known(
    bench: Bench,
) -> None:
    assert await call(bench.agent, "import", source=pieces(100)) == ["app:1"]
    assert bench.work.got == 100 * len(PIECE)
    assert (bench.keeper.arrivals, bench.keeper.told) == (["app:1"], 1)
    listed = await call(bench.agent, "list")
    assert {name for image in listed for name in image["names"]} >= {"app:1", "here:1"}
    assert len(await call(bench.agent, "layers")) == 2


async def test_a_node_that_is_full_says_so_while_it_is_still_being_sent(bench: Bench) -> None:
    bench.work.full_at = 1_000_000
    with pytest.raises(InternalError, match="no room left"):
        await call(bench.agent, "import", source=pieces(2000))
    assert bench.work.got < 2_000_000
    assert bench.keeper.told == 0


async def test_half_an_archive_is_no_archive(bench: Bench) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield PIECE

    sending = asyncio.create_task(call(bench.agent, "import", source=endless()))
    async with asyncio.timeout(10):
        while not bench.work.got:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        sending.cancel()
        await bench.work.broke_off.wait()
    assert await bench.runtime.find_image("app:1") is None


async def test_builds_tell_how_they_go_and_why_they_fail(bench: Bench) -> None:
    told: list[str] = []
    how: dict[str, Any] = {"source": pieces(3), "on_progress": told.append}
    built = await call(bench.agent, "build", options={"tag": "mine/app"}, **how)
    assert built == {"id": "abc", "name": "docker.io/mine/app:latest"}
    assert told == ["STEP 1: 300000 bytes"]
    with pytest.raises(InternalError, match="no stage none"):
        await call(bench.agent, "build", source=pieces(1), options={"target": "none"})


async def test_other_work_is_one_question_each(bench: Bench) -> None:
    got: list[bytes] = []
    await call(bench.agent, "export", names=["here:1"], on_data=got.append)
    assert b"".join(got).endswith(b"here:1")
    bench.runtime.registry.add("far:1")
    (pulled,) = await call(bench.agent, "pull", names=["far:1"])
    assert pulled["name"] == "docker.io/library/far:1"
    assert await call(bench.agent, "prune") == {
        "removed": 2, "bytes": 1000, "refused": ["one is in use"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("verb", "params", "error"),
    [
        ("dance", {}, BadRequest("there is no image work 'dance' here")),
        ("pull", {}, BadRequest("name an image")),
        ("pull", {"names": ["No/Name"]}, BadRequest("couldn't parse image name 'No/Name'")),
        ("export", {"names": ["gone:1"]}, NotFound("there is no image gone:1 on this node")),
        ("pull", {"names": ["gone:1"]}, InternalError("manifest unknown")),
    ],
)
async def test_what_cannot_be_is_said(
    bench: Bench, verb: str, params: dict[str, Any], error: ApiError
) -> None:
    with pytest.raises(type(error)) as caught:
        await call(bench.agent, verb, **params)
    assert error.message in caught.value.message
