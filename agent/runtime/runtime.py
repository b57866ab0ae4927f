"""Runtime: what the agent asks of a container engine.

Podman (podman.py) is the real one, ``FakeRuntime`` (fake.py) passes the same contract suite
(tests/contracts/runtime.py). A container is never restarted in place: each attempt is a new
container, so logs and exit state of the one before stay readable ("--previous").
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol


class RuntimeFailure(Exception):
    """The engine refused or failed; its text is fit for a pod's event. ``reason`` is the
    kubelet's word for it (RunContainerError, CreateContainerError...)."""

    def __init__(self, message: str, *, reason: str = "RuntimeError") -> None:
        super().__init__(message)
        self.reason = reason


class ImageMissing(RuntimeFailure):
    """The image is not in local storage."""


class RuntimeUnavailable(RuntimeFailure):
    """Podman is missing, stopped or does not answer in time; worth a retry."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A bind mount of ``source`` (a host path); with ``tmpfs``, fresh memory of ``size_bytes``
    (0: no limit). ``no_exec``: no program in it may be run."""

    target: str
    source: str = ""
    read_only: bool = False
    no_exec: bool = False
    tmpfs: bool = False
    size_bytes: int = 0
    propagation: str = "rprivate"


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device node of the host as ``target`` in the container. ``permissions``: of r, w, m."""

    path: str
    target: str
    permissions: str = "rwm"


@dataclass(frozen=True, kw_only=True)
class Resources:
    """cgroup settings of one container; 0 means not set."""

    cpu_shares: int = 0
    cpu_quota_us: int = 0
    cpu_period_us: int = 100_000
    memory_limit_bytes: int = 0
    pids_limit: int = 0
    oom_score_adj: int = 0
    huge_pages: Mapping[int, int] = field(default_factory=dict)
    """Size of a page -> bytes of such pages. Of sizes that are not named there are none."""


@dataclass(frozen=True, kw_only=True)
class IdRange:
    """The ids of the host that stand for a pod's ids from 0 on, in a user namespace."""

    first: int
    size: int = 65536


@dataclass(frozen=True, kw_only=True)
class Security:
    """The container's security context, already merged from pod and container."""

    user: str = ""
    """``uid``, ``uid:gid`` or "" for the image's own."""
    supplemental_groups: tuple[int, ...] = ()
    privileged: bool = False
    read_only_root: bool = False
    no_new_privileges: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    seccomp_profile: str = "unconfined"
    """``unconfined`` (Kubernetes' default), ``runtime/default`` or an absolute path."""
    apparmor_profile: str = ""
    """A loaded profile's name, ``unconfined``, or "" for the engine's default."""
    selinux: Mapping[str, str] = field(default_factory=dict)
    """``user``, ``role``, ``type`` and ``level``; without meaning where the kernel has none."""
    unmasked_proc: bool = False
    sysctls: Mapping[str, str] = field(default_factory=dict)
    """Only for namespaces that the container has of its own."""
    id_range: IdRange | None = None


@dataclass(frozen=True, kw_only=True)
class Namespaces:
    """Paths of pinned namespaces, or "host". ``pid`` may be "private" too."""

    net: str
    ipc: str
    uts: str
    pid: str = "private"


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """One attempt at one container. ``name`` is unique on the node. ``entrypoint``/``args`` None:
    the image's own (Kubernetes' command/args). ``labels`` are how it is found again."""

    name: str
    image: str
    namespaces: Namespaces
    cgroup_parent: str
    log_path: str
    entrypoint: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    image_env: frozenset[str] = frozenset()
    """Names of the variables that the image sets."""
    work_dir: str = ""
    mounts: tuple[Mount, ...] = ()
    devices: tuple[Device, ...] = ()
    resources: Resources = Resources()
    security: Security = Security()
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    handler: str = ""
    """The OCI runtime, by a name of handlers.py; "" for the default one."""


@dataclass(frozen=True, kw_only=True)
class User:
    """Whom a container's first process runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container as observed. ``state`` is created, running or exited; ``exit_code`` and
    ``finished_at`` hold once exited."""

    id: str
    name: str
    state: str
    labels: Mapping[str, str]
    image: str = ""
    image_id: str = ""
    log_path: str = ""
    pid: int = 0
    user: User | None = None
    """Of a running one, where that is known."""
    exit_code: int = 0
    oom_killed: bool = False
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Image:
    id: str
    names: tuple[str, ...]
    """Tags and digests, ``repo:tag`` and ``repo@sha256:...``."""
    size_bytes: int = 0
    user: str = ""
    env: frozenset[str] = field(default=frozenset(), compare=False)
    """Names of the variables it sets. Known of a single one only."""
    pinned: bool = False
    """Never to be removed for want of space."""
    containers: int = field(default=0, compare=False)
    """How many have it, those of others too. Known in a list only."""


@dataclass(frozen=True, kw_only=True)
class RuntimeVersion:
    name: str
    version: str
    api_version: str


@dataclass(frozen=True, kw_only=True)
class ExecResult:
    """``exit_code`` 126/127 where the command could not start, as a shell says it."""

    exit_code: int
    output: bytes


class Stream(Protocol):
    """A live exec or attach session."""

    async def read(self) -> tuple[int, bytes] | None:
        """(1 stdout | 2 stderr, data), or None at the end. A tty has stdout only."""

    async def write(self, data: bytes) -> None: ...

    async def close_stdin(self) -> None: ...

    async def resize(self, width: int, height: int) -> None: ...

    async def exit_code(self) -> int:
        """After ``read`` gave None."""

    async def close(self) -> None: ...


class Runtime(Protocol):
    """All calls have a time limit of their own and raise RuntimeFailure, nothing else."""

    async def version(self) -> RuntimeVersion: ...

    async def containers(self) -> list[Container]:
        """Every container that carries an ``io.edgek.pod-uid`` label, running or not."""

    async def inspect(self, container_id: str) -> Container | None: ...

    async def create(self, spec: ContainerSpec) -> str:
        """The id. Raises ImageMissing where the image is not local."""

    async def start(self, container_id: str) -> Container | None:
        """The container as it is right after; None where it is gone already."""

    async def update(self, container_id: str, resources: Resources) -> None:
        """Changes cpu and memory of a running container; what is 0 stays as it is."""

    async def stop(self, container_id: str, *, grace_seconds: int) -> None:
        """TERM (or the image's stop signal), KILL after the grace; returns when it has exited.
        A container that is gone or has exited is no error."""

    async def remove(self, container_id: str) -> None:
        """Kills if need be. Removing what is gone is no error. A name will do for the id."""

    def exits(self) -> AsyncIterator[str]:
        """Ids of containers as they exit, at once; may repeat an id, never loses one that was
        running when the iteration began. Also yields "" when Podman came back after being gone:
        list again."""

    async def exec(
        self, container_id: str, command: tuple[str, ...], *, timeout: float
    ) -> ExecResult:
        """Runs to the end, output bounded to 16 KiB; for probes and hooks. Raises TimeoutError."""

    async def exec_stream(
        self, container_id: str, command: tuple[str, ...], *, stdin: bool, tty: bool
    ) -> Stream: ...

    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> Stream: ...

    async def images(self) -> list[Image]: ...

    async def find_image(self, reference: str) -> Image | None: ...

    async def pull(
        self,
        reference: str,
        *,
        auth: Mapping[str, str] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Image:
        """``auth``: username, password. ``progress`` is told the bytes that came, now and then.
        Raises RuntimeFailure, whose reason is ErrImagePull, RegistryUnavailable,
        SignatureValidationFailed or InvalidImageName. Ends, too, where nothing comes any more."""

    async def mount_image(self, image_id: str, target: Path) -> None:
        """The files of a local image on a directory, read-only and with nothing to be run, until
        that is unmounted. Raises ImageMissing."""

    async def remove_image(self, image_id: str) -> None:
        """With all its names. Raises RuntimeFailure where a container has it; removing what is
        gone is no error."""

    async def layer(self, container_id: str) -> str:
        """The host's directory of what the container wrote; "" where there is none."""

    async def storage_root(self) -> str:
        """Where images and containers lie on the host. Slow: ask once."""
