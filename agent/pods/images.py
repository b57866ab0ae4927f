"""Images: pull policy, one pull at a time per image, and back-off after a failure.

``ensure`` never waits for the network: a pull runs in the background and ``changed`` is called
for the pods that wait for it. Failures back off per image as the kubelet's image manager does.
"""

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from agent.pods.sources import Lookup, NotSynced
from agent.pods.state import Waiting
from agent.runtime.reference import normalize_reference
from agent.runtime.runtime import Image, Runtime, RuntimeFailure
from edgek.aio.clock import Clock
from edgek.aio.tasks import Tasks
from edgek.api.meta import Obj, get_path, namespace
from edgek.kinds import SECRET

BASE_BACKOFF = 10.0
MAX_BACKOFF = 300.0
SHOW_ERROR = 2.0
PARALLEL_PULLS = 2
Auth = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class NotThere:
    """The image is not to be had now. ``retry_at`` None: a change will call ``changed``."""

    waiting: Waiting
    retry_at: datetime | None = None


@dataclass
class _Pull:
    """One image's pull: under way (``task``), or failed and backing off."""

    seconds: float = 0.0
    until: datetime | None = None
    error: str = ""
    task: "asyncio.Task[None] | None" = None
    done_for: dict[str, str] = field(default_factory=dict)
    pods: set[str] = field(default_factory=set)
    announced: set[str] = field(default_factory=set)


_Key = tuple[str, tuple[tuple[tuple[str, str], ...], ...]]
"""An image and the credentials it is pulled with."""

Told = Callable[[str, str, str], None]
"""(type, reason, message): an event about the container that wants the image."""


def pull_policy(container: Obj) -> str:
    """As defaults.go: Always for :latest and for no tag, else IfNotPresent."""
    if container.get("imagePullPolicy"):
        return str(container["imagePullPolicy"])
    image = normalize_reference(container["image"])
    return "Always" if image.endswith(":latest") else "IfNotPresent"


async def _nothing(image_id: str) -> None:
    return


class Images:
    def __init__(
        self, runtime: Runtime, tasks: Tasks, *, clock: Clock, changed: Callable[[str], None]
    ) -> None:
        self._runtime = runtime
        self._tasks = tasks
        self._clock = clock
        self._changed = changed
        self._pulls: dict[_Key, _Pull] = {}
        self.on_pull: Callable[[str], Coroutine[Any, Any, None]] = _nothing
        """Told the id of each image that came."""
        self._slots = asyncio.Semaphore(PARALLEL_PULLS)

    async def ensure(
        self, uid: str, container: Obj, *, attempt: int, auths: Iterable[Auth], tell: Told
    ) -> Image | NotThere:
        """The image, or why not yet. ``attempt`` keeps "Always" to one pull per attempt."""
        reference = container["image"]
        policy = pull_policy(container)
        present = await self._runtime.find_image(reference)
        auths = tuple(auths)
        # One who may not pull it must not make another wait who may.
        key = (normalize_reference(reference), tuple(tuple(a.items()) for a in auths))
        pull = self._pulls.setdefault(key, _Pull())
        wants = f"{container['name']}/{attempt}"
        if present is not None and (policy != "Always" or pull.done_for.get(uid) == wants):
            if not pull.done_for.pop(uid, None):
                tell("Normal", "Pulled", f'Container image "{reference}" already present on '
                     "machine and can be accessed by the pod")  # fmt: skip
            self._forget(key, uid)
            return present
        if policy == "Never":
            message = f'Container image "{reference}" is not present with pull policy of Never'
            tell("Warning", "ErrImageNeverPull", message)
            return NotThere(waiting=Waiting(reason="ErrImageNeverPull", message=message))
        return self._pull(pull, uid, reference, wants=wants, auths=auths, tell=tell)

    def forget(self, uid: str) -> None:
        """The pod is gone: nobody waits for its images any more."""
        for key in list(self._pulls):
            self._forget(key, uid)

    def _forget(self, key: _Key, uid: str) -> None:
        pull = self._pulls[key]
        pull.pods.discard(uid)
        pull.done_for.pop(uid, None)
        pull.announced.discard(uid)
        if not (pull.pods or pull.task or pull.done_for):
            del self._pulls[key]

    def _pull(
        self, pull: _Pull, uid: str, reference: str, *, wants: str, auths: tuple[Auth, ...],
        tell: Told,
    ) -> NotThere:  # fmt: skip
        now = self._clock.now()
        pull.pods.add(uid)
        if pull.task is None and pull.until is not None and now < pull.until:
            return self._back_off(pull, uid, reference, tell)
        if pull.task is None:
            tell("Normal", "Pulling", f'Pulling image "{reference}"')
            run = self._run(pull, reference, wants={uid: wants}, auths=auths, tell=tell)
            pull.task = self._tasks.spawn(run, name=f"pull/{reference}")
        return NotThere(waiting=Waiting(reason="ContainerCreating"))

    def _back_off(self, pull: _Pull, uid: str, reference: str, tell: Told) -> NotThere:
        """For a moment the error itself is shown, then the back-off, as users know it."""
        assert pull.until is not None
        show_error = pull.until - timedelta(seconds=pull.seconds - SHOW_ERROR)
        if self._clock.now() < show_error:
            waiting = Waiting(reason="ErrImagePull", message=pull.error)
            return NotThere(waiting=waiting, retry_at=show_error)
        message = f'Back-off pulling image "{reference}"'
        if uid not in pull.announced:
            pull.announced.add(uid)
            tell("Normal", "BackOff", message)
            tell("Warning", "Failed", "Error: ImagePullBackOff")
        text = f"{message}: ErrImagePull: {pull.error}"
        waiting = Waiting(reason="ImagePullBackOff", message=text)
        return NotThere(waiting=waiting, retry_at=pull.until)

    async def _run(
        self, pull: _Pull, reference: str, *, wants: dict[str, str], auths: tuple[Auth, ...],
        tell: Told,
    ) -> None:  # fmt: skip
        began = self._clock.monotonic()
        try:
            async with self._slots:
                await self._try_each(reference, auths)
        except RuntimeFailure as err:
            pull.error = str(err)
            pull.announced.clear()
            pull.seconds = min(pull.seconds * 2 or BASE_BACKOFF, MAX_BACKOFF)
            pull.until = self._clock.now() + timedelta(seconds=pull.seconds)
            tell("Warning", "Failed", f'Failed to pull image "{reference}": {err}')
            tell("Warning", "Failed", "Error: ErrImagePull")
        else:
            pull.done_for |= wants
            pull.seconds, pull.until, pull.error = 0.0, None, ""
            took = self._clock.monotonic() - began
            tell("Normal", "Pulled", f'Successfully pulled image "{reference}" in {took:.3f}s')
        finally:
            pull.task = None
            waiting, pull.pods = pull.pods, set()
            for uid in waiting:
                self._changed(uid)

    async def _try_each(self, reference: str, auths: tuple[Auth, ...]) -> None:
        """With each credential in turn, and without any where there is none."""
        errors: list[RuntimeFailure] = []
        for auth in auths or (None,):
            try:
                image = await self._runtime.pull(reference, auth=auth)
                self._tasks.spawn(self.on_pull(image.id), name="after pull")
                return
            except RuntimeFailure as err:
                errors.append(err)
        raise errors[0]


def credentials_for(pod: Obj, reference: str, lookup: Lookup) -> list[Auth]:
    """What the pod's pull secrets say for an image, as far as they are known."""
    secrets: list[Obj] = []
    for ref in get_path(pod, "spec", "imagePullSecrets", default=[]):
        with suppress(NotSynced):
            found = lookup(SECRET, namespace(pod), ref.get("name", ""))
            secrets += [found] if found else []
    return credentials(secrets, reference)


def credentials(secrets: Iterable[Obj], reference: str) -> list[Auth]:
    """Usernames and passwords from dockerconfigjson Secrets that fit the image's registry."""
    host = normalize_reference(reference).split("/")[0]
    found: list[Auth] = []
    for secret in secrets:
        data = secret.get("data") or {}
        for key, wrapped in ((".dockerconfigjson", True), (".dockercfg", False)):
            if key in data:
                found += _auths(data[key], wrapped=wrapped, host=host)
    return found


def _auths(text: str, *, wrapped: bool, host: str) -> list[Auth]:
    try:
        config = json.loads(base64.b64decode(text))
        entries = config.get("auths") or {} if wrapped else config
        return [_auth(entry) for server, entry in entries.items() if _host(server) == host]
    except (ValueError, AttributeError, TypeError):
        return []  # as the kubelet: a Secret that cannot be read gives no credentials


def _host(server: str) -> str:
    name = server.removeprefix("https://").removeprefix("http://").split("/")[0]
    return "docker.io" if name in ("index.docker.io", "registry-1.docker.io") else name


def _auth(entry: Mapping[str, str]) -> Auth:
    if entry.get("auth"):
        username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        return {"username": username, "password": password}
    return {"username": entry.get("username", ""), "password": entry.get("password", "")}
