"""One image's pull for all containers that wait for it, with its events and its back-off.

``want`` never waits for the network: the pull runs in the background and ``changed`` is called for
the pods that wait. Words and pauses are those of pkg/kubelet/images/image_manager.go. How the bytes
come, and when a pull counts as stalled, is the runtime's.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from agent.pods.image_credentials import OWN, Auth
from agent.pods.pull_records import PullRecords
from agent.pods.state import Waiting
from agent.runtime.runtime import Image, Runtime, RuntimeFailure
from edgek.aio.clock import Clock
from edgek.aio.tasks import Tasks
from edgek.api.time import go_duration

BASE_BACKOFF = 10.0
MAX_BACKOFF = 300.0
SHOW_ERROR = 2.0
PARALLEL_PULLS = 2
"""More at once are slower on a card, where unpacking is what takes the time."""
NOTES = (30.0, 120.0, 600.0)
"""Seconds after which a pull that goes on is told of."""


@dataclass(frozen=True, kw_only=True)
class NotThere:
    """The image is not to be had now. ``retry_at`` None: a change will call ``changed``."""

    waiting: Waiting
    retry_at: datetime | None = None


Told = Callable[[str, str, str], None]
"""(type, reason, message): an event about the container that wants the image."""


@dataclass(frozen=True, kw_only=True)
class Want:
    """A container's wish for an image, at one attempt."""

    uid: str
    container: str
    attempt: int
    tell: Told
    since: float


@dataclass
class Pull:
    """One image's pull: under way (``task``), or failed and backing off."""

    reference: str
    seconds: float = 0.0
    until: datetime | None = None
    failure: RuntimeFailure | None = None
    task: "asyncio.Task[None] | None" = None
    began: float = 0.0
    notes: int = 0
    waiting: dict[tuple[str, str], Want] = field(default_factory=dict)
    done: set[tuple[str, str, int]] = field(default_factory=set)
    """(uid, container, attempt): "Always" is one pull for each attempt."""
    announced: set[str] = field(default_factory=set)
    """Pods that were told of this back-off."""


async def _nothing(image_id: str) -> None:
    return


class Puller:
    def __init__(
        self, runtime: Runtime, tasks: Tasks, *, clock: Clock, changed: Callable[[str], None],
        parallel: int, records: PullRecords,
    ) -> None:  # fmt: skip
        self._runtime, self._tasks, self._clock = runtime, tasks, clock
        self._changed = changed
        self._records = records
        self._slots = asyncio.Semaphore(parallel)
        self.on_pull: Callable[[str], Coroutine[Any, Any, None]] = _nothing
        """Told the id of each image that came."""

    def want(self, pull: Pull, want: Want, auths: tuple[Auth, ...]) -> NotThere:
        now = self._clock.now()
        if pull.task is None and pull.until is not None and now < pull.until:
            return self._back_off(pull, want)
        if (want.uid, want.container) not in pull.waiting:
            pull.waiting[want.uid, want.container] = want
            want.tell("Normal", "Pulling", f'Pulling image "{pull.reference}"')
        if pull.task is None:
            run = self._run(pull, auths)
            pull.task = self._tasks.spawn(run, name=f"pull/{pull.reference}")
        return NotThere(waiting=Waiting(reason="ContainerCreating"))

    def _back_off(self, pull: Pull, want: Want) -> NotThere:
        """For a moment the error itself is shown, then the back-off, as users know it."""
        assert pull.until is not None
        assert pull.failure is not None
        reason, error = pull.failure.reason, str(pull.failure)
        show_error = pull.until - timedelta(seconds=pull.seconds - SHOW_ERROR)
        if self._clock.now() < show_error:
            return NotThere(waiting=Waiting(reason=reason, message=error), retry_at=show_error)
        message = f'Back-off pulling image "{pull.reference}"'
        if want.uid not in pull.announced:
            pull.announced.add(want.uid)
            want.tell("Normal", "BackOff", message)
            want.tell("Warning", "Failed", "Error: ImagePullBackOff")
        waiting = Waiting(reason="ImagePullBackOff", message=f"{message}: {reason}: {error}")
        return NotThere(waiting=waiting, retry_at=pull.until)

    async def _run(self, pull: Pull, auths: tuple[Auth, ...]) -> None:
        try:
            async with self._slots:
                pull.began, pull.notes = self._clock.monotonic(), 0
                image = await self._try_each(pull, auths)
        except RuntimeFailure as err:
            self._failed(pull, err)
        else:
            self._succeeded(pull, image)
        finally:
            pull.task = None
            waiting, pull.waiting = pull.waiting, {}
            for uid in {want.uid for want in waiting.values()}:
                self._changed(uid)

    async def _try_each(self, pull: Pull, auths: tuple[Auth, ...]) -> Image:
        """With each credential in turn, and without any where there is none."""
        before = await self._runtime.find_image(pull.reference)
        errors: list[RuntimeFailure] = []
        for auth in auths or (OWN,):
            try:
                image = await self._runtime.pull(
                    pull.reference, auth=auth or None, progress=lambda n: self._note(pull, n)
                )
            except RuntimeFailure as err:
                errors.append(err)
                continue
            new = before is None or before.id != image.id
            await self._records.pulled(image.id, auth, new=new)
            self._tasks.spawn(self.on_pull(image.id), name="after pull")
            return image
        raise errors[0]

    def _note(self, pull: Pull, received: int) -> None:
        """A long pull is told of now and then, not all the time."""
        took = self._clock.monotonic() - pull.began
        if pull.notes >= len(NOTES) or took < NOTES[pull.notes]:
            return
        pull.notes = sum(took >= at for at in NOTES)
        message = (
            f'Still pulling image "{pull.reference}" after {go_duration(int(took))}: '
            f"{received // 1_000_000} MB received and not yet unpacked"
        )
        for want in pull.waiting.values():
            want.tell("Normal", "Pulling", message)

    def _failed(self, pull: Pull, err: RuntimeFailure) -> None:
        pull.failure = err
        pull.announced.clear()
        pull.seconds = min(pull.seconds * 2 or BASE_BACKOFF, MAX_BACKOFF)
        pull.until = self._clock.now() + timedelta(seconds=pull.seconds)
        for want in pull.waiting.values():
            want.tell("Warning", "Failed", f'Failed to pull image "{pull.reference}": {err}')
            want.tell("Warning", "Failed", f"Error: {err.reason}")

    def _succeeded(self, pull: Pull, image: Image) -> None:
        pull.seconds, pull.until, pull.failure = 0.0, None, None
        now = self._clock.monotonic()
        for want in pull.waiting.values():
            pull.done.add((want.uid, want.container, want.attempt))
            want.tell(
                "Normal", "Pulled",
                f'Successfully pulled image "{pull.reference}" in {go_duration(now - pull.began)} '
                f"({go_duration(now - want.since)} including waiting). "
                f"Image size: {image.size_bytes} bytes.",
            )  # fmt: skip
