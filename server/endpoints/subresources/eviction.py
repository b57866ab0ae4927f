"""POST pods/NAME/eviction: delete a pod, if its disruption budget allows that.

As registry/core/pod/storage/eviction.go. ``plan_eviction`` says what a budget makes of it; the
rest carries that out. Taking from the budget is one conditional write, so two evictions never
spend the same disruption. Nothing here waits for a budget to recover: the client tries again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgek.api import errors
from edgek.api.conditions import with_condition
from edgek.api.meta import Key, Obj, get_path, key_of
from edgek.api.selectors import from_label_selector
from edgek.api.time import format_time
from edgek.kinds import POD, POD_DISRUPTION_BUDGET
from edgek.kinds.kind import Kind
from edgek.kinds.pods import is_ready, is_terminal, phase
from server.endpoints.body import read_typed
from server.endpoints.env import Env
from server.endpoints.query import write_context
from server.endpoints.route import Target
from server.registry.registry import How, WriteContext, attributes_of, copy_of
from server.request.model import Request, Response, User
from server.request.principals import MASTERS

MAX_DISRUPTED_PODS = 2000
TRIES = 20
RETRY_SECONDS = 10
CAUSE = "DisruptionBudget"
VIOLATED = "Cannot evict pod as it would violate the pod's disruption budget."
SEVERAL = (
    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not "
    "support."
)
SERVER = User(name="system:apiserver", groups=(MASTERS,))


@dataclass(frozen=True, kw_only=True)
class EvictionPlan:
    """``budget``: whom to take a disruption from. ``unchanged``: the pod must be as it was seen,
    because its state is what allows the deletion. ``named``: the budget that matches it."""

    budget: Key | None = None
    unchanged: bool = False
    named: str = ""


def plan_eviction(pod: Obj, budgets: list[Obj]) -> EvictionPlan:
    """``budgets`` are those of the pod's namespace. Raises InternalError."""
    if may_ignore_budgets(pod):
        over = is_terminal(pod) or bool(pod["metadata"].get("deletionTimestamp"))
        return EvictionPlan(unchanged=not over)
    labels = pod["metadata"].get("labels") or {}
    matching = [b for b in budgets if _selects(b, labels)]
    if len(matching) > 1:
        raise errors.InternalError(SEVERAL)
    if not matching:
        return EvictionPlan()
    budget = matching[0]
    name = budget["metadata"]["name"]
    if not is_ready(pod) and _lets_unhealthy_go(budget):
        return EvictionPlan(unchanged=True, named=name)
    return EvictionPlan(budget=key_of(budget), named=name)


def may_ignore_budgets(pod: Obj) -> bool:
    """What serves nobody, not yet or no more, disrupts nobody."""
    return (
        is_terminal(pod)
        or phase(pod) == "Pending"
        or bool(pod["metadata"].get("deletionTimestamp"))
    )


def _selects(budget: Obj, labels: Mapping[str, str]) -> bool:
    """An empty selector means every pod, none at all means none."""
    selector = get_path(budget, "spec", "selector")
    return selector is not None and from_label_selector(selector).matches(labels)


def _lets_unhealthy_go(budget: Obj) -> bool:
    if get_path(budget, "spec", "unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status: Obj = budget.get("status") or {}
    return bool(0 < status.get("desiredHealthy", 0) <= status.get("currentHealthy", 0))


def decremented(budget: Obj, *, pod_name: str, now: str) -> Obj:
    """The budget with one disruption less. Raises TooManyRequests, Forbidden."""
    meta, status = budget["metadata"], budget.get("status") or {}
    if status.get("observedGeneration", 0) < meta.get("generation", 0):
        raise not_yet_known(meta["name"])
    allowed = status.get("disruptionsAllowed", 0)
    disrupted = status.get("disruptedPods") or {}
    if allowed < 0:
        raise _forbidden(meta["name"], "pdb disruptions allowed is negative")
    if len(disrupted) > MAX_DISRUPTED_PODS:
        text = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise _forbidden(meta["name"], text)
    if allowed == 0:
        wanted, healthy = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
        raise _too_many(
            f"The disruption budget {meta['name']} needs {wanted} healthy pods and has {healthy} "
            "currently"
        )
    new = copy_of(budget)
    new["status"]["disruptionsAllowed"] = allowed - 1
    new["status"]["disruptedPods"] = {**disrupted, pod_name: now}
    if allowed == 1:
        new["status"]["conditions"] = _exhausted(status, now=now)
    return new


def _exhausted(status: Obj, *, now: str) -> list[Obj]:
    condition = {
        "type": "DisruptionAllowed",
        "status": "False",
        "reason": "InsufficientPods",
        "message": "",
        "observedGeneration": status.get("observedGeneration", 0),
    }
    return with_condition(status.get("conditions"), condition, now=now)


def _too_many(cause: str, *, seconds: int = 0) -> errors.TooManyRequests:
    details: dict[str, Any] = {"causes": [{"reason": CAUSE, "message": cause}]}
    if seconds:
        details["retryAfterSeconds"] = seconds
    return errors.TooManyRequests(VIOLATED, details=details)


def not_yet_known(name: str) -> errors.TooManyRequests:
    """The budget's status is not of its newest spec, or the pod changed meanwhile."""
    cause = f"The disruption budget {name} is still being processed by the server."
    return _too_many(cause, seconds=RETRY_SECONDS)


def _forbidden(name: str, why: str) -> errors.Forbidden:
    details = {"name": name, "group": "policy", "kind": "poddisruptionbudget"}
    text = f'poddisruptionbudget.policy "{name}" is forbidden: {why}'
    return errors.Forbidden(text, details=details)


def marked(pod: Obj, options: Mapping[str, Any], *, now: str) -> Obj:
    """The pod with the condition that says why it goes. Raises Conflict."""
    wanted, meta = options.get("preconditions") or {}, pod["metadata"]
    for field, word, hint in (
        ("uid", "UID", "deleted and then recreated"),
        ("resourceVersion", "ResourceVersion", "modified"),
    ):
        if wanted.get(field) and wanted[field] != meta[field]:
            raise errors.Conflict(
                f'Operation cannot be fulfilled on Pod "{meta["name"]}": the {word} in the '
                f"precondition ({wanted[field]}) does not match the {word} in record "
                f"({meta[field]}). The object might have been {hint}",
                details={"name": meta["name"], "kind": "Pod"},
            )
    new = copy_of(pod)
    condition: Obj = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
        "lastProbeTime": None,
    }
    status = new.setdefault("status", {})
    if status.get("observedGeneration"):
        condition["observedGeneration"] = meta.get("generation", 0)
    status["conditions"] = with_condition(status.get("conditions"), condition, now=now)
    return new


def _untouched(kind: Kind, obj: Obj, old: Obj) -> None:
    """The transform has said all that changes."""


_WRITE = How(subresource="status", prepare=_untouched, validate=False)


async def evict(env: Env, request: Request, target: Target) -> Response:
    eviction = await read_typed(request, "policy/v1", "Eviction")
    _check_identity(eviction, target)
    context = write_context(request)
    options = _delete_options(eviction, context)
    context = WriteContext(
        user=context.user, dry_run=bool(options.get("dryRun")), options=context.options,
        warnings=context.warnings,
    )  # fmt: skip
    attributes = attributes_of("CREATE", POD, target.key, context, obj=eviction)
    attributes.subresource = "eviction"
    await env.registry.chain.admit(attributes)
    await env.registry.chain.validate(attributes)
    await _Eviction(env=env, key=target.key, options=options, context=context).run()
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
            pod = (await self.env.registry.get(POD, self.key)).decoded()
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
        plan = plan_eviction(pod, [entry.decoded() for entry in entries])
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
        await registry.delete(POD, self.key, options, self.context)


def with_version(options: Obj, version: str) -> Obj:
    """Delete options that hold for this state of the object only."""
    wanted = {**(options.get("preconditions") or {}), "resourceVersion": version}
    return {**options, "preconditions": wanted}
