"""What local pods refer to (ConfigMaps, Secrets, claims...), each watched singly while they do.

The Node authorizer lets an agent see an object only by name and only while one of its pods names
it, so there is one informer per object. Until the server has answered, the object remembered
from before (the checkpoint) stands in for pods that are from before too; so does that there was
none, for what a pod may do without must not keep it from starting.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from edgek.aio.tasks import Tasks, cancel_and_wait, first_of
from edgek.api.meta import Key, Obj, key_of, resource_version
from edgek.api.selectors import parse_field_selector
from edgek.client.client import Client
from edgek.control.informer import Informer
from edgek.kinds import CLUSTER_TRUST_BUNDLE
from edgek.kinds.kind import Kind


class Ref(NamedTuple):
    """An object, or with ``fields`` all that a field selector matches."""

    kind: Kind
    key: Key
    fields: str = ""

    @property
    def selector(self) -> str:
        return self.fields or f"metadata.name={self.key.name}"


def bundles_of(signer: str) -> Ref:
    return Ref(CLUSTER_TRUST_BUNDLE, Key("", ""), f"spec.signerName={signer}")


class NotSynced(Exception):
    """The server has not said yet whether the object exists."""


Lookup = Callable[[Kind, str, str], Obj | None]
"""(kind, namespace, name) -> the object or None; raises NotSynced while that is not known."""


async def _settle(informer: Informer, settled: asyncio.Event) -> None:
    await informer.wait_synced()
    await settled.wait()


@dataclass
class _Watched:
    informer: Informer
    task: "asyncio.Task[None]"
    pods: set[str] = field(default_factory=set)


class Sources:
    """``changed(uid)`` is called for each pod that an object's change concerns."""

    def __init__(self, client: Client, tasks: Tasks, *, changed: Callable[[str], None]) -> None:
        self._client = client
        self._tasks = tasks
        self._changed = changed
        self.on_change: Callable[[], None] = lambda: None
        """Called after any change of what ``known`` and ``missing`` give."""
        self._watched: dict[Ref, _Watched] = {}
        self._by_pod: dict[str, set[Ref]] = {}
        self._remembered: dict[Ref, Obj] = {}
        self._missing: set[Ref] = set()
        """What was not there before."""
        self._restored: set[str] = set()

    def remember(
        self, objects: Mapping[Ref, Obj], *, missing: Iterable[Ref] = (), pods: Iterable[str]
    ) -> None:
        """Objects of before, and what there was none of, for the pods of before, by uid."""
        self._remembered.update(objects)
        self._missing.update(missing)
        self._restored.update(pods)

    def known(self) -> Iterable[tuple[Ref, Obj]]:
        """Everything there is, for the checkpoint."""
        for ref, found in self._answers():
            yield from [(Ref(ref.kind, key_of(obj)), obj) for obj in found]

    def missing(self) -> Iterable[Ref]:
        """What is referred to and not there, for the checkpoint."""
        return [ref for ref, found in self._answers() if not found]

    def _answers(self) -> Iterator[tuple[Ref, list[Obj]]]:
        for ref in sorted(self._watched, key=lambda r: (r.kind.kind, r.key, r.fields)):
            try:
                yield ref, self._known_of(ref)
            except NotSynced:
                continue

    def _known_of(self, ref: Ref) -> list[Obj]:
        if ref.fields:
            return self.matching(ref)
        found = self.get(ref.kind, ref.key.namespace, ref.key.name)
        return [found] if found else []

    def matching(self, ref: Ref) -> list[Obj]:
        """All that a reference with ``fields`` means. Raises NotSynced."""
        watched = self._watched.get(ref)
        if watched is not None and watched.informer.synced.is_set():
            return watched.informer.list()
        found = [self._remembered[known] for known in self._remembered_of(ref)]
        if found or ref in self._missing:
            return found
        raise NotSynced(f"{ref.kind.plural} with {ref.fields} are not known yet")

    def trust_bundles(self, signer: str) -> list[Obj]:
        return self.matching(bundles_of(signer))

    def version(self, ref: Ref) -> object:
        """A value that changes when what is referred to does. Raises NotSynced."""
        if ref.fields:
            return sorted((key_of(obj), resource_version(obj)) for obj in self.matching(ref))
        found = self.get(ref.kind, ref.key.namespace, ref.key.name)
        return resource_version(found) if found else ""

    def _remembered_of(self, ref: Ref) -> list[Ref]:
        if not ref.fields:
            return [ref] if ref in self._remembered else []
        fields, read = parse_field_selector(ref.fields), ref.kind.read_field
        return [
            known for known, obj in self._remembered.items()
            if known.kind is ref.kind and fields.matches(obj, read)
        ]  # fmt: skip

    def get(self, kind: Kind, namespace: str, name: str) -> Obj | None:
        ref = Ref(kind, Key(namespace, name))
        watched = self._watched.get(ref)
        if watched is not None and watched.informer.synced.is_set():
            return watched.informer.get(ref.key)
        if ref in self._remembered or ref in self._missing:
            return self._remembered.get(ref)
        raise NotSynced(f"{kind.singular} {ref.key} is not known yet")

    def use(self, uid: str, refs: set[Ref]) -> None:
        """The pod needs exactly these from now on; none at its end."""
        for ref in self._by_pod.get(uid, set()) - refs:
            self._drop(uid, ref)
        for ref in refs - self._by_pod.get(uid, set()):
            if uid not in self._restored:
                # The server told of this pod, so it will tell of this too: under the same name
                # there may be another object by now (a claim, and its volume).
                self._forget(ref)
            self._watch(ref).pods.add(uid)
        if refs:
            self._by_pod[uid] = set(refs)
        else:
            self._by_pod.pop(uid, None)
            self._restored.discard(uid)

    def _watch(self, ref: Ref) -> _Watched:
        if ref not in self._watched:
            informer = Informer(
                self._client, ref.kind, namespace=ref.key.namespace, field_selector=ref.selector
            )
            name = f"watch/{ref.kind.plural}/{ref.key}"
            settled = asyncio.Event()
            task = self._tasks.spawn(self._run(ref, informer, settled), name=name)
            self._watched[ref] = _Watched(informer, task)

            def changed(old: Obj | None, new: Obj | None) -> None:
                if new is not None and new.get("immutable"):
                    settled.set()
                self._tell(ref)

            informer.on_change(changed)
        return self._watched[ref]

    async def _run(self, ref: Ref, informer: Informer, settled: asyncio.Event) -> None:
        """Until cancelled, or the object can change no more; what was seen is kept."""
        waiter = asyncio.ensure_future(informer.wait_synced())
        # An object that does not exist changes nothing, but whoever waits must learn of that.
        waiter.add_done_callback(lambda _: self._tell(ref))
        try:
            await first_of(informer.run(), _settle(informer, settled))
        finally:
            await cancel_and_wait(waiter)

    def _tell(self, ref: Ref) -> None:
        self.on_change()
        watched = self._watched.get(ref)
        for uid in list(watched.pods) if watched else ():
            self._changed(uid)

    def _drop(self, uid: str, ref: Ref) -> None:
        watched = self._watched[ref]
        watched.pods.discard(uid)
        if not watched.pods:
            watched.task.cancel()
            del self._watched[ref]
            self._forget(ref)

    def _forget(self, ref: Ref) -> None:
        for known in self._remembered_of(ref):
            del self._remembered[known]
        self._missing.discard(ref)
