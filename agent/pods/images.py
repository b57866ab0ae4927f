"""Images: who may have which, by policy, by credentials and by what is on its way here.

``ensure`` never waits for the network: what must be pulled is left to the puller (pull.py), and
``changed`` is called for the pods that wait for it. As pkg/kubelet/images/image_manager.go.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from agent.pods.image_credentials import OWN, Auth
from agent.pods.pull import PARALLEL_PULLS, NotThere, Pull, Puller, Told, Want
from agent.pods.pull_records import PullRecords
from agent.pods.state import Waiting
from agent.runtime.reference import is_reference, normalize_reference
from agent.runtime.runtime import Image, Runtime, RuntimeFailure, RuntimeUnavailable
from edgek.aio.clock import Clock
from edgek.aio.tasks import Tasks
from edgek.api.meta import Obj

log = logging.getLogger(__name__)

INSPECT_AGAIN, DAMAGED_FOR = timedelta(seconds=5), timedelta(seconds=20)
NO_DAMAGE = (
    "no space left on device", "read-only file system", "disk quota exceeded",
    "too many open files", "cannot allocate memory",
)  # fmt: skip
LOOK_AGAIN = timedelta(seconds=60)
"""For an image that nobody may pull: one that was loaded behind our back is found then."""


_Key = tuple[str, tuple[tuple[tuple[str, str], ...], ...]]
"""An image and the credentials it is pulled with."""


def pull_policy(container: Obj) -> str:
    """As defaults.go: Always for :latest and for no tag, else IfNotPresent."""
    if container.get("imagePullPolicy"):
        return str(container["imagePullPolicy"])
    image = normalize_reference(container["image"])
    return "Always" if image.endswith(":latest") else "IfNotPresent"


async def _no_collector() -> tuple[int, int, tuple[str, ...]]:
    return 0, 0, ("images are not looked after yet",)


class Images:
    def __init__(
        self, runtime: Runtime, tasks: Tasks, *, clock: Clock, changed: Callable[[str], None],
        parallel: int = PARALLEL_PULLS, records: PullRecords | None = None,
    ) -> None:  # fmt: skip
        self._runtime = runtime
        self._clock = clock
        self._changed = changed
        self._pulls: dict[_Key, Pull] = {}
        self._refused: dict[tuple[str, str], str] = {}
        """(uid, container) -> why it has no image, without a pull: told once."""
        self._damaged: dict[str, datetime] = {}
        """Since when Podman cannot look at an image."""
        self.collect: Callable[[], Coroutine[Any, Any, tuple[int, int, tuple[str, ...]]]]
        self.collect = _no_collector
        """Removes unused images: how many, how many bytes, what was refused."""
        self.mounted: Callable[[], frozenset[str]] = frozenset
        """Ids of images that are volumes of pods. Blocking."""
        self._held: set[str] | None = None
        """Pods that wait for archives to be loaded, while they are."""
        self._looking: dict[str, asyncio.Future[Image | None]] = {}
        self._in_hand: Counter[str] = Counter()
        self.records = records or PullRecords()
        self.puller = Puller(
            runtime, tasks, clock=clock, changed=changed, parallel=parallel, records=self.records
        )

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
        try:
            present = await self._find(reference)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as err:
            return await self._replace_damaged(want, reference, err)
        self._damaged.pop(reference, None)
        # One who may not pull it must not make another wait who may.
        key = (normalize_reference(reference), tuple(tuple(a.items()) for a in auths))
        pull = self._pulls.setdefault(key, Pull(reference))
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
        return self.puller.want(pull, want, auths)

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

    @contextmanager
    def in_hand(self, image_id: str) -> Iterator[None]:
        """While something is made of it: its name may have gone to another image meanwhile, so
        that only its id tells that it is no garbage."""
        self._in_hand[image_id] += 1
        try:
            yield
        finally:
            self._in_hand[image_id] -= 1

    def kept(self) -> frozenset[str]:
        """Ids of what is in somebody's hand now."""
        self._in_hand += Counter()  # without those that were let go
        return frozenset(self._in_hand)

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
        await self.puller.on_pull(image.id)

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

    def clock_set(self) -> None:
        """The wall clock was: pauses are over, for their ends may be years ahead now."""
        self._damaged.clear()
        for pull in self._pulls.values():
            pull.until, pull.seconds = None, 0.0

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

    async def _replace_damaged(self, want: Want, reference: str, err: RuntimeFailure) -> NotThere:
        """Files of it are missing in the store, as after a disk's fault: it is removed, so that
        the next look fetches it anew. Not at the first failure, which may pass: where no registry
        is in reach it would be gone. Nor where it is the disk that fails: Podman writes a file to
        look at an image. One that is in use stays as it is."""
        message = f'Failed to inspect image "{reference}": {err}'
        refused = self._refuse(want, "ImageInspectError", message, event="InspectFailed")
        now = self._clock.now()
        if any(word in str(err) for word in NO_DAMAGE):
            self._damaged.pop(reference, None)
        elif now - self._damaged.setdefault(reference, now) >= DAMAGED_FOR:
            del self._damaged[reference]
            await self._remove_damaged(reference)
        return replace(refused, retry_at=now + INSPECT_AGAIN)

    async def _remove_damaged(self, reference: str) -> None:
        try:
            await self._runtime.remove_image(reference)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as why:
            log.warning("damaged image cannot be removed image=%s err=%s", reference, why)

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


__all__ = ["PARALLEL_PULLS", "Images", "NotThere", "Told", "pull_policy"]
