"""StatefulSet: pods NAME-0, NAME-1..., each with a name and claims that outlive it.

Owns Pods and ControllerRevisions; makes PersistentVolumeClaims and says whose they are, but
never deletes one: that is the garbage collector's. Writes its own status. As
pkg/controller/statefulset; what to do is decided in statefulset_plan.py.
"""

from collections.abc import Iterable, Sequence

from edgek.api.errors import AlreadyExists, ApiError, Conflict
from edgek.api.meta import Key, Obj, is_deleting, key_of, labels, name, namespace
from edgek.control.controller import DONE, Context, ForKind, Mapped, OwnedBy, Reads, Result, Watch
from edgek.kinds import CONTROLLER_REVISION, POD, STATEFUL_SET
from edgek.kinds import PERSISTENT_VOLUME_CLAIM as CLAIM
from edgek.kinds.pods import available_after, phase
from server.controllers.adoption import adopters, claim, index_orphans, selector_of, still_there
from server.controllers.controller_revision import HASH, PLAIN_HASH, History, plan_truncation
from server.controllers.pod_control import PodControl, Words, run_all, slow_start
from server.controllers.revision_control import RevisionControl
from server.controllers.statefulset_identity import (
    claim_name,
    claim_templates,
    is_member,
    is_parallel,
    parent_and_ordinal,
)
from server.controllers.statefulset_plan import (
    Stateful,
    StatefulPlan,
    Step,
    plan_stateful,
    stateful_status,
)


class _Words(Words):
    def created(self, owner: Obj, pod: Obj) -> str:
        return f"create Pod {name(pod)} in StatefulSet {name(owner)} successful"

    def not_created(self, owner: Obj, pod: Obj, err: object) -> str:
        return f"create Pod {name(pod)} in StatefulSet {name(owner)} failed error: {err}"

    def deleted(self, owner: Obj, pod: Obj) -> str:
        return f"delete Pod {name(pod)} in StatefulSet {name(owner)} successful"

    def not_deleted(self, owner: Obj, pod: Obj, err: object) -> str:
        return f"delete Pod {name(pod)} in StatefulSet {name(owner)} failed error: {err}"


class StatefulSetController:
    """Makes, mends and replaces the pods of StatefulSets, in their order."""

    name = "statefulset-controller"
    kind = STATEFUL_SET

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._source = context.events.source(self.name)
        self._sets = context.informers.get(STATEFUL_SET)
        self._pods = context.informers.get(POD)
        self._claims = context.informers.get(CLAIM)
        index_orphans(self._pods)
        self._revisions = RevisionControl(context, STATEFUL_SET, hash_key=PLAIN_HASH)
        self._control = PodControl(context, STATEFUL_SET, self._source, _Words())
        self.watches: Sequence[Watch] = (
            ForKind(STATEFUL_SET),
            OwnedBy(POD, owner=STATEFUL_SET),
            Mapped(POD, adopters(self._sets), when=still_there),
            Mapped(POD, self._of_name, when=_gone),
            Mapped(CLAIM, self._of_claim, when=_gone),
            Reads(CONTROLLER_REVISION),
        )

    def _of_name(self, gone: Obj) -> Iterable[Key]:
        """The set that may have waited for a stranger's pod to give its name free."""
        owner = Key(namespace(gone), parent_and_ordinal(name(gone))[0])
        return (owner,) if self._sets.get(owner) is not None else ()

    def _of_claim(self, gone: Obj) -> Iterable[Key]:
        """The set that may want the claim made anew."""
        _, ordinal = parent_and_ordinal(name(gone))
        for owner in self._sets.list(namespace(gone)):
            names = (claim_name(owner, t, ordinal) for t in claim_templates(owner))
            if name(gone) in names:
                yield key_of(owner)

    async def reconcile(self, key: Key) -> Result:
        stateful_set = self._sets.get(key)
        if stateful_set is None:  # the garbage collector's
            return DONE
        if waiting := self._control.waiting(stateful_set):
            return Result(requeue_after=waiting)
        history, update = await self._history(stateful_set)
        if update is None:  # deleted before it had any
            return DONE
        pods = await claim(
            self._client, (STATEFUL_SET, POD), self._pods, stateful_set,
            selector_of(stateful_set), fits=lambda pod: is_member(stateful_set, pod),
        )  # fmt: skip
        s = Stateful(
            stateful_set=stateful_set,
            pods=pods,
            claims=lambda found: self._claims.get(Key(key.namespace, found)),
            current=_current(stateful_set, history) or update,
            update=update,
            now=self._clock.now(),
        )
        plan = plan_stateful(s)
        try:
            await self._apply(stateful_set, plan)
        finally:
            await self._write_status(s, plan)
        await self._clean_history(s, history)
        return _next(s)

    async def _history(self, stateful_set: Obj) -> tuple[History, Obj | None]:
        if not is_deleting(stateful_set):
            return await self._revisions.history(stateful_set)
        history = await self._revisions.known(stateful_set)
        return history, history.current

    async def _apply(self, owner: Obj, plan: StatefulPlan) -> None:
        self._announce(owner, plan.ended)
        await self._control.delete(owner, plan.ended)
        for batch in slow_start(plan.steps) if is_parallel(owner) else ((s,) for s in plan.steps):
            await run_all(self._take(owner, step) for step in batch)
        for step in plan.surplus:
            await self._own_claims(owner, step)
        await self._control.delete(owner, plan.condemned)
        await self._control.delete(owner, plan.outdated)

    async def _take(self, owner: Obj, step: Step) -> None:
        pod = step.pod
        try:
            await self._make_claims(owner, step)
        except ApiError as err:
            if step.create or step.mended is not None:
                what = "Create" if step.create else "Update"
                about = f"{what.lower()} Pod {name(pod)} in StatefulSet {name(owner)}"
                self._source.warning(owner, f"Failed{what}", f"{about} failed error: {err}")
            raise
        if step.create:
            await self._control.create(owner, [pod])
        await self._own_claims(owner, step)
        if step.mended is not None:
            await self._mend(owner, step.mended)

    async def _mend(self, owner: Obj, pod: Obj) -> None:
        about = f"update Pod {name(pod)} in StatefulSet {name(owner)}"
        try:
            await self._client.update(POD, pod)
        except ApiError as err:
            self._source.warning(owner, "FailedUpdate", f"{about} failed error: {err}")
            raise
        self._source.normal(owner, "SuccessfulUpdate", f"{about} successful")

    # Claims

    async def _make_claims(self, owner: Obj, step: Step) -> None:
        """All that can be made; then the first failure is raised."""
        results = [await self._make_claim(owner, step.pod, made) for made in step.claims.make]
        results += [Conflict(f"pvc {gone} is being deleted") for gone in step.claims.going]
        for result in results:
            if result is not None:
                raise result

    async def _make_claim(self, owner: Obj, pod: Obj, made: Obj) -> ApiError | None:
        try:
            await self._client.create(CLAIM, made)
        except ApiError as err:
            behind = isinstance(err, AlreadyExists)  # the cache was
            failed = (Conflict if behind else ApiError)(f"failed to create PVC {name(made)}: {err}")
            if not behind:
                text = (
                    f"create Claim {name(made)} for Pod {name(pod)} in StatefulSet {name(owner)} "
                    f"failed error: {err}"
                )
                self._source.warning(owner, "FailedCreate", text)
            return failed
        text = f"create Claim {name(made)} Pod {name(pod)} in StatefulSet {name(owner)} success"
        self._source.normal(owner, "SuccessfulCreate", text)
        return None

    async def _own_claims(self, owner: Obj, step: Step) -> None:
        for conflicting in step.claims.conflicting:
            text = (
                f"PersistentVolumeClaim {conflicting} has a conflicting OwnerReference that acts "
                "as a manging controller, the retention policy is ignored for this claim"  # sic
            )
            self._source.warning(owner, "ConflictingController", text)
        for owned in step.claims.own:
            await self._client.update(CLAIM, owned)

    # What is seen of it

    def _announce(self, owner: Obj, ended: Iterable[Obj]) -> None:
        about = f"StatefulSet {namespace(owner)}/{name(owner)} is recreating"
        for pod in ended:
            if phase(pod) == "Failed":
                text = f"{about} failed Pod {name(pod)}"
                self._source.warning(owner, "RecreatingFailedPod", text)
            else:
                text = f"{about} terminated Pod {name(pod)}"
                self._source.normal(owner, "RecreatingTerminatedPod", text)

    async def _write_status(self, s: Stateful, plan: StatefulPlan) -> None:
        status = stateful_status(s, plan)
        if status != s.stateful_set.get("status"):
            await self._client.update_status(STATEFUL_SET, {**s.stateful_set, "status": status})

    async def _clean_history(self, s: Stateful, history: History) -> None:
        if is_deleting(s.stateful_set):
            return
        live = {labels(pod).get(HASH, "") for pod in s.pods}
        live |= {name(s.current), name(s.update)}
        await self._revisions.remove(plan_truncation(s.stateful_set, history, live))


def _gone(old: Obj | None, new: Obj | None) -> bool:
    return new is None


def _current(stateful_set: Obj, history: History) -> Obj | None:
    """The revision that was rolled out last."""
    wanted = (stateful_set.get("status") or {}).get("currentRevision")
    return next((r for r in history.all if name(r) == wanted), None)


def _next(s: Stateful) -> Result:
    """Pods become available by time alone: look again when the next one does."""
    if not s.min_ready:
        return DONE
    waits = (available_after(pod, s.min_ready, s.now) for pod in s.pods)
    seconds = [wait.total_seconds() for wait in waits if wait]
    return Result(requeue_after=min(seconds)) if seconds else DONE


def build(context: Context) -> StatefulSetController:
    return StatefulSetController(context)
