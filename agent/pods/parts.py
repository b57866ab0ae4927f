"""Everything sync works with, as one value."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.network import Network
from agent.pods.cleanup import Cleaner
from agent.pods.isolation import Isolation
from agent.pods.launch import Launcher
from agent.pods.memory import Host
from agent.pods.probes import Probes
from agent.pods.sources import Sources
from agent.pods.status_writer import StatusWriter
from agent.pods.store import Containers, Pods
from agent.pods.volumes.volumes import Volumes
from agent.runtime.cgroups import Cgroups
from agent.runtime.runtime import Runtime
from edgek.aio.clock import Clock
from edgek.aio.tasks import Tasks
from edgek.api.meta import Obj
from edgek.control.events import Source
from edgek.control.workqueue import WorkQueue


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Everything sync works with."""

    host: Host
    ask_node: Callable[[], Awaitable[Obj | None]]
    """The node's object, fresh from the server; None where it does not say."""
    runtime: Runtime
    network: Network
    cgroups: Cgroups
    pods: Pods
    containers: Containers
    launcher: Launcher
    volumes: Volumes
    isolation: Isolation
    sources: Sources
    probes: Probes
    writer: StatusWriter
    cleaner: Cleaner
    events: Source
    clock: Clock
    tasks: Tasks
    queue: WorkQueue[str]
