"""Archives of images on the node's own disk, for where there is no registry.

Every ``*.tar``, ``*.tar.gz``, ``*.tar.zst``... in the directory is loaded, and every image named in
a ``*.txt`` is pulled, before pods pull anything themselves. What was loaded is written down by size
and time of the file, so that a restart reads no archive again while its images are still there.
New files are seen by inotify. The images are never garbage. As k3s does with its ``agent/images``.
"""

import asyncio
import hashlib
import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

from agent.pods.images import Images
from agent.runtime.inotify import CLOSE_WRITE, DELETE, MOVED_FROM, MOVED_TO, Inotify
from agent.runtime.reference import is_reference
from agent.runtime.runtime import Image, Runtime, RuntimeFailure, RuntimeUnavailable

log = logging.getLogger(__name__)

ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tar.zstd", ".tzst")
LIST = ".txt"
CHUNK = 256 * 1024
RETRY_SECONDS = 10.0
MAX_LIST_BYTES = 1 << 20


class Loader(Protocol):
    async def load(self, archive: AsyncIterator[bytes]) -> list[str]: ...


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What a file was when it was loaded; ``images`` are the ids that came of it, ``problem`` why
    none did."""

    size: int
    mtime_ns: int
    digest: str = ""
    images: tuple[str, ...] = ()
    problem: str = ""


@dataclass(kw_only=True)
class ImageArchives:
    """``tell(type, reason, message)`` is an event about the node."""

    folder: Path
    memory: Path
    runtime: Runtime
    loader: Loader
    images: Images
    tell: Callable[[str, str, str], None]
    loaded: dict[str, Loaded] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.loaded = _read(self.memory)
        self._changed = asyncio.Event()
        self._changed.set()
        if any(not self._is_known(path) for path in self._files()):
            self.images.hold()

    def kept(self) -> frozenset[str]:
        """The ids of images that are no garbage."""
        return frozenset(image for each in self.loaded.values() for image in each.images)

    async def run(self) -> None:
        watch = None
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            watch = Inotify(lambda path, name: self._changed.set())
            watch.add(str(self.folder), CLOSE_WRITE | MOVED_TO | MOVED_FROM | DELETE)
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                await self._look()
                self.images.came()
        finally:
            if watch is not None:
                watch.close()

    async def _look(self) -> None:
        """Loads what is new, or gone from Podman's storage."""
        try:
            here = {image.id for image in await self.runtime.images()}
        except RuntimeFailure as err:
            self._later(err)
            return
        files = {path.name: path for path in self._files()}
        before = dict(self.loaded)
        self.loaded = {name: known for name, known in before.items() if name in files}
        for name, path in files.items():
            known = self.loaded.get(name)
            if self._is_known(path) and known is not None and here.issuperset(known.images):
                continue
            try:
                self.loaded[name] = await self._load(path)
            except (OSError, RuntimeUnavailable) as err:
                self._later(err)
        if self.loaded != before:
            await asyncio.to_thread(_write, self.memory, self.loaded)

    def _later(self, err: Exception) -> None:
        log.warning("image archives cannot be loaded now err=%s", err)
        asyncio.get_running_loop().call_later(RETRY_SECONDS, self._changed.set)

    async def _load(self, path: Path) -> Loaded:
        """Raises OSError and RuntimeUnavailable, which pass."""
        found = os.stat(path)
        about = Loaded(size=found.st_size, mtime_ns=found.st_mtime_ns)
        try:
            if path.name.endswith(LIST):
                images, digest = await self._pull_all(path), ""
            else:
                images, digest = await self._load_archive(path)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as err:
            log.warning("image archive is of no use file=%s err=%s", path, err.__cause__ or err)
            self.tell("Warning", "InvalidImageArchive", f"Could not load {path}: {err}")
            return Loaded(**{**asdict(about), "problem": str(err)})
        for image in images:
            await self.images.arrived(image)
        names = ", ".join(sorted({name for i in images for name in i.names if "@" not in name}))
        log.info("image archive loaded file=%s images=%s", path, names)
        self.tell("Normal", "ImageArchiveLoaded", f"Loaded {path}: {names[:800]}")
        ids = tuple(image.id for image in images)
        return Loaded(**{**asdict(about), "digest": digest, "images": ids})

    async def _load_archive(self, path: Path) -> tuple[list[Image], str]:
        digest = hashlib.sha256()

        async def pieces() -> AsyncIterator[bytes]:
            with await asyncio.to_thread(open, path, "rb") as file:
                while data := await asyncio.to_thread(file.read, CHUNK):
                    digest.update(data)
                    yield data

        names = await self.loader.load(pieces())
        found = [await self.runtime.find_image(name) for name in names]
        return [image for image in found if image is not None], digest.hexdigest()

    async def _pull_all(self, path: Path) -> list[Image]:
        """Raises RuntimeFailure with what went wrong with any of them, once all were tried."""
        images, problems = list[Image](), list[str]()
        for name in _listed(path):
            try:
                if not is_reference(name):
                    raise RuntimeFailure(f"{name[:100]!r} is no name of an image")
                found = await self.runtime.find_image(name)
                images.append(found or await self.runtime.pull(name))
            except RuntimeUnavailable:
                raise
            except RuntimeFailure as err:
                problems.append(str(err))
        if problems:
            raise RuntimeFailure("; ".join(problems))
        return images

    def _files(self) -> list[Path]:
        """By name; a dot in front hides one that is still being written."""
        with suppress(OSError):
            return sorted(
                path for path in self.folder.iterdir()
                if path.name.lower().endswith((*ENDINGS, LIST)) and not path.name.startswith(".")
                and path.is_file()
            )  # fmt: skip
        return []

    def _is_known(self, path: Path) -> bool:
        with suppress(OSError):
            found, known = path.stat(), self.loaded.get(path.name)
            return known is not None and (known.size, known.mtime_ns) == (
                found.st_size, found.st_mtime_ns,
            )  # fmt: skip
        return True  # gone again


def _listed(path: Path) -> list[str]:
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [line.strip() for line in file.read(MAX_LIST_BYTES).splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _read(memory: Path) -> dict[str, Loaded]:
    with suppress(OSError, ValueError, TypeError, AttributeError):
        found: Mapping[str, dict[str, object]] = json.loads(memory.read_text())
        return {
            name: Loaded(**{**each, "images": tuple(each["images"])})  # type: ignore[arg-type]
            for name, each in found.items()
            if not each.get("problem")  # tried once more: it may have been the disk, or the network
        }
    return {}


def _write(memory: Path, loaded: Mapping[str, Loaded]) -> None:
    new = memory.with_name(f".{memory.name}.new")
    try:
        with open(new, "w") as out:
            json.dump({name: asdict(each) for name, each in loaded.items()}, out)
            out.flush()
            os.fsync(out.fileno())
        new.replace(memory)
    except OSError as err:  # the next start reads the archives once more
        log.warning("what was loaded cannot be written down path=%s err=%s", memory, err)
