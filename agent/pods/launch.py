"""Starting one attempt at a container: image, environment, spec, create, start; with events.

An outcome that is no success is a ``Waiting`` in the kubelet's words and a time to try again, or
None where a change will tell.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from agent.devices.allot import Unavailable
from agent.pods.container_spec import make_spec
from agent.pods.coverage import refused_fields
from agent.pods.coverage_table import TABLE
from agent.pods.decisions import Start
from agent.pods.devices import PodDevices
from agent.pods.env_files import read_file_keys
from agent.pods.environment import ConfigError, Surroundings, make_environment
from agent.pods.image_credentials import credentials_for, missing_secrets
from agent.pods.images import Images, NotThere
from agent.pods.mounts import MountError
from agent.pods.place import Place
from agent.pods.sources import Lookup, NotSynced
from agent.pods.state import SandboxError, Waiting
from agent.pods.store import Containers
from agent.pods.termination import make_message_file, message_file
from agent.pods.threads import THREAD_SECONDS, in_thread
from agent.pods.volumes.plugin import VolumeError
from agent.runtime.runtime import (
    ContainerSpec,
    Image,
    ImageMissing,
    Resources,
    Runtime,
    RuntimeFailure,
    RuntimeUnavailable,
)
from edgek.aio.clock import Clock
from edgek.api.meta import Obj, uid
from edgek.control.events import Source
from edgek.kinds.pods import ephemeral_containers, init_containers

log = logging.getLogger(__name__)

RETRY = timedelta(seconds=10)
NAME_IN_USE = "is already in use"
IN_VOLUMES = frozenset(("subPath", "subPathExpr", "recursiveReadOnly"))
"""What of a mount makes its spec be looked for in the volume."""


@dataclass(frozen=True, kw_only=True)
class Launched:
    """``start_error`` where the container was made but would not start."""

    container_id: str = ""
    start_error: str = ""
    not_there: NotThere | None = None


def field_path(pod: Obj, name: str) -> str:
    """What an event about a container points at."""
    init = any(c["name"] == name for c in init_containers(pod))
    passing = any(c["name"] == name for c in ephemeral_containers(pod))
    which = "initContainers" if init else "ephemeralContainers" if passing else "containers"
    return f"spec.{which}{{{name}}}"


@dataclass(frozen=True, kw_only=True)
class Launcher:
    runtime: Runtime
    containers: Containers
    images: Images
    events: Source
    clock: Clock
    lookup: Lookup
    devices: PodDevices | None = None
    unkept: Callable[[Resources], Iterable[str]] = lambda _: ()
    """What is to be said of limits that this machine cannot keep."""
    told: dict[tuple[str, str], str] = field(default_factory=dict)
    """(uid, container) -> its last configuration problem: told once, not at every try. Under no
    container: the pull secrets that are missing."""

    def tell_of_missing_secrets(self, pod: Obj) -> None:
        """The images are pulled all the same, they may be public. As getPullSecretsForPod."""
        key, missing = (uid(pod), ""), ", ".join(missing_secrets(pod, self.lookup))
        if missing and self.told.get(key) != missing:
            self.told[key] = missing
            self.events.warning(
                pod, "FailedToRetrieveImagePullSecret",
                f"Unable to retrieve some image pull secrets ({missing}); "
                "attempting to pull the image may not succeed.",
            )  # fmt: skip

    async def launch(
        self,
        pod: Obj,
        container: Obj,
        start: Start,
        *,
        around: Surroundings,
        place: Callable[[], Place],
    ) -> Launched:
        """Raises RuntimeUnavailable, which concerns more than this pod."""
        for path, why in refused_fields(pod, TABLE):
            text = f"{path} is refused: {why}"
            return self._failed(pod, container, "CreateContainerConfigError", text)
        image = await self.images.ensure(
            uid(pod),
            container,
            attempt=start.number,
            auths=credentials_for(pod, container["image"], self.lookup),
            tell=self._teller(pod, container),
        )
        if isinstance(image, NotThere):
            return Launched(not_there=image)
        try:
            with self.images.in_hand(image.id):
                return await self._make(
                    pod, container, start, image=image, around=around, place=place
                )
        except RuntimeUnavailable:
            raise
        except ImageMissing:  # removed between the look and the creation
            return self._failed(pod, container, "CreateContainerError", "image is gone")
        except MountError as err:
            return self._failed(pod, container, "CreateContainerError", str(err))
        except (ConfigError, VolumeError, NotSynced, SandboxError, Unavailable) as err:
            return self._failed(pod, container, "CreateContainerConfigError", str(err))
        except RuntimeFailure as err:
            return self._failed(pod, container, "CreateContainerError", str(err))

    def forget(self, pod_uid: str) -> None:
        for key in [k for k in self.told if k[0] == pod_uid]:
            del self.told[key]

    async def _make(
        self,
        pod: Obj,
        container: Obj,
        start: Start,
        *,
        image: Image,
        around: Surroundings,
        place: Callable[[], Place],
    ) -> Launched:
        where = place()
        around = replace(around, file_keys=await read_file_keys(container, where.volume))
        env = make_environment(pod, container, around)
        spec = await _soon(
            lambda: make_spec(
                pod, container, attempt=start.number, image=image, env=env, place=where
            ),
            hangs=any(m.keys() & IN_VOLUMES for m in container.get("volumeMounts") or ()),
        )
        if self.devices is not None:
            spec = self.devices.add(pod, container, spec)
        Path(spec.log_path).parent.mkdir(parents=True, exist_ok=True)
        make_message_file(message_file(where.pod_dir, container["name"], start.number))
        container_id = await self._create(spec)
        path = field_path(pod, container["name"])
        self.events.normal(pod, "Created", "Container created", field_path=path)
        try:
            started = await self.runtime.start(container_id)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as err:
            self.events.warning(pod, "Failed", f"Error: {err}", field_path=path)
            await self.containers.look(container_id)
            return Launched(container_id=container_id, start_error=str(err))
        self.events.normal(pod, "Started", "Container started", field_path=path)
        for text in self.unkept(spec.resources):
            self.events.warning(pod, "LimitNotKept", text, field_path=path)
        self.told.pop((uid(pod), container["name"]), None)
        self.containers.saw(container_id, started)
        return Launched(container_id=container_id)

    async def _create(self, spec: ContainerSpec) -> str:
        try:
            return await self.runtime.create(spec)
        except RuntimeFailure as err:
            if NAME_IN_USE not in str(err):
                raise
        # Nobody heard the answer to an earlier try. What it made is taken away, also where it is
        # not even a whole container (the storage knows it, Podman does not).
        log.warning("a container is made again, an earlier try was lost name=%s", spec.name)
        await self.runtime.remove(spec.name)
        return await self.runtime.create(spec)

    def _failed(self, pod: Obj, container: Obj, reason: str, message: str) -> Launched:
        key = (uid(pod), container["name"])
        if self.told.get(key) != message:
            self.told[key] = message
            path = field_path(pod, container["name"])
            self.events.warning(pod, "Failed", f"Error: {message}", field_path=path)
        waiting = Waiting(reason=reason, message=message)
        return Launched(not_there=NotThere(waiting=waiting, retry_at=self.clock.now() + RETRY))

    def _teller(self, pod: Obj, container: Obj) -> Callable[[str, str, str], None]:
        path = field_path(pod, container["name"])

        def tell(type_: str, reason: str, message: str) -> None:
            send = self.events.normal if type_ == "Normal" else self.events.warning
            send(pod, reason, message, field_path=path)

        return tell


async def _soon(make: Callable[[], ContainerSpec], *, hangs: bool) -> ContainerSpec:
    """Without a thread where nothing is asked of a volume, whose server may hang."""
    if not hangs:
        return make()
    try:
        return await in_thread(make)
    except TimeoutError:
        raise MountError(f"volumes did not answer within {THREAD_SECONDS:.0f} s") from None
