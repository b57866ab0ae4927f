"""PodDisruptionBudget: says how many of its pods may be evicted now.

Writes the budgets' status and nothing else; takes back what evictions noted and did not come to
pass. As pkg/controller/disruption; the numbers are in disruption_plan.py. What pods come to
expect of an eviction that never came is stale_disruption.py's.
"""

from collections.abc import Callable, Iterable, Sequence

from edgek.api.errors import ApiError, Conflict
from edgek.api.meta import Key, Obj, controller_of, get_path, key_of, labels, name, namespace, uid
from edgek.api.selectors import from_label_selector
from edgek.control.controller import DONE, Context, ForKind, Mapped, Reads, Result, Watch
from edgek.control.informer import Informer
from edgek.kinds import (
    DEPLOYMENT,
    POD,
    REPLICA_SET,
    REPLICATION_CONTROLLER,
    STATEFUL_SET,
)
from edgek.kinds import POD_DISRUPTION_BUDGET as BUDGET
from server.controllers.disruption_plan import (
    Disrupted,
    Expected,
    budget_status,
    disrupted_pods,
    expected_pods,
    failed_status,
    needs_scale,
    owners_of,
)
from server.controllers.pod_control import replicas_of
from server.controllers.scales import NoScale, Scales
from server.controllers.selector_text import go_selector

CACHED = (REPLICATION_CONTROLLER, REPLICA_SET, STATEFUL_SET, DEPLOYMENT)
"""Kinds whose scale is read from their caches, which others keep anyway."""


class NotReckoned(Exception):
    """It can not be said how many pods there should be."""


class DisruptionController:
    """Keeps the status of budgets."""

    name = "disruption-controller"
    kind = BUDGET

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._source = context.events.source("controllermanager")
        self._budgets = context.informers.get(BUDGET)
        self._pods = context.informers.get(POD)
        self._caches: dict[tuple[str, str], Informer] = {
            (kind.group, kind.kind): context.informers.get(kind) for kind in CACHED
        }
        self._scales = Scales(context.client)
        self.watches: Sequence[Watch] = (
            ForKind(BUDGET),
            Mapped(POD, self._budgets_of),
            *(Reads(kind) for kind in CACHED),
        )

    def _budgets_of(self, pod: Obj) -> Iterable[Key]:
        for budget in self._budgets.list(namespace(pod)):
            if _picks(budget)(pod):
                yield key_of(budget)

    async def reconcile(self, key: Key) -> Result:
        budget = self._budgets.get(key)
        if budget is None:
            return DONE
        pods = list(filter(_picks(budget), self._pods.list(key.namespace)))
        if not pods:
            self._source.normal(budget, "NoPods", "No matching pods found")
        self._warn_of_doubles(budget, pods)
        try:
            return await self._sync(budget, pods)
        except Conflict:
            raise
        except (ApiError, NotReckoned, ValueError) as err:
            await self._write(budget, failed_status(budget, str(err), self._clock.now()))
            if isinstance(err, ApiError):  # else nothing changes by asking again
                raise
            return DONE

    def _warn_of_doubles(self, budget: Obj, pods: Sequence[Obj]) -> None:
        """A pod of several budgets can not be evicted at all; the first of them says so."""
        known = self._budgets.list(namespace(budget))
        others = {name(b): _picks(b) for b in known if key_of(b) != key_of(budget)}
        for pod in pods if others else ():
            doubles = [other for other, picks in others.items() if picks(pod)]
            if doubles and name(budget) < min(doubles):
                text = (
                    f'Pod "{namespace(pod)}"/"{name(pod)}" matches multiple PodDisruptionBudgets.  '
                    f'Chose "{name(budget)}" arbitrarily.'
                )
                self._source.warning(pod, "MultiplePodDisruptionBudgets", text)

    async def _sync(self, budget: Obj, pods: Sequence[Obj]) -> Result:
        expected = await self._expected(budget, pods)
        if expected.unmanaged:
            self._source.warning(budget, "UnmanagedPods", unmanaged_text(budget))
        now = self._clock.now()
        disrupted = disrupted_pods(budget, pods, now)
        self._report(budget, disrupted)
        await self._write(budget, budget_status(budget, pods, expected, disrupted, now))
        # A moment more: at the very end of its time a pod is still expected to go.
        again = disrupted.again
        return DONE if again is None else Result(requeue_after=again.total_seconds() + 0.001)

    async def _expected(self, budget: Obj, pods: Sequence[Obj]) -> Expected:
        try:
            scales = await self._scales_of(pods) if needs_scale(budget) else {}
            return expected_pods(budget, pods, scales)
        except (ApiError, NotReckoned, ValueError) as err:
            text = f"Failed to calculate the number of expected pods: {err}"
            self._source.warning(budget, "CalculateExpectedPodCountFailed", text)
            raise

    def _report(self, budget: Obj, disrupted: Disrupted) -> None:
        where = f"{namespace(budget)}/{name(budget)}"
        for pod in disrupted.kept:
            text = f"Pod was expected by PDB {where} to be deleted but it wasn't"
            self._source.warning(pod, "NotDeleted", text)

    async def _write(self, budget: Obj, status: Obj) -> None:
        if status != budget.get("status"):
            await self._client.update_status(BUDGET, {**budget, "status": status})

    # How many pods the controllers of pods want

    async def _scales_of(self, pods: Sequence[Obj]) -> dict[str, int]:
        """By the controllers' uids. Raises NotReckoned, ApiError."""
        found: dict[str, int] = {}
        for ref, pod in owners_of(pods).values():
            scale = self._cached(ref, namespace(pod)) or await self._asked(ref, namespace(pod))
            if scale is None:
                raise NotReckoned(f'found no controllers for pod "{name(pod)}"')
            found[scale[0]] = scale[1]
        return found

    def _cached(self, ref: Obj, where: str) -> tuple[str, int] | None:
        """A ReplicaSet of a Deployment counts as that."""
        cache = self._caches.get(_group_kind(ref))
        owner = cache.get(Key(where, ref["name"])) if cache else None
        if owner is None or uid(owner) != ref["uid"]:
            return None
        above = controller_of(owner)
        if above is not None and _group_kind(above) == ("apps", "Deployment"):
            return self._cached(above, where)
        return uid(owner), replicas_of(owner)

    async def _asked(self, ref: Obj, where: str) -> tuple[str, int] | None:
        if _group_kind(ref) in self._caches:
            return None
        kind = await self._scales.kind_of(ref["apiVersion"], ref["kind"])
        if kind is None:
            text = f'no matches for kind "{ref["kind"]}" in version "{ref["apiVersion"]}"'
            raise NotReckoned(text)
        try:
            scale = await self._scales.get(kind, Key(where, ref["name"]))
        except NoScale as err:
            raise NotReckoned(str(err)) from err
        if uid(scale) != ref["uid"]:
            return None
        return uid(scale), int(get_path(scale, "spec", "replicas", default=0))


def _group_kind(ref: Obj) -> tuple[str, str]:
    return ref.get("apiVersion", "").rpartition("/")[0], ref.get("kind", "")


def _picks(budget: Obj) -> Callable[[Obj], bool]:
    """An empty selector means every pod, none at all means none."""
    selector = get_path(budget, "spec", "selector")
    if selector is None:
        return lambda pod: False
    parsed = from_label_selector(selector)
    return lambda pod: parsed.matches(labels(pod))


def unmanaged_text(budget: Obj) -> str:
    printed = go_selector(get_path(budget, "spec", "selector"))
    return (
        f"Pods selected by this PodDisruptionBudget (selector: {printed}) were found to be "
        "unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may "
        "result in undefined behavior. To account for these pods please set "
        '".spec.minAvailable" field of the PDB to an integer value.'
    )


def build(context: Context) -> DisruptionController:
    return DisruptionController(context)
