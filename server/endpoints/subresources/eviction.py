"""POST pods/NAME/eviction: delete a pod, if its disruption budget allows that.

As registry/core/pod/storage/eviction.go; what a budget makes of it is in eviction_plan.py. Taking
from the budget is one conditional write, so two evictions never spend the same disruption. Nothing
here waits for a budget to recover: the client tries again.
"""

from dataclasses import dataclass, replace

from edgek.api import errors
from edgek.api.meta import Key, Obj, get_path
from edgek.api.time import format_time
from edgek.kinds import POD, POD_DISRUPTION_BUDGET
from edgek.kinds.kind import Kind
from server.endpoints.body import read_typed
from server.endpoints.env import Env
from server.endpoints.query import write_context
from server.endpoints.route import Target
from server.endpoints.subresources.eviction_plan import (
    RETRY_SECONDS,
    decremented,
    marked,
    may_ignore_budgets,
    not_yet_known,
    plan_eviction,
    with_version,
)
from server.registry.registry import How, WriteContext, attributes_of
from server.request.model import Request, Response, User
from server.request.principals import MASTERS

TRIES = 20
OLDER = ("policy/v1beta1",)
"""As upstream still takes it: old kubectls drain with it."""
SERVER = User(name="system:apiserver", groups=(MASTERS,))


def _untouched(kind: Kind, obj: Obj, old: Obj) -> None:
    """The transform has said all that changes."""


_WRITE = How(
    subresource="status", prepare=_untouched, validate=False, tracked=False, admitted=False
)
"""The eviction has been admitted; what follows from it is not asked again, as upstream."""


async def evict(env: Env, request: Request, target: Target) -> Response:
    eviction = await read_typed(request, "policy/v1", "Eviction", also=OLDER)
    _check_identity(eviction, target)
    context = write_context(request)
    attributes = attributes_of("CREATE", POD, target.key, context, obj=eviction)
    attributes.subresource = "eviction"
    done = False
    try:
        await env.registry.chain.run(attributes)
        options = _delete_options(attributes.obj, context)
        deletion = replace(context, dry_run=bool(options.get("dryRun")))
        await _Eviction(env=env, key=target.key, options=options, context=deletion).run()
        done = True
    finally:
        await attributes.end(committed=done)
    return Response(
        status=201,
        obj={"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
             "code": 201},
    )  # fmt: skip


def _check_identity(eviction: Obj, target: Target) -> None:
    meta = eviction.get("metadata") or {}
    if (meta.get("name") or "") != target.key.name:
        raise errors.BadRequest("name in URL does not match name in Eviction object")
    if (meta.get("namespace") or target.key.namespace) != target.key.namespace:
        raise errors.BadRequest(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def _delete_options(eviction: Obj, context: WriteContext) -> Obj:
    """The eviction's own, with the request's dry run."""
    options: Obj = dict(eviction.get("deleteOptions") or {})
    for given in options.get("dryRun") or ():
        if given != "All":
            raise errors.Invalid(f'dryRun: Unsupported value: "{given}": supported values: "All"')
    if context.dry_run:
        options["dryRun"] = ["All"]
    return options


@dataclass(frozen=True, kw_only=True)
class _Eviction:
    """One eviction on its way."""

    env: Env
    key: Key
    options: Obj
    context: WriteContext

    async def run(self) -> None:
        """A pod without a budget that changes under our hands is looked at again, unless the
        client has said which state of it is meant."""
        for last in (False,) * (TRIES - 1) + (True,):
            pod = (await self.env.registry.get(POD, self.key)).shared()
            try:
                return await self._carry_out(pod)
            except errors.Conflict:
                if last or self._version or not may_ignore_budgets(pod):
                    raise

    @property
    def _version(self) -> str:
        return str(get_path(self.options, "preconditions", "resourceVersion", default=""))

    async def _carry_out(self, pod: Obj) -> None:
        entries = self.env.registry.entries(POD_DISRUPTION_BUDGET, self.key.namespace)
        plan = plan_eviction(pod, [entry.shared() for entry in entries])
        if plan.budget is not None:
            await self._take(plan.budget)
        guarded = plan.unchanged and not self._version
        version = pod["metadata"]["resourceVersion"]
        options = with_version(self.options, version) if guarded else self.options
        try:
            await self._delete(options)
        except errors.Conflict as err:
            if guarded and plan.named:
                raise not_yet_known(plan.named) from err
            raise

    async def _take(self, budget: Key) -> None:
        now = format_time(self.env.clock.now())

        def taken(stored: Obj) -> Obj:
            return decremented(stored, pod_name=self.key.name, now=now)

        context = WriteContext(user=SERVER, dry_run=self.context.dry_run)
        try:
            await self.env.registry.update(
                POD_DISRUPTION_BUDGET, budget, taken, context, how=_WRITE
            )
        except errors.Conflict as err:
            text = f'couldn\'t update PodDisruptionBudget "{budget.name}" due to conflicts'
            raise errors.Timeout(text, details={"retryAfterSeconds": RETRY_SECONDS}) from err

    async def _delete(self, options: Obj) -> None:
        registry = self.env.registry
        if not self.context.dry_run:
            now = format_time(self.env.clock.now())

            def mark(stored: Obj) -> Obj:
                return marked(stored, options, now=now)

            context = WriteContext(user=SERVER)
            written = await registry.update(POD, self.key, mark, context, how=_WRITE)
            if get_path(options, "preconditions", "resourceVersion"):
                options = with_version(options, str(written.revision))
        await registry.delete(POD, self.key, options, self.context, admitted=False)
