"""Namespace: empties a namespace that is being deleted, then lets it go.

Deletes everything of every namespaced kind in it, pods first and alone (what they stand on, such
as network policies and service accounts, outlasts them); tells by conditions what is left; and
when nothing is, takes ``kubernetes`` from spec.finalizers. Runs again when content goes, so it
need not poll. As pkg/controller/namespace/deletion/namespaced_resources_deleter.go.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from edgek import kinds
from edgek.api.conditions import Condition, find_condition
from edgek.api.errors import ApiError, MethodNotAllowed, NotFound
from edgek.api.meta import Key, Obj, get_path, is_deleting, name, namespace
from edgek.api.time import format_time
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, Watch
from edgek.kinds import NAMESPACE, POD
from edgek.kinds.conversion import each_once
from edgek.kinds.kind import Kind
from edgek.kinds.namespace import FINALIZER
from server.controllers.custom_kinds import CustomKinds
from server.controllers.garbage_plan import finalizers

log = logging.getLogger(__name__)

CUSTOM_SECONDS = 2.0


@dataclass(kw_only=True)
class Remains:
    """What a pass left behind: objects by resource, objects by finalizer, and failures."""

    resources: Counter[str] = field(default_factory=Counter)
    finalizers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    custom: bool = False

    def __bool__(self) -> bool:
        return bool(self.resources or self.failures)

    def count(self, kind: Kind, items: Iterable[Obj]) -> None:
        what = f"{kind.plural}.{kind.group}"  # with the dot also for the core group, as upstream
        for item in items:
            self.resources[what] += 1
            self.finalizers.update(finalizers(item))


def deletion_order(all_kinds: Iterable[Kind]) -> list[Kind]:
    """Namespaced kinds that can be deleted, pods first."""
    needs = {"deletecollection", "list"}
    found = [k for k in each_once(all_kinds) if k.namespaced and needs <= set(k.verbs)]
    return sorted(found, key=lambda k: k != POD)


def deletion_conditions(
    old: Sequence[Condition], remains: Remains, now: datetime
) -> list[Condition]:
    """The conditions of a pass; a time is that of the last change of anything in one."""
    out = []
    for new in _conditions(remains):
        before = find_condition(old, new["type"])
        same = before is not None and {**before, "lastTransitionTime": None} == {
            **new,
            "lastTransitionTime": None,
        }
        out.append(
            before
            if before is not None and same
            else {**new, "lastTransitionTime": format_time(now)}
        )
    kept = [c for c in old if find_condition(out, c["type"]) is None]
    return [*kept, *out]


def _conditions(remains: Remains) -> list[Condition]:
    left = [
        f"{what} has {count} resource instances"
        for what, count in sorted(remains.resources.items())
    ]
    held = [
        f"{what} in {count} resource instances"
        for what, count in sorted(remains.finalizers.items())
    ]
    failed = f"Failed to delete all resource types, {len(remains.failures)} remaining: "
    return [
        _condition(
            "NamespaceDeletionDiscoveryFailure",
            ("DiscoveryFailed", ""),
            ("ResourcesDiscovered", "All resources successfully discovered"),
        ),
        _condition(
            "NamespaceDeletionGroupVersionParsingFailure",
            ("GroupVersionParsingFailed", ""),
            ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
        ),
        _condition(
            "NamespaceDeletionContentFailure",
            ("ContentDeletionFailed", remains.failures and failed + ", ".join(remains.failures)),
            ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
        ),
        _condition(
            "NamespaceContentRemaining",
            ("SomeResourcesRemain", left and "Some resources are remaining: " + ", ".join(left)),
            ("ContentRemoved", "All content successfully removed"),
        ),
        _condition(
            "NamespaceFinalizersRemaining",
            (
                "SomeFinalizersRemain",
                held
                and "Some content in the namespace has finalizers remaining: " + ", ".join(held),
            ),
            ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
        ),
    ]


def _condition(kind: str, bad: tuple[str, object], good: tuple[str, str]) -> Condition:
    """True with ``bad``'s reason and message where that has one, else False with ``good``'s."""
    reason, message = bad
    if message:
        return {"type": kind, "status": "True", "reason": reason, "message": str(message)}
    return {"type": kind, "status": "False", "reason": good[0], "message": good[1]}


class NamespaceController:
    """Ends what was asked to end, contents first."""

    name = "namespace-controller"
    kind = NAMESPACE

    def __init__(self, context: Context, all_kinds: Sequence[Kind]) -> None:
        self._client = context.client
        self._clock = context.clock
        self._namespaces = context.informers.get(NAMESPACE)
        self._order = deletion_order(all_kinds)
        self._custom = CustomKinds(context.informers)
        self.watches: tuple[Watch, ...] = (
            ForKind(NAMESPACE, when=lambda old, new: new is not None and is_deleting(new)),
            *(
                Mapped(kind, self._emptied, when=lambda old, new: new is None)
                for kind in self._order
                # Events go at once and are many: an informer would only hold them in memory.
                if "watch" in kind.verbs and kind != kinds.EVENT
            ),
        )

    def _emptied(self, gone: Obj) -> Iterable[Key]:
        key = Key("", namespace(gone))
        holder = self._namespaces.get(key)
        return (key,) if holder is not None and is_deleting(holder) else ()

    async def reconcile(self, key: Key) -> Result:
        found = self._namespaces.get(key)
        if found is None or not is_deleting(found) or FINALIZER not in _held_by(found):
            return DONE
        await self._custom.wait_synced()
        remains = await self._empty(key.name)
        fresh = await self._write_conditions(found, remains)
        if remains.failures:
            raise ApiError(f"namespace {key} not emptied: {remains.failures[0]}")
        if not remains:
            await self._finalize(fresh)
        # Of custom objects nobody tells when they go: that would need a watch for each kind.
        return Result(requeue_after=CUSTOM_SECONDS) if remains.custom else DONE

    async def _empty(self, name_: str) -> Remains:
        """Asks for all content's deletion; while pods remain, of nothing but them."""
        remains = Remains()
        for kind in (*self._order, *deletion_order(self._custom.all())):
            try:
                await self._empty_of(kind, name_, remains)
            except ApiError as err:
                remains.failures.append(f"{kind.plural}: {err}")
            if kind == POD and remains:
                break
        return remains

    async def _empty_of(self, kind: Kind, name_: str, remains: Remains) -> None:
        if not (await self._client.list(kind, namespace=name_, limit=1)).items:
            return
        try:
            await self._client.delete(kind, Key(name_, ""), propagation_policy="Background")
        except (NotFound, MethodNotAllowed):
            return
        left = (await self._client.list(kind, namespace=name_)).items
        remains.count(kind, left)
        remains.custom = remains.custom or (kind.custom and bool(left))

    async def _write_conditions(self, found: Obj, remains: Remains) -> Obj:
        old = get_path(found, "status", "conditions", default=[])
        conditions = deletion_conditions(old, remains, self._clock.now())
        if conditions == old:
            return found
        status = {**(found.get("status") or {}), "phase": "Terminating", "conditions": conditions}
        return await self._client.update_status(NAMESPACE, {**found, "status": status})

    async def _finalize(self, found: Obj) -> None:
        left = [f for f in _held_by(found) if f != FINALIZER]
        spec = {**(found.get("spec") or {}), "finalizers": left}
        log.info("namespace is empty name=%s", name(found))
        try:
            await self._client.update(NAMESPACE, {**found, "spec": spec}, subresource="finalize")
        except NotFound:
            return


def _held_by(found: Obj) -> list[str]:
    held: list[str] = get_path(found, "spec", "finalizers", default=[])
    return held


def build(context: Context) -> NamespaceController:
    return NamespaceController(context, kinds.ALL)
