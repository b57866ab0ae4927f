"""PodmanRuntime: the real engine.

All that an idle or busy node needs goes over raw connections (libpod.py): no threads, and 9 MB
less than with podman-py in memory, which podman_images.py has for image work by hand. Errors
are translated here once. Never calls Podman's ``version`` and ``info`` in passing: they take half a
second, because they run other programs. How an exit is known: ends.py.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.runtime.calls import AT_ONCE, Calls
from agent.runtime.command import run_in_container
from agent.runtime.ends import Ends
from agent.runtime.failure import Refused, create_error, pull_failure, translated, with_reason
from agent.runtime.handler_service import HandlerService
from agent.runtime.handlers import DEFAULT, find_handlers
from agent.runtime.image_mount import mount_image
from agent.runtime.libpod import Libpod
from agent.runtime.log_keeper import LogKeeper, LogLimits
from agent.runtime.machine import Machine
from agent.runtime.observed import (
    observe_created,
    observe_image,
    observe_inspected,
    observe_listed,
)
from agent.runtime.pulls import Activity, Progress, Pull
from agent.runtime.reference import normalize_reference
from agent.runtime.runtime import (
    Container,
    ContainerSpec,
    ExecResult,
    Image,
    Resources,
    RuntimeFailure,
    RuntimeUnavailable,
    RuntimeVersion,
    Stream,
)
from agent.runtime.session import end_of, open_attach, open_exec
from agent.runtime.spec import HANDLER_LABEL, plan_spec, plan_update
from agent.runtime.store_files import StoreFiles
from edgek.aio.clock import Clock, SystemClock

POD_LABEL = "io.edgek.pod-uid"


class PodmanRuntime:
    """``boot`` names this boot of the machine; ``enter`` leads into Podman's mount namespace;
    ``activity`` tells what the service has read, for pulls that stall."""

    def __init__(
        self,
        socket: str,
        *,
        machine: Machine,
        boot: str,
        enter: tuple[str, ...] = (),
        handlers: HandlerService | None = None,
        log_limits: LogLimits | None = None,
        activity: Callable[[], Activity] = Activity,
        clock: Clock | None = None,
    ) -> None:
        self._raw = Libpod(socket)
        self._calls = Calls(self._raw)
        self._machine, self._boot, self._enter = machine, boot, enter
        self._clock = clock or SystemClock()
        self._activity = activity
        self._openings = asyncio.Semaphore(AT_ONCE)
        """Of sessions, which come by the hundred: short calls do not wait behind them."""
        self._handlers = handlers
        self._programs = find_handlers()
        self._log_limits = log_limits or LogLimits()
        self._logs = LogKeeper(self._log_limits)
        self._ends = Ends(
            self._calls, look=self._look, logs=self._logs, boot=boot, clock=self._clock
        )
        self._handler_of: dict[str, str] = {}
        """Containers under another OCI runtime than the default one."""
        self._files = StoreFiles()
        self._made: dict[str, Container] = {}
        """Containers that were created and not started yet."""

    async def close(self) -> None:
        """Containers and Podman go on."""
        await self._ends.close()
        self._logs.close()

    def came_back(self) -> None:
        """The service was away: tell everyone to list again."""
        self._ends.exits.publish("")

    def on_slow(self, told: Callable[[], None]) -> None:
        """``told`` is called when a call takes long, as it does where Podman hangs."""
        self._calls.on_slow = told

    # Containers.

    async def version(self) -> RuntimeVersion:
        data = await self._calls.ask("GET", "/version")
        version = str(data.get("Version") or "")
        return RuntimeVersion(name="podman", version=version, api_version=version)

    async def containers(self) -> list[Container]:
        filters = json.dumps({"label": [POD_LABEL]})
        params = {"all": "true", "filters": filters}
        entries = await self._calls.ask("GET", "/containers/json", params=params)
        listed = [observe_listed(entry) for entry in entries or ()]
        self._ends.keep_only({c.id for c in listed})
        found = [await self._full(c) for c in listed]
        return [self._settle(c) for c in found if c is not None]

    async def inspect(self, container_id: str) -> Container | None:
        if (known := self._ends.known(container_id)) is not None:
            return known
        container = await self._look(container_id)
        return None if container is None else self._settle(container)

    async def create(self, spec: ContainerSpec) -> str:
        body = plan_spec(
            spec, machine=self._machine, boot=self._boot, log_bytes=self._log_limits.max_bytes
        )
        try:
            # From before it begins: it may fill its first file before anybody looks at it.
            self._logs.keep(Path(spec.log_path))
            made = await self._create(spec.handler, body)
        except RuntimeFailure as err:
            self._logs.release(Path(spec.log_path))
            self._files.doubt()
            raise create_error(spec.image, err) from err
        container_id = str(made["Id"])
        if (image := self._files.image(body["image"])) is not None:
            now = self._clock.now()
            self._made[container_id] = observe_created(container_id, body, image=image, at=now)
        return container_id

    async def _create(self, handler: str, body: Mapping[str, Any]) -> Any:
        path = "/containers/create"
        if handler in ("", DEFAULT):
            return await self._calls.ask("POST", path, body=body)
        if self._handlers is None:
            raise RuntimeFailure(f"no OCI runtime {handler!r}")
        with translated(f"POST {path} for {handler}"):
            return await self._handlers.create(handler, body)

    async def start(self, container_id: str) -> Container | None:
        made = self._made.pop(container_id, None)
        try:
            await self._calls.ask("POST", f"/containers/{container_id}/start")
        except RuntimeFailure as err:
            raise with_reason(err, "RunContainerError") from err
        if made is not None and (pid := self._files.pid(container_id)):
            started = replace(made, state="running", pid=pid, started_at=self._clock.now())
            if self._ends.watch(container_id, pid):
                return self._settle(started)
        container = await self.inspect(container_id)
        if container is not None and container.state == "exited":
            self._ends.exits.publish(container_id)
        return container

    async def update(self, container_id: str, resources: Resources) -> None:
        body = plan_update(resources, machine=self._machine)
        if body:
            path = f"/containers/{container_id}/update"
            await self._calls.lasting("POST", path, body=body)  # answers no JSON

    async def stop(self, container_id: str, *, grace_seconds: int) -> None:
        path = f"/containers/{container_id}/stop"
        params = {"timeout": grace_seconds, "ignore": "true"}
        try:
            await self._calls.lasting("POST", path, timeout=grace_seconds + 30.0, params=params)
        except Refused as err:
            if err.status not in (304, 404):
                raise

    async def remove(self, container_id: str) -> None:
        path = f"/containers/{container_id}"
        params = {"force": "true", "timeout": 0, "v": "true"}
        try:
            await self._calls.lasting("DELETE", path, params=params)
        except Refused as err:
            if err.status != 404:
                raise
        self._ends.forget(container_id)
        self._made.pop(container_id, None)
        self._handler_of.pop(container_id, None)

    def exits(self) -> AsyncIterator[str]:
        return self._ends.exits.subscribe()

    # Commands and sessions.

    async def exec(
        self, container_id: str, command: tuple[str, ...], *, timeout: float
    ) -> ExecResult:
        handler = self._handler_of.get(container_id, DEFAULT)
        return await run_in_container(
            container_id, command, enter=self._enter, timeout=timeout,
            program=self._programs.get(handler, DEFAULT),
        )  # fmt: skip

    async def exec_stream(
        self, container_id: str, command: tuple[str, ...], *, stdin: bool, tty: bool
    ) -> Stream:
        async with self._openings:
            return await open_exec(self._raw, container_id, command, stdin=stdin, tty=tty)

    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> Stream:
        over = end_of(container_id, inspect=self.inspect, exits=self.exits())
        return await open_attach(self._raw, container_id, stdin=stdin, tty=tty, over=over)

    # Images.

    async def images(self) -> list[Image]:
        return [observe_image(e) for e in await self._calls.ask("GET", "/images/json") or ()]

    async def find_image(self, reference: str) -> Image | None:
        name = normalize_reference(reference)
        if (known := self._files.image(name)) is not None:
            return known
        stamp = self._files.stamp()
        try:
            image = observe_image(await self._calls.ask("GET", f"/images/{name}/json"))
        except Refused as err:
            if err.status == 404:
                return None
            if "nil pointer" in str(err):
                # Podman 4 breaks down where it cannot write a file meanwhile, as on a full disk.
                # Listing needs such a file too, and says what is wrong.
                await self.images()
            raise
        self._files.keep(name, image, stamp)
        return image

    async def pull(
        self,
        reference: str,
        *,
        auth: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> Image:
        name = normalize_reference(reference)
        pull = Pull(self._raw, name, activity=self._activity, progress=progress)
        await pull.run(auth)
        if (image := await self.find_image(name)) is None:
            raise pull_failure(name, f"{name}: pulled, but not found")
        return image

    async def mount_image(self, image_id: str, target: Path) -> None:
        await mount_image(image_id, target, enter=self._enter)

    async def remove_image(self, image_id: str) -> None:
        for name in await self._names_of(image_id):
            try:
                await self._calls.ask("DELETE", f"/images/{name}")
            except Refused as err:
                if err.status != 404:
                    raise

    async def _names_of(self, image_id: str) -> tuple[str, ...]:
        """By id Podman refuses an image of several names, and by force it would take containers
        with it: so name by name, the last one takes the image. One of which files are missing
        cannot be looked at, but removed."""
        try:
            found = await self._calls.ask("GET", f"/images/{image_id}/json")
        except RuntimeUnavailable:
            raise
        except RuntimeFailure:
            return (image_id,)
        return tuple(found.get("RepoTags") or (image_id,))

    async def layer(self, container_id: str) -> str:
        found = await self._calls.ask("GET", f"/containers/{container_id}/json")
        driver = found.get("GraphDriver") or {}
        return str((driver.get("Data") or {}).get("UpperDir") or "")

    async def storage_root(self) -> str:
        info = await self._calls.ask("GET", "/info")
        return str((info.get("store") or {}).get("graphRoot") or "")

    # What is true of a container.

    async def _full(self, listed: Container) -> Container | None:
        """A list leaves out how an exited container ended."""
        if listed.state != "exited" or self._ends.known(listed.id) is not None:
            return listed
        return await self._look(listed.id)

    def _settle(self, container: Container) -> Container:
        container = self._ends.settle(container)
        if container.state == "running" and (handler := container.labels.get(HANDLER_LABEL)):
            self._handler_of[container.id] = handler
        return container

    async def _look(self, container_id: str) -> Container | None:
        try:
            data = await self._calls.ask("GET", f"/containers/{container_id}/json")
        except Refused as err:
            if err.status == 404:
                return None
            raise
        self._files.learn(data)
        return observe_inspected(data)
