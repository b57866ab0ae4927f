"""FakeRuntime: a container engine in memory that keeps the promises of ``Runtime``.

It passes the contract suite of the real one (tests/contracts/runtime.py). What containers do is
a ``Script`` per image, in loop time, so virtual time drives it:

    runtime = FakeRuntime(images=("web:1", "job:1"))
    runtime.scripts["job:1"] = Script(exit_code=1, after=3)
    runtime.end(container_id, exit_code=137, oom_killed=True)     # a death from outside
    runtime.fail_next("start", RuntimeFailure("no", reason="RunContainerError"))
    runtime.crash(); runtime.recover()                            # the engine, not its containers

``calls`` lists (verb, container name or image) for tests that prove nothing was done twice.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from agent.runtime.exits import Exits
from agent.runtime.runtime import (
    Container,
    ContainerSpec,
    ExecResult,
    Image,
    ImageMissing,
    Resources,
    RuntimeFailure,
    RuntimeUnavailable,
    RuntimeVersion,
    Stream,
)
from edgek.aio.clock import Clock, FakeClock

Exec = Callable[[tuple[str, ...]], Awaitable[ExecResult]]


@dataclass(frozen=True, kw_only=True)
class Script:
    """What containers of one image do. ``exit_code`` None: they run until they are stopped."""

    exit_code: int | None = None
    after: float = 0.0
    ignores_term: bool = False
    create_delay: float = 0.0
    start_error: RuntimeFailure | None = None
    exec: Exec | None = None
    """Answers exec; without it every command succeeds with no output."""
    output: bytes = b""
    """What attach and exec_stream read before the end."""


class FakeRuntime:
    """Ids are stable: they derive from the container's name and its place in the row."""

    def __init__(self, *, images: tuple[str, ...] = (), clock: Clock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.scripts: dict[str, Script] = {}
        self.specs: dict[str, ContainerSpec] = {}
        self.updated: dict[str, Resources] = {}
        """What containers were given since they were made."""
        self.registry: set[str] = set()
        """Images that a pull finds."""
        self.locked: dict[str, Mapping[str, str]] = {}
        """Those of them that want these credentials."""
        self.pull_seconds: dict[str, float] = {}
        self.pulling: set[str] = set()
        """Pulls under way."""
        self.layers: dict[str, str] = {}
        """Directories that stand for what containers wrote, by id."""
        self.image_mounts: dict[Path, str] = {}
        """Directory -> the id of the image whose files are there."""
        self.root = "/"
        self.calls: list[tuple[str, str]] = []
        self._containers: dict[str, Container] = {}
        self._images = {name: _image(name) for name in images}
        self._failures: dict[str, list[RuntimeFailure]] = {}
        self._exits = Exits()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._gone: dict[str, asyncio.Event] = {}
        self._up = True
        self._made = 0

    # What tests steer.

    def add_image(self, name: str) -> None:
        self._images[name] = _image(name)

    def fail_next(self, verb: str, error: RuntimeFailure) -> None:
        """The next call of that method raises; several queue up."""
        self._failures.setdefault(verb, []).append(error)

    def end(self, container_id: str, *, exit_code: int, oom_killed: bool = False) -> None:
        """The container's process ends now, whatever its script says."""
        container = self._containers[container_id]
        if container.state != "running":
            return
        if timer := self._timers.pop(container_id, None):
            timer.cancel()
        self._containers[container_id] = replace(
            container, state="exited", pid=0, exit_code=exit_code, oom_killed=oom_killed,
            finished_at=self.clock.now(),
        )  # fmt: skip
        self._gone[container_id].set()
        if self._up:
            self._exits.publish(container_id)

    def forget_end(self, container_id: str) -> None:
        """As Podman after a reboot: it is over, nobody knows how."""
        self._containers[container_id] = replace(
            self._containers[container_id], exit_code=137, finished_at=self.clock.now()
        )

    def crash(self) -> None:
        """The engine's service dies: calls fail, containers run on."""
        self._up = False

    def recover(self) -> None:
        self._up = True
        self._exits.publish("")

    def named(self, name: str) -> Container:
        return next(c for c in self._containers.values() if c.name == name)

    # Runtime.

    async def version(self) -> RuntimeVersion:
        await self._enter("version")
        return RuntimeVersion(name="podman", version="4.3.1", api_version="4.3.1")

    async def containers(self) -> list[Container]:
        await self._enter("containers")
        return [c for c in self._containers.values() if "io.edgek.pod-uid" in c.labels]

    async def inspect(self, container_id: str) -> Container | None:
        await self._enter("inspect", container_id)
        return self._containers.get(container_id)

    async def create(self, spec: ContainerSpec) -> str:
        await self._enter("create", spec.name)
        image = self._images.get(spec.image)
        if image is None:
            raise ImageMissing(f"{spec.image}: image not known", reason="CreateContainerError")
        if any(c.name == spec.name for c in self._containers.values()):
            raise RuntimeFailure(
                f'the container name "{spec.name}" is already in use', reason="CreateContainerError"
            )
        await asyncio.sleep(self._script(spec.image).create_delay)
        self._made += 1
        container_id = hashlib.sha256(f"{spec.name}/{self._made}".encode()).hexdigest()
        self.specs[container_id] = spec
        self._gone[container_id] = asyncio.Event()
        self._containers[container_id] = Container(
            id=container_id, name=spec.name, state="created", labels=dict(spec.labels),
            image=spec.image, image_id=image.id, log_path=spec.log_path,
            created_at=self.clock.now(),
        )  # fmt: skip
        return container_id

    async def start(self, container_id: str) -> Container | None:
        container = self._containers.get(container_id)
        await self._enter("start", container.name if container else container_id)
        if container is None:
            raise RuntimeFailure(f"no container {container_id}", reason="RunContainerError")
        script = self._script(container.image)
        if script.start_error is not None:
            raise script.start_error
        if container.state != "created":
            return container
        self._containers[container_id] = replace(
            container, state="running", pid=1000 + self._made, started_at=self.clock.now()
        )
        if script.exit_code is not None:
            code = script.exit_code
            self._timers[container_id] = asyncio.get_running_loop().call_later(
                script.after, lambda: self.end(container_id, exit_code=code)
            )
        return self._containers.get(container_id)

    async def update(self, container_id: str, resources: Resources) -> None:
        container = self._containers.get(container_id)
        await self._enter("update", container.name if container else container_id)
        if container is None or container.state != "running":
            raise RuntimeFailure(f"container {container_id} is not running")
        self.updated[container_id] = resources

    async def stop(self, container_id: str, *, grace_seconds: int) -> None:
        container = self._containers.get(container_id)
        await self._enter("stop", container.name if container else container_id)
        if container is None or container.state != "running":
            return
        if self._script(container.image).ignores_term:
            try:
                async with asyncio.timeout(grace_seconds):
                    await self._gone[container_id].wait()
            except TimeoutError:
                self.end(container_id, exit_code=137)
        else:
            self.end(container_id, exit_code=143)

    async def remove(self, container_id: str) -> None:
        by_name = (c.id for c in self._containers.values() if c.name == container_id)
        container_id = next(by_name, container_id)
        container = self._containers.get(container_id)
        await self._enter("remove", container.name if container else container_id)
        if container is not None:
            self.end(container_id, exit_code=137)
            self._containers.pop(container_id, None)

    def exits(self) -> AsyncIterator[str]:
        return self._exits.subscribe()

    async def exec(
        self, container_id: str, command: tuple[str, ...], *, timeout: float
    ) -> ExecResult:
        script = await self._enter_running("exec", container_id)
        if script.exec is None:
            return ExecResult(exit_code=0, output=b"")
        async with asyncio.timeout(timeout):
            return await script.exec(command)

    async def exec_stream(
        self, container_id: str, command: tuple[str, ...], *, stdin: bool, tty: bool
    ) -> Stream:
        script = await self._enter_running("exec_stream", container_id)
        result = await script.exec(command) if script.exec else None
        output = result.output if result else script.output
        return FakeStream(output, exit_code=result.exit_code if result else 0)

    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> Stream:
        script = await self._enter_running("attach", container_id)
        return FakeStream(script.output, exit_code=0)

    async def images(self) -> list[Image]:
        await self._enter("images")
        return list(dict.fromkeys(self._images.values()))

    async def find_image(self, reference: str) -> Image | None:
        await self._enter("find_image", reference)
        return self._images.get(reference)

    async def pull(
        self,
        reference: str,
        *,
        auth: Mapping[str, str] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Image:
        await self._enter("pull", reference)
        self.pulling.add(reference)
        try:
            await self._slow_pull(reference, progress)
        finally:
            self.pulling.discard(reference)
        if reference in self.locked and (auth or {}) != self.locked[reference]:
            raise RuntimeFailure(f"{reference}: unauthorized", reason="ErrImagePull")
        if reference not in self.registry:
            raise RuntimeFailure(f"{reference}: manifest unknown", reason="ErrImagePull")
        self.add_image(reference)
        return self._images[reference]

    async def _slow_pull(self, reference: str, progress: Callable[[int], None] | None) -> None:
        left, step = self.pull_seconds.get(reference, 0.0), 10.0
        while left > 0:
            await asyncio.sleep(min(left, step))
            left -= step
            if progress is not None:
                progress(1_000_000)

    async def mount_image(self, image_id: str, target: Path) -> None:
        await self._enter("mount_image", image_id)
        if image_id not in {image.id for image in self._images.values()}:
            raise ImageMissing(f"{image_id}: image not known")
        self.image_mounts[target] = image_id

    async def remove_image(self, image_id: str) -> None:
        await self._enter("remove_image", image_id)
        gone = {n for n, i in self._images.items() if image_id in (n, i.id)}
        if any(c.image_id == self._images[n].id for c in self._containers.values() for n in gone):
            raise RuntimeFailure(f"image {image_id} is in use by a container")
        self._images = {n: i for n, i in self._images.items() if n not in gone}

    async def layer(self, container_id: str) -> str:
        await self._enter("layer", container_id)
        return self.layers.get(container_id, "")

    async def storage_root(self) -> str:
        await self._enter("storage_root")
        return self.root

    async def _enter(self, verb: str, subject: str = "") -> None:
        self.calls.append((verb, subject))
        await asyncio.sleep(0)  # every real call yields; races must show here too
        if not self._up:
            raise RuntimeUnavailable("cannot connect to podman: connection refused")
        if queued := self._failures.get(verb):
            raise queued.pop(0)

    async def _enter_running(self, verb: str, container_id: str) -> Script:
        container = self._containers.get(container_id)
        await self._enter(verb, container.name if container else container_id)
        if container is None or container.state != "running":
            raise RuntimeFailure(f"container {container_id} is not running")
        return self._script(container.image)

    def _script(self, image: str) -> Script:
        return self.scripts.get(image, Script())


class FakeStream:
    """Gives ``output`` and ends; ``written`` and ``sizes`` keep what came in."""

    def __init__(self, output: bytes, *, exit_code: int) -> None:
        self._frames = [(1, output)] if output else []
        self._exit_code = exit_code
        self.written = bytearray()
        self.sizes: list[tuple[int, int]] = []
        self.stdin_closed = False
        self.closed = False

    async def read(self) -> tuple[int, bytes] | None:
        return self._frames.pop(0) if self._frames else None

    async def write(self, data: bytes) -> None:
        self.written += data

    async def close_stdin(self) -> None:
        self.stdin_closed = True

    async def resize(self, width: int, height: int) -> None:
        self.sizes.append((width, height))

    async def exit_code(self) -> int:
        return self._exit_code

    async def close(self) -> None:
        self.closed = True


def _image(name: str) -> Image:
    digest = hashlib.sha256(name.encode()).hexdigest()
    repository = name.rsplit(":", 1)[0]
    return Image(id=digest, names=(name, f"{repository}@sha256:{digest}"), size_bytes=1_000_000)
