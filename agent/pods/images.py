"""Images: pull policy, one pull at a time per image, and back-off after a failure.

``ensure`` never waits for the network: a pull runs in the background and ``changed`` is called
for the pods that wait for it. Words and pauses are those of pkg/kubelet/images/image_manager.go.
How a pull itself goes, and when it counts as stalled, is the runtime's.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from agent.pods.image_credentials import OWN, Auth, credentials_for
from agent.pods.pull_records import PullRecords
from agent.pods.state import Waiting
from agent.runtime.reference import is_reference, normalize_reference
from agent.runtime.runtime import Image, Runtime, RuntimeFailure
from edgek.aio.clock import Clock
from edgek.aio.tasks import Tasks
from edgek.api.meta import Obj
from edgek.api.time import go_duration

BASE_BACKOFF = 10.0
MAX_BACKOFF = 300.0
SHOW_ERROR = 2.0
PARALLEL_PULLS = 2
"""More at once are slower on a card, where unpacking is what takes the time."""
NOTES = (30.0, 120.0, 600.0)
"""Seconds after which a pull that goes on is told of."""
LOOK_AGAIN = timedelta(seconds=60)
"""For an image that nobody may pull: one that was loaded behind our back is found then."""


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
class _Pull:
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


_Key = tuple[str, tuple[tuple[tuple[str, str], ...], ...]]
"""An image and the credentials it is pulled with."""


def pull_policy(container: Obj) -> str:
    """As defaults.go: Always for :latest and for no tag, else IfNotPresent."""
    if container.get("imagePullPolicy"):
        return str(container["imagePullPolicy"])
    image = normalize_reference(container["image"])
    return "Always" if image.endswith(":latest") else "IfNotPresent"


async def _nothing(image_id: str) -> None:
    return


async def _no_collector() -> tuple[int, int, tuple[str, ...]]:
    return 0, 0, ("images are not looked after yet",)


class Images:
    def __init__(
        self, runtime: Runtime, tasks: Tasks, *, clock: Clock, changed: Callable[[str], None],
        parallel: int = PARALLEL_PULLS, records: PullRecords | None = None,
    ) -> None:  # fmt: skip
        self._runtime = runtime
        self._tasks = tasks
        self._clock = clock
        self._changed = changed
        self._pulls: dict[_Key, _Pull] = {}
        self._refused: dict[tuple[str, str], str] = {}
        """(uid, container) -> why it has no image, without a pull: told once."""
        self.on_pull: Callable[[str], Coroutine[Any, Any, None]] = _nothing
        """Told the id of each image that came."""
        self.collect: Callable[[], Coroutine[Any, Any, tuple[int, int, tuple[str, ...]]]]
        self.collect = _no_collector
        """Removes unused images: how many, how many bytes, what was refused."""
        self._held: set[str] | None = None
        """Pods that wait for archives to be loaded, while they are."""
        self._slots = asyncio.Semaphore(parallel)
        self._looking: dict[str, asyncio.Future[Image | None]] = {}
        self.records = records or PullRecords()

    async def ensure(
        self, uid: str, container: Obj, *, attempt: int, auths: Iterable[Auth], tell: Told
    ) -> Image | NotThere:
        """The image, or why not yet. ``attempt`` keeps "Always" to one pull per attempt."""
        reference, auths = str(container["image"]), tuple(auths)
        want = Want(
            uid=uid, container=container["name"], attempt=attempt, tell=tell,
            since=self._clock.monotonic(),
        )  # fmt: skip
        if not is_reference(reference):
            return self._refuse_name(want, reference)
        policy = pull_policy(container)
        present = await self._find(reference)
        # One who may not pull it must not make another wait who may.
        key = (normalize_reference(reference), tuple(tuple(a.items()) for a in auths))
        pull = self._pulls.setdefault(key, _Pull(reference))
        pulled = (want.uid, want.container, want.attempt) in pull.done
        allowed = present is not None and self.records.may_use(present.id, (*auths, OWN))
        if present is not None and (pulled or (allowed and policy != "Always")):
            if not pulled:
                tell("Normal", "Pulled", f'Container image "{reference}" already present on '
                     "machine and can be accessed by the pod")  # fmt: skip
            self._refused.pop((uid, want.container), None)
            self._let_go(key, want)
            return present
        if self._held is not None:
            self._held.add(uid)
            return NotThere(waiting=Waiting(reason="ContainerCreating"))
        if policy == "Never":
            self._let_go(key, want)
            return self._refuse_pull(want, reference, here=present is not None)
        return self._pull(pull, want, auths)

    async def _find(self, reference: str) -> Image | None:
        """One look for all who want to know at this moment."""
        looking = self._looking.get(reference)
        if looking is None:
            looking = asyncio.ensure_future(self._runtime.find_image(reference))
            self._looking[reference] = looking
            looking.add_done_callback(partial(self._found, reference))
        return await asyncio.shield(looking)

    def _found(self, reference: str, looking: "asyncio.Future[Image | None]") -> None:
        del self._looking[reference]
        if not looking.cancelled():
            looking.exception()  # told to those who wait, if any still do

    def forget(self, uid: str) -> None:
        """The pod is gone: nobody waits for its images any more."""
        for refused in [k for k in self._refused if k[0] == uid]:
            del self._refused[refused]
        for key, pull in list(self._pulls.items()):
            pull.announced.discard(uid)
            pull.done = {done for done in pull.done if done[0] != uid}
            for waiting in [w for w in pull.waiting if w[0] == uid]:
                del pull.waiting[waiting]
            if pull.task is not None and not pull.waiting:
                pull.task.cancel()
            self._drop(key)

    def hold(self) -> None:
        """Nothing is pulled until ``came``: it may be in an archive that is about to be loaded."""
        self._held = set() if self._held is None else self._held

    async def arrived(self, image: Image) -> None:
        """One that was brought here by hand is for everybody."""
        await self.records.pulled(image.id, OWN, new=True)
        await self.on_pull(image.id)

    def came(self) -> None:
        """An image was brought to this node, by hand or from an archive."""
        uids = {uid for uid, _ in self._refused} | (self._held or set())
        self._held = None
        for pull in self._pulls.values():
            if pull.until is not None:
                pull.until, pull.seconds = None, 0.0
                uids |= pull.announced
        for uid in uids:
            self._changed(uid)

    def _let_go(self, key: _Key, want: Want) -> None:
        pull = self._pulls[key]
        pull.waiting.pop((want.uid, want.container), None)
        pull.done.discard((want.uid, want.container, want.attempt))
        pull.announced.discard(want.uid)
        self._drop(key)

    def _drop(self, key: _Key) -> None:
        pull = self._pulls[key]
        backs_off = pull.until is not None and pull.announced
        if not (pull.waiting or pull.task or pull.done or backs_off):
            del self._pulls[key]

    # -- without a pull ---------------------------------------------------------------------

    def _refuse_name(self, want: Want, reference: str) -> NotThere:
        why = f'couldn\'t parse image name "{reference}": invalid reference format'
        message = f'Failed to apply default image tag "{reference}": {why}'
        return self._refuse(want, "InvalidImageName", message, event="InspectFailed")

    def _refuse_pull(self, want: Want, reference: str, *, here: bool) -> NotThere:
        why = (
            "is present with pull policy of Never but does not have the proper auth (image secret) "
            "that was used to pull the image"
            if here
            else "is not present with pull policy of Never"
        )
        message = f'Container image "{reference}" {why}'
        return self._refuse(want, "ErrImageNeverPull", message, event="ErrImageNeverPull")

    def _refuse(self, want: Want, reason: str, message: str, *, event: str) -> NotThere:
        known = (want.uid, want.container)
        if self._refused.get(known) != message:
            self._refused[known] = message
            want.tell("Warning", event, message)
            want.tell("Warning", "Failed", f"Error: {reason}")
        retry_at = self._clock.now() + LOOK_AGAIN if event == "ErrImageNeverPull" else None
        return NotThere(waiting=Waiting(reason=reason, message=message), retry_at=retry_at)

    # -- pulls ------------------------------------------------------------------------------

    def _pull(self, pull: _Pull, want: Want, auths: tuple[Auth, ...]) -> NotThere:
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

    def _back_off(self, pull: _Pull, want: Want) -> NotThere:
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

    async def _run(self, pull: _Pull, auths: tuple[Auth, ...]) -> None:
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

    async def _try_each(self, pull: _Pull, auths: tuple[Auth, ...]) -> Image:
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
            await self.records.pulled(image.id, auth, new=new)
            self._tasks.spawn(self.on_pull(image.id), name="after pull")
            return image
        raise errors[0]

    def _note(self, pull: _Pull, received: int) -> None:
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

    def _failed(self, pull: _Pull, err: RuntimeFailure) -> None:
        pull.failure = err
        pull.announced.clear()
        pull.seconds = min(pull.seconds * 2 or BASE_BACKOFF, MAX_BACKOFF)
        pull.until = self._clock.now() + timedelta(seconds=pull.seconds)
        for want in pull.waiting.values():
            want.tell("Warning", "Failed", f'Failed to pull image "{pull.reference}": {err}')
            want.tell("Warning", "Failed", f"Error: {err.reason}")

    def _succeeded(self, pull: _Pull, image: Image) -> None:
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


__all__ = ["Images", "NotThere", "Told", "credentials_for", "pull_policy"]
