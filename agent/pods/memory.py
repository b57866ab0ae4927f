"""What sync keeps of one pod between two looks at it, and the host it works on."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

from agent.network import Sandbox
from agent.pods.etc import DnsSettings
from agent.pods.isolation import NodeSecurity
from agent.pods.resize import Allocation
from agent.pods.state import LONG_AGO, Backoff, Failure, Waiting
from agent.runtime.runtime import Resources
from edgek.api.meta import Obj


@dataclass(kw_only=True)
class Host:
    """The node as pods see it. ``boot`` names this boot of the machine. What a machine may change
    while it runs (``node_ip``, ``allocatable``) is read here when it is needed, not kept."""

    node_name: str
    node_ip: str
    dns: DnsSettings
    allocatable: Mapping[str, Any]
    memory: Fraction = Fraction(0)
    boot: str = ""
    log_root: Path = Path("/var/log/pods")
    security: NodeSecurity = field(default_factory=NodeSecurity)
    services: Callable[[], Iterable[Obj]] = tuple
    services_known: Callable[[], bool] = lambda: True
    node: Callable[[], Obj | None] = lambda: None
    """The node's own object as it is known now."""
    pod_max_pids: int = 0
    """How many processes a pod may have; 0: no limit."""
    max_backoff: float = 300.0
    """The longest pause before a container that crashes is started again."""
    pressure: Callable[[], frozenset[str]] = frozenset
    """The pressure conditions that hold now."""


@dataclass
class Memory:
    """``sandbox_made``: this life of the agent has seen to all of the sandbox, which it may have
    found half made. ``doubt_at``: when to make sure of it and of the volumes again.
    ``messages``: id of an ended container -> its termination message, "" for none.
    ``hooking``, ``hook_failed`` and ``pre_stops``: containers whose postStart is under way or
    went wrong, and whose preStop was begun. ``ending``: since when all is stopped, and with what
    grace. ``allocation``: what the pod was given of what it asks for; ``actual``: container id ->
    the resources it runs with; ``resize``: conditions by type. ``stopping``: container id ->
    grace of the stop under way. ``grace``: a shorter grace than the pod's own, from who ended it.
    ``ended``: nothing of the pod runs any more, nor will. ``prepared``: what the volumes were
    last made from. ``released``: network and volumes are gone,
    which ``given_back`` tells; ``removed``: all is."""

    sandbox: Sandbox | None = None
    address: str = ""
    """The last one of a pod that has given it back."""
    sandbox_made: bool = False
    doubt_at: datetime | None = None
    admitted: bool = False
    crowded: bool = False
    """It may not start before others have ended, who make room for it."""
    failure: Failure | None = None
    grace: int | None = None
    backoffs: dict[str, Backoff] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    start_errors: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    hooking: set[str] = field(default_factory=set)
    hook_failed: dict[str, str] = field(default_factory=dict)
    pre_stops: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)
    must_restart: set[str] = field(default_factory=set)
    resize_restart: set[str] = field(default_factory=set)
    numbers: dict[str, int] = field(default_factory=dict)
    start_time: str = ""
    ending: tuple[datetime, int] | None = None
    allocation: Allocation | None = None
    given: tuple[Obj, Allocation, Obj] | None = None
    """The pod with its allocation, and of which two it was made."""
    actual: dict[str, Obj] = field(default_factory=dict)
    actual_pod: Obj | None = None
    pod_limits: Resources | None = None
    resize: dict[str, Obj] = field(default_factory=dict)
    stopping: dict[str, int] = field(default_factory=dict)
    adopted: frozenset[str] = frozenset()
    prepared: object = None
    preparing: "asyncio.Task[None] | None" = None
    volumes_tried: object = None
    volume_retry: float = 0.0
    volume_retry_at: datetime | None = None
    volume_waits: set[str] = field(default_factory=set)
    """Containers that wait for a volume, as ``waiting`` has it."""
    retry_at: datetime | None = None
    told: set[str] = field(default_factory=set)
    cleaning: bool = False
    released: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    given_back: asyncio.Event = field(default_factory=asyncio.Event)
    removed: bool = False

    def forget(self, container_id: str) -> None:
        """A container that is removed: what is kept of it by id goes too."""
        for known in (self.start_errors, self.messages, self.hook_failed, self.pre_stops,
                      self.actual):  # fmt: skip
            known.pop(container_id, None)
        for noted in (self.told, self.must_restart, self.resize_restart):
            noted.discard(container_id)

    def clock_set(self, by: timedelta) -> None:
        """The wall clock was: pauses are over, for a moment to come may be years ahead now. What
        is left of a grace stays."""
        self.backoffs.clear()
        self.volume_retry_at = None
        if self.doubt_at is not None:
            self.doubt_at = LONG_AGO
        if self.ending is not None:
            since, grace = self.ending
            self.ending = (since + by, grace)

    def retry(self, moment: datetime | None) -> None:
        """Asks for another look then, or sooner where that is asked already."""
        if moment is not None and (self.retry_at is None or moment < self.retry_at):
            self.retry_at = moment
