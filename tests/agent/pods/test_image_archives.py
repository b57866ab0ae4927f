"""Archives on a node's disk: read once, kept, and told of where they are of no use."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.pods.image_archives import ImageArchives
from agent.pods.images import Images, NotThere
from agent.runtime.fake import FakeRuntime
from agent.runtime.runtime import Image, RuntimeFailure, RuntimeUnavailable
from edgek.aio.clock import FakeClock
from edgek.aio.tasks import Tasks

CONTAINER = {"name": "main", "image": "app:1", "imagePullPolicy": "IfNotPresent"}


@dataclass
class FakeLoader:
    """An archive is the names of its images."""

    runtime: FakeRuntime
    read: list[str] = field(default_factory=list)
    failures: list[RuntimeFailure] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def load(self, archive: AsyncIterator[bytes]) -> list[str]:
        text = b"".join([data async for data in archive]).decode()
        await self.gate.wait()
        self.read.append(text)
        if self.failures:
            raise self.failures.pop()
        if text == "broken":
            raise RuntimeFailure("this is no archive of images, or a damaged one")
        for name in text.split():
            self.runtime.add_image(name)
        return text.split()


@dataclass
class Bench:
    archives: ImageArchives
    loader: FakeLoader
    images: Images
    told: list[tuple[str, str]]
    changed: list[str]

    async def until(self, test: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not test():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def look(self) -> Image | NotThere:
        return await self.images.ensure(
            "pod", CONTAINER, attempt=0, auths=(), tell=lambda *event: None
        )


@asynccontextmanager
async def bench(home: Path, runtime: FakeRuntime, *, loads: bool = True) -> AsyncIterator[Bench]:
    told, changed = list[tuple[str, str]](), list[str]()
    async with Tasks("test") as tasks:
        images = Images(runtime, tasks, clock=FakeClock(), changed=changed.append)
        loader = FakeLoader(runtime)
        if loads:
            loader.gate.set()
        archives = ImageArchives(
            folder=home / "images", memory=home / "image-archives.json", runtime=runtime,
            loader=loader, images=images, tell=lambda _, reason, text: told.append((reason, text)),
        )  # fmt: skip
        tasks.spawn(archives.run(), name="archives")
        yield Bench(archives, loader, images, told, changed)


def put(home: Path, name: str, text: str) -> Path:
    (home / "images").mkdir(exist_ok=True)
    new = home / "images" / f".{name}"
    new.write_text(text)
    return new.rename(home / "images" / name)


async def test_pods_wait_for_archives_and_pull_nothing_meanwhile(tmp_path: Path) -> None:
    put(tmp_path, "a.tar", "app:1 app:2")
    runtime = FakeRuntime()
    async with bench(tmp_path, runtime, loads=False) as on:
        found = await on.look()
        assert isinstance(found, NotThere)
        assert found.waiting.reason == "ContainerCreating"
        on.loader.gate.set()
        await on.until(lambda: on.changed == ["pod"])
        assert isinstance(await on.look(), Image)
        assert on.told[0][0] == "ImageArchiveLoaded"
        assert on.told[0][1].endswith("/images/a.tar: app:1, app:2")
        assert on.archives.kept() == {image.id for image in await runtime.images()}
    assert not any(verb == "pull" for verb, _ in runtime.calls)


async def test_an_archive_is_read_again_only_where_it_or_its_images_changed(tmp_path: Path) -> None:
    path = put(tmp_path, "a.tar", "app:1")
    put(tmp_path, "b.tar.zst", "app:2")
    runtime = FakeRuntime()
    async with bench(tmp_path, runtime) as on:
        await on.until(lambda: len(on.told) == 2)
        await on.until((tmp_path / "image-archives.json").exists)
    async with bench(tmp_path, runtime, loads=False) as on:
        assert isinstance(await on.look(), Image)  # nothing to wait for
        await on.until(lambda: runtime.calls.count(("images", "")) == 2)
        assert on.loader.read == []
        gone = next(i for i in await runtime.images() if "app:2" in i.names)
        await runtime.remove_image(gone.id)
        on.loader.gate.set()
        put(tmp_path, "c.tar", "app:3")  # inotify: and what is missing is noticed with it
        await on.until(lambda: sorted(on.loader.read) == ["app:2", "app:3"])
        os.utime(path, ns=(1, 1))
        put(tmp_path, "d.tar", "app:4")
        await on.until(lambda: on.loader.read[2:] == ["app:1", "app:4"])
        path.unlink()
        await on.until(lambda: "a.tar" not in on.archives.loaded)


async def test_what_is_of_no_use_is_told_of_once_and_holds_up_nothing(tmp_path: Path) -> None:
    put(tmp_path, "a.tar", "broken")
    put(tmp_path, "b.tar", "app:1")
    put(tmp_path, "c.txt", "# from the registry\napp:2\nNot/A:Name\n")
    put(tmp_path, "notes.md", "nothing to load")
    runtime = FakeRuntime()
    runtime.registry.add("app:2")
    async with bench(tmp_path, runtime) as on:
        await on.until(lambda: len(on.told) == 3)
        assert [reason for reason, _ in on.told] == [
            "InvalidImageArchive", "ImageArchiveLoaded", "InvalidImageArchive",
        ]  # fmt: skip
        assert "a.tar: this is no archive of images" in on.told[0][1]
        assert "'Not/A:Name' is no name of an image" in on.told[2][1]
        assert isinstance(await on.look(), Image)
        assert await runtime.find_image("app:2") is not None
        put(tmp_path, "d.tar", "app:4")
        await on.until(lambda: len(on.told) == 4)  # of the others nothing more is said


@pytest.mark.looptime
async def test_a_podman_that_is_away_is_waited_for(tmp_path: Path) -> None:
    put(tmp_path, "a.tar", "app:1")
    async with bench(tmp_path, FakeRuntime()) as on:
        on.loader.failures.append(RuntimeUnavailable("cannot reach podman"))
        await on.until(lambda: len(on.told) == 1)
        assert len(on.loader.read) == 2
