"""ResourceQuota: a quota's status says what is limited and how much of it is used.

Admission charges what is made (server/admission/resource_quota.py); this counts anew when a quota
changes and when something it counts goes, ends or shrinks. As pkg/controller/resourcequota, but
nothing is counted periodically: a charge that comes to nothing is given back by admission.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from edgek import kinds
from edgek.api.meta import Key, Obj, get_path, key_of, namespace
from edgek.api.quantity import add_quantities
from edgek.control.controller import (
    DONE,
    Context,
    Controller,
    ForKind,
    Mapped,
    Result,
    Watch,
)
from edgek.kinds import POD, RESOURCE_QUOTA
from edgek.kinds.conversion import each_once
from edgek.kinds.kind import Kind
from edgek.kinds.pods import deletion_deadline, is_terminal
from edgek.kinds.quota_scopes import quota_matches
from edgek.kinds.quota_usage import Usage, is_counted, matching_resources, usage
from server.controllers.custom_kinds import CustomKinds, metadata_only

SETTLE_SECONDS = 1.0
"""What was under way when a limit was set was not charged: it is counted a moment later."""


@dataclass(frozen=True, kw_only=True)
class Count:
    """``status`` is None where it is right already; ``again`` seconds later it will differ."""

    status: Obj | None
    again: float | None


def plan_count(quota: Obj, objects: Mapping[Kind, Iterable[Obj]], *, now: datetime) -> Count:
    """Counts ``objects``, all those in the quota's namespace of the kinds that it limits."""
    hard: Usage = get_path(quota, "spec", "hard", default={})
    used: Usage = {r: "0" for kind in objects for r in matching_resources(kind, hard)}
    waits: list[float] = []
    for kind, found in objects.items():
        for obj in found:
            if not quota_matches(quota, kind, obj, hard=hard):
                continue
            for resource, amount in usage(kind, obj, now=now).items():
                if resource in used:
                    used[resource] = add_quantities(used[resource], amount)
            if kind == POD and (deadline := deletion_deadline(obj)) is not None:
                waits.append((deadline - now).total_seconds())
    before = quota.get("status") or {}
    status = {"hard": hard, "used": used}
    if before.get("hard", {}) != hard:
        waits.append(SETTLE_SECONDS)
    later = [wait for wait in waits if wait >= 0]
    return Count(
        status=None if before == status else status, again=min(later) + 0.1 if later else None
    )


def frees(old: Obj | None, new: Obj | None) -> bool:
    """Whether a change may lower what an object counts for: only such are worth a new count."""
    if old is None or new is None:
        return new is None
    if old.get("kind") == "Pod":
        going = "deletionTimestamp"
        ended = is_terminal(new) and not is_terminal(old)
        marked = new["metadata"].get(going) != old["metadata"].get(going)
        return ended or marked or old.get("spec") != new.get("spec")
    return old.get("kind") in ("Service", "PersistentVolumeClaim") and (
        old.get("spec") != new.get("spec") or _allocated(old) != _allocated(new)
    )


def _allocated(obj: Obj) -> object:
    return get_path(obj, "status", "allocatedResources")


class ResourceQuotaController:
    name = "resourcequota-controller"
    kind = RESOURCE_QUOTA

    def __init__(self, context: Context, all_kinds: Sequence[Kind]) -> None:
        self._client = context.client
        self._clock = context.clock
        self._quotas = context.informers.get(RESOURCE_QUOTA)
        self._kinds = [k for k in each_once(all_kinds) if is_counted(k) and "watch" in k.verbs]
        self.custom = CustomKinds(context.informers)
        self.watches: tuple[Watch, ...] = (
            ForKind(RESOURCE_QUOTA, when=_is_to_be_counted),
            *(Mapped(kind, partial(self.quotas_for, kind), when=frees) for kind in self._kinds),
        )

    def quotas_for(self, kind: Kind, obj: Obj) -> Iterable[Key]:
        for quota in self._quotas.list(namespace(obj)):
            if matching_resources(kind, get_path(quota, "spec", "hard", default={})):
                yield key_of(quota)

    async def reconcile(self, key: Key) -> Result:
        if self._quotas.get(key) is None:
            return DONE
        # Read before what is counted: what is charged in between makes the update a conflict.
        quota = await self._client.get(RESOURCE_QUOTA, key)
        hard = get_path(quota, "spec", "hard", default={})
        objects = {
            kind: (await self._client.list(kind, namespace=key.namespace)).items
            for kind in (*self._kinds, *filter(is_counted, self.custom.all()))
            if matching_resources(kind, hard)
        }
        count = plan_count(quota, objects, now=self._clock.now())
        if count.status is not None:
            await self._client.update_status(RESOURCE_QUOTA, {**quota, "status": count.status})
        return Result(requeue_after=count.again)


def _is_to_be_counted(old: Obj | None, new: Obj | None) -> bool:
    """Not where admission charged: that is right."""
    if new is None:
        return False
    hard = get_path(new, "spec", "hard", default={})
    return old is None or hard != get_path(new, "status", "hard", default={})


class ResourceQuotaLoop:
    """The controller, and besides what goes of the kinds that come and go."""

    name = ResourceQuotaController.name

    def __init__(self, context: Context, all_kinds: Sequence[Kind]) -> None:
        self._reconciler = ResourceQuotaController(context, all_kinds)
        self._controller = Controller(self._reconciler, context.informers)
        self._informers = context.informers

    async def run(self) -> None:
        await self._reconciler.custom.wait_synced()
        self._reconciler.custom.follow(added=self._watch, removed=lambda kind: None)
        await self._controller.run()

    def _watch(self, kind: Kind) -> None:
        if not is_counted(kind):
            return

        def changed(old: Obj | None, new: Obj | None) -> None:
            if new is None and old is not None:
                for key in self._reconciler.quotas_for(kind, old):
                    self._controller.queue.add(key)

        self._informers.get(kind, keep=metadata_only).on_change(changed)


def build(context: Context) -> ResourceQuotaLoop:
    return ResourceQuotaLoop(context, kinds.ALL)
