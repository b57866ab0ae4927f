"""What is known of one pod beside its object: the input of ``plan`` and ``status``.

Plain frozen values, filled by ``sync`` from the runtime, the network and the probes. Containers
are found by their labels, so a restarted agent knows them again.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from agent.runtime.runtime import Container
from edgek.api.meta import Obj

POD_UID = "io.edgek.pod-uid"
POD_NAME = "io.edgek.pod-name"
POD_NAMESPACE = "io.edgek.pod-namespace"
CONTAINER_NAME = "io.edgek.container-name"
ATTEMPT = "io.edgek.attempt"
SPEC_HASH = "io.edgek.spec-hash"
GRACE = "io.edgek.grace-period"
IMAGE_REF = "io.edgek.image-ref"
RESOURCES = "io.edgek.resources"
BOOT = "io.edgek.boot"
HANDLER = "io.edgek.handler"

LONG_AGO = datetime.min.replace(tzinfo=UTC)
START_ERROR_CODE = 128
"""The exit code of a container that could not start, as containerd reports it."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One container of a pod; ``start_error`` where it was made but would not start."""

    container: Container
    start_error: str = ""
    message: str = ""
    """What it said of its end."""

    @property
    def id(self) -> str:
        return self.container.id

    @property
    def number(self) -> int:
        return int(self.container.labels.get(ATTEMPT) or 0)

    @property
    def running(self) -> bool:
        return self.container.state == "running"

    @property
    def ended(self) -> bool:
        return self.container.state == "exited" or bool(self.start_error)

    @property
    def exit_code(self) -> int:
        return START_ERROR_CODE if self.start_error else self.container.exit_code

    @property
    def ended_at(self) -> datetime | None:
        return self.container.finished_at or self.container.created_at


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """How long the next restart waits; ``since`` is when it last grew, ``most`` how far it can."""

    seconds: float
    since: datetime
    most: float = 300.0


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Why a container has not been made yet, in the kubelet's words."""

    reason: str
    message: str = ""


class SandboxError(Exception):
    """Why a pod's sandbox cannot be made: the text of its FailedCreatePodSandBox."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why the agent ended a pod: status.reason and status.message. ``disruption``: the pod was
    well and the node's need ended it, which its condition DisruptionTarget says. ``rejected``:
    the node never took it. ``returns``: it begins again with the machine, if the server does not
    hear of this."""

    reason: str
    message: str
    disruption: bool = False
    rejected: bool = False
    returns: bool = False


@dataclass(frozen=True, kw_only=True)
class PodState:
    """``attempts``: container name -> its containers, the newest first. ``ready``, ``started``
    and ``unhealthy`` (what a probe says against it) are by container id; without an entry a
    running container is ready and started. ``stopping``: ids with a stop under way."""

    attempts: Mapping[str, tuple[Attempt, ...]] = field(default_factory=dict)
    sandbox: bool = False
    pod_ip: str = ""
    stopping: frozenset[str] = frozenset()
    ready: Mapping[str, bool] = field(default_factory=dict)
    started: Mapping[str, bool] = field(default_factory=dict)
    unhealthy: Mapping[str, str] = field(default_factory=dict)
    backoffs: Mapping[str, Backoff] = field(default_factory=dict)
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    failure: Failure | None = None
    grace: int | None = None
    """A shorter grace than the pod's own, from who ended it."""
    ending: datetime | None = None
    """Since when everything is being stopped."""
    must_restart: frozenset[str] = frozenset()
    """Stopped to be started again, whatever the restart policy says."""
    resize_restart: frozenset[str] = frozenset()
    """To be stopped and started with the resources they have been given."""
    hooking: frozenset[str] = frozenset()
    pre_stopped: frozenset[str] = frozenset()
    resize: tuple[Obj, ...] = ()
    """The conditions that tell of a resize."""
    actual: Mapping[str, Obj] = field(default_factory=dict)
    """Container id -> the resources it runs with, in the words of a pod's spec."""
    actual_pod: Obj | None = None
    """The same of the pod as a whole, where its spec has resources."""
    recursive_read_only: bool = True
    """Whether this kernel can."""
    numbers: Mapping[str, int] = field(default_factory=dict)
    """The next attempt's number where all containers were removed to begin anew."""

    def latest(self, name: str) -> Attempt | None:
        found = self.attempts.get(name)
        return found[0] if found else None

    def running(self) -> list[Attempt]:
        return [a for attempts in self.attempts.values() for a in attempts if a.running]


def group_attempts(
    containers: Iterable[Container],
    start_errors: Mapping[str, str],
    messages: Mapping[str, str] | None = None,
) -> dict[str, tuple[Attempt, ...]]:
    """One pod's containers by name, the newest attempt first."""
    groups: dict[str, list[Attempt]] = {}
    for container in containers:
        attempt = Attempt(
            container=container,
            start_error=start_errors.get(container.id, ""),
            message=(messages or {}).get(container.id, ""),
        )
        groups.setdefault(container.labels.get(CONTAINER_NAME, ""), []).append(attempt)
    return {n: tuple(sorted(a, key=lambda a: -a.number)) for n, a in groups.items()}


def spec_hash(container: Obj) -> str:
    """As kubecontainer.HashContainer: only name and image; other fields may change in place."""
    text = json.dumps([container["name"], container.get("image", "")])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
