"""Registration: a driver's registrar puts a socket into plugins_registry and is asked who it is.

As pkg/kubelet/pluginmanager. The kernel says when a socket comes or goes; a socket that nobody
listens on (left by a reboot) is tried a few times and then left until it is made anew. The driver
is usable at once; the cluster is told as soon as a server answers.
"""

import asyncio
import logging
from pathlib import Path
from typing import NamedTuple

from agent.csi.csi_node import Installed, NodeReport
from agent.csi.driver import Driver, Drivers, ask
from agent.csi.places import Places
from agent.grpc.call import GrpcError
from agent.grpc.messages import Message
from agent.pods.volumes.plugin import VolumeError
from agent.runtime.inotify import CREATE, DELETE, MOVED_FROM, MOVED_TO, Inotify
from edgek.aio.tasks import Tasks, cancel_and_wait

log = logging.getLogger(__name__)

GET_INFO, NOTIFY = (
    f"/pluginregistration.Registration/{method}"
    for method in ("GetInfo", "NotifyRegistrationStatus")
)
SECONDS = 10.0
"""As the plugin manager's dialTimeoutDuration."""
RETRIES = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
MAX_PLUGINS = 64


class _Identity(NamedTuple):
    """A socket that was made anew is another one, whatever its name."""

    inode: int
    changed: int


class _Refused(Exception):
    """Why a plugin is not taken; it is told so."""


class Registration:
    def __init__(self, places: Places, drivers: Drivers, report: NodeReport, tasks: Tasks) -> None:
        self._places, self._drivers, self._report, self._tasks = places, drivers, report, tasks
        self._tried: dict[Path, tuple[_Identity, asyncio.Task[None]]] = {}
        self._registered: dict[Path, Driver] = {}

    async def run(self) -> None:
        """Until cancelled."""
        directory = self._places.registry
        for place in (directory, self._places.plugins, self._places.pods):
            place.mkdir(mode=0o750, parents=True, exist_ok=True)
        seen = asyncio.Event()
        inotify = Inotify(lambda path, name: seen.set())
        try:
            inotify.add(str(directory), CREATE | DELETE | MOVED_FROM | MOVED_TO)
            while True:
                await self.look()
                await seen.wait()
                seen.clear()
        finally:
            inotify.close()

    async def look(self) -> None:
        """Takes up what is new in the directory and drops what is gone."""
        found = _sockets(self._places.registry)
        for path, (identity, task) in list(self._tried.items()):
            if found.get(path) != identity:
                await cancel_and_wait(task)
                del self._tried[path]
                self._drop(path)
        for path, identity in found.items():
            if path not in self._tried:
                task = self._tasks.spawn(self._register(path), name=f"register/{path.name}")
                self._tried[path] = (identity, task)

    def _drop(self, path: Path) -> None:
        driver = self._registered.pop(path, None)
        if driver is not None and self._drivers.remove(driver):
            log.info("storage driver gone name=%s", driver.name)
            self._report.uninstall(driver.name)

    async def _register(self, path: Path) -> None:
        for delay in (*RETRIES, 0.0):
            try:
                await self._try(path)
                return
            except (GrpcError, VolumeError, _Refused) as err:
                log.warning("plugin not registered socket=%s err=%s", path.name, err)
                if isinstance(err, _Refused):
                    return
            await asyncio.sleep(delay)

    async def _try(self, path: Path) -> None:
        address = f"unix://{path}"
        info = await ask(address, GET_INFO, {}, seconds=SECONDS)
        try:
            check_plugin(info)
            endpoint = info.get("endpoint") or str(path)
            driver = Driver(info["name"], endpoint.removeprefix("unix://"))
            node = await driver.node("NodeGetInfo")
            installed = _installed(driver.name, node)
        except (_Refused, VolumeError) as err:
            text = f"RegisterPlugin error -- {err}"
            await ask(address, NOTIFY, {"plugin_registered": False, "error": text}, seconds=SECONDS)
            raise
        self._registered[path] = driver
        self._drivers.add(driver)
        self._report.install(installed)
        log.info("storage driver registered name=%s endpoint=%s", driver.name, driver.endpoint)
        await ask(address, NOTIFY, {"plugin_registered": True}, seconds=SECONDS)


def check_plugin(info: Message) -> None:
    kind, versions = info.get("type", ""), info.get("supported_versions") or []
    if kind != "CSIPlugin":
        raise _Refused(f"no handler registered for plugin type: {kind}")
    name = info.get("name") or ""
    if not name or "/" in name or name.startswith("."):
        raise _Refused(f"the name {name!r} is no driver's name")
    if not any(v.removeprefix("v").split(".")[0] == "1" for v in versions):
        raise _Refused(
            f"failed to get plugin info: None of the versions specified {versions} are supported"
        )


def _installed(name: str, node: Message) -> Installed:
    if not node.get("node_id"):
        raise _Refused("NodeGetInfo gave no node_id")
    topology = (node.get("accessible_topology") or {}).get("segments") or {}
    limit = max(0, node.get("max_volumes_per_node") or 0)
    return Installed(name=name, node_id=node["node_id"], limit=limit, topology=topology)


def _sockets(directory: Path) -> dict[Path, _Identity]:
    found: dict[Path, _Identity] = {}
    for path in sorted(directory.iterdir())[:MAX_PLUGINS]:
        if path.name.startswith(".") or not path.is_socket():
            continue
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        found[path] = _Identity(status.st_ino, status.st_ctime_ns)
    return found
