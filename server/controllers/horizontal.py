"""HorizontalPodAutoscaler: as many pods as their load asks for.

Every 15 seconds, for each autoscaler there is: reads its target's /scale (of any kind), asks for
its metrics, and writes /scale where it should be another number; writes its own status. Without
autoscalers nothing runs. As pkg/controller/podautoscaler/horizontal.go; the arithmetic is in
horizontal_replicas.py, limits in horizontal_behavior.py, metrics in horizontal_metrics.py.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

from edgek.api.conditions import with_condition
from edgek.api.errors import ApiError, NotFound
from edgek.api.meta import Key, Obj, get_path, labels, namespace, uid
from edgek.api.quantity import parse_quantity
from edgek.api.selectors import Selector, parse_selector
from edgek.api.time import format_time
from edgek.control.controller import DONE, Context, ForKind, Reads, Result, Watch
from edgek.kinds import HORIZONTAL_POD_AUTOSCALER as AUTOSCALER
from edgek.kinds import POD
from edgek.kinds.kind import Kind
from server.controllers.horizontal_behavior import Past, Wish, limit_wish
from server.controllers.horizontal_metrics import Metrics
from server.controllers.horizontal_proposal import Proposal, Target, Unproposed, propose
from server.controllers.horizontal_replicas import Tolerance
from server.controllers.scales import NoScale, Scales

SYNC_PERIOD = 15.0


class GivenUp(Exception):
    """Nothing more can be done in this round; events and conditions say why."""


@dataclass
class Round:
    """One autoscaler in one round: what its status will say."""

    autoscaler: Obj
    key: Key
    now: str
    conditions: list[Obj] = field(default_factory=list)
    metrics: list[Obj] | None = None
    current: int = 0
    desired: int = 0
    rescaled: bool = False

    @property
    def spec(self) -> Obj:
        found: Obj = self.autoscaler["spec"]
        return found

    @property
    def least(self) -> int:
        return int(get_path(self.spec, "minReplicas", default=1))

    def say(self, kind: str, reason: str, message: str, *, status: bool = True) -> None:
        condition = {"type": kind, "status": str(status), "reason": reason, "message": message}
        self.conditions = with_condition(self.conditions, condition, now=self.now)

    def status(self) -> Obj:
        old = self.autoscaler.get("status") or {}
        found: Obj = {"desiredReplicas": self.desired, "conditions": self.conditions}
        if self.current:
            found["currentReplicas"] = self.current
        if self.metrics:
            found["currentMetrics"] = self.metrics
        last = self.now if self.rescaled else old.get("lastScaleTime")
        return found | ({"lastScaleTime": last} if last else {})


@dataclass
class Memory:
    """What is remembered of an autoscaler between rounds."""

    uid: str
    past: Past
    selector: Selector | None = None


class HorizontalController:
    """Follows the load of what autoscalers point at."""

    name = "horizontal-pod-autoscaler-controller"
    kind = AUTOSCALER

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._clock = context.clock
        self._source = context.events.source("horizontal-pod-autoscaler")
        self._autoscalers = context.informers.get(AUTOSCALER)
        self._pods = context.informers.get(POD)
        self._scales = Scales(context.client)
        self._metrics = Metrics(context.client)
        self._memory: dict[Key, Memory] = {}
        self.watches: Sequence[Watch] = (ForKind(AUTOSCALER, when=_changed), Reads(POD))

    async def reconcile(self, key: Key) -> Result:
        autoscaler = self._autoscalers.get(key)
        if autoscaler is None:
            self._memory.pop(key, None)
            return DONE
        old = autoscaler.get("status") or {}
        this = Round(
            autoscaler=autoscaler,
            key=key,
            now=format_time(self._clock.now()),
            conditions=list(old.get("conditions") or ()),
            metrics=old.get("currentMetrics"),
            current=old.get("currentReplicas") or 0,
            desired=old.get("desiredReplicas") or 0,
        )
        with suppress(GivenUp):
            await self._scale(this)
        try:
            if this.status() != old:
                written = {**autoscaler, "status": this.status()}
                await self._client.update_status(AUTOSCALER, written)
        except ApiError as err:
            self._source.warning(autoscaler, "FailedUpdateStatus", str(err))
        # Always: a failure is nothing to hurry for, and a load changes without a sign.
        return Result(requeue_after=SYNC_PERIOD)

    async def _scale(self, this: Round) -> None:
        kind, scale = await self._target(this)
        current = int(get_path(scale, "spec", "replicas", default=0))
        memory = self._memory.get(this.key)
        if memory is None or memory.uid != uid(this.autoscaler):
            past = Past().with_recommendation(self._clock.monotonic(), current)
            memory = self._memory[this.key] = Memory(uid(this.autoscaler), past)
        desired, why = await self._desired(this, memory, scale, current)
        if desired != current:
            await self._rescale(this, kind, scale, desired, why)
            now = self._clock.monotonic()
            if this.spec.get("behavior") is not None:
                memory.past = memory.past.with_change(now, current, desired)
            this.rescaled = True
        this.current, this.desired = current, desired

    async def _target(self, this: Round) -> tuple[Kind, Obj]:
        """The target's kind and its Scale."""
        ref = this.spec["scaleTargetRef"]
        api_version, wanted = ref.get("apiVersion") or "v1", ref["kind"]
        try:
            kind = await self._scales.kind_of(api_version, wanted)
            if kind is None:
                group = api_version.rpartition("/")[0]
                raise NoScale(f'no matches for kind "{wanted}" in group "{group}"')
            scale = await self._scales.get(kind, Key(namespace(this.autoscaler), ref["name"]))
        except (ApiError, NoScale) as err:
            missing = isinstance(err, NoScale) and "no matches" not in str(err)
            text = str(NotFound.path() if missing else err)
            self._source.warning(this.autoscaler, "FailedGetScale", text)
            message = f"the HPA controller was unable to get the target's current scale: {text}"
            this.say("AbleToScale", "FailedGetScale", message, status=False)
            raise GivenUp from err
        message = "the HPA controller was able to get the target's current scale"
        this.say("AbleToScale", "SucceededGetScale", message)
        return kind, scale

    async def _desired(
        self, this: Round, memory: Memory, scale: Obj, current: int
    ) -> tuple[int, str]:
        """How many there should be, and why."""
        most = int(this.spec["maxReplicas"])
        if current == 0 and this.least != 0:
            text = "scaling is disabled since the replica count of the target is zero"
            this.say("ScalingActive", "ScalingDisabled", text, status=False)
            this.metrics = None
            return 0, ""
        if current > most or current < this.least:
            this.metrics = None
            if current > most:
                return most, "Current number of replicas above Spec.MaxReplicas"
            return this.least, "Current number of replicas below Spec.MinReplicas"
        wanted, name = await self._by_metrics(this, memory, scale, current)
        why = f"{name} above target" if wanted > current else "All metrics below target"
        now = self._clock.monotonic()
        wish = Wish(
            current=current, desired=wanted, least=this.least, most=most, past=memory.past, now=now
        )
        verdict = limit_wish(wish, this.spec.get("behavior"))
        memory.past = memory.past.with_recommendation(now, wanted)
        this.say("AbleToScale", *verdict.able)
        this.say("ScalingLimited", *verdict.limit, status=verdict.limited)
        return verdict.replicas, why

    async def _rescale(self, this: Round, kind: Kind, scale: Obj, desired: int, why: str) -> None:
        changed = {**scale, "spec": {**(scale.get("spec") or {}), "replicas": desired}}
        try:
            await self._scales.set(kind, changed)
        except ApiError as err:
            text = f"New size: {desired}; reason: {why}; error: {err}"
            self._source.warning(this.autoscaler, "FailedRescale", text)
            message = f"the HPA controller was unable to update the target scale: {err}"
            this.say("AbleToScale", "FailedUpdateScale", message, status=False)
            this.current = int(get_path(scale, "spec", "replicas", default=0))
            raise GivenUp from err
        message = f"the HPA controller was able to update the target scale to {desired}"
        this.say("AbleToScale", "SucceededRescale", message)
        text = f"New size: {desired}; reason: {why}"
        self._source.normal(this.autoscaler, "SuccessfulRescale", text)

    # What the metrics say

    async def _by_metrics(
        self, this: Round, memory: Memory, scale: Obj, current: int
    ) -> tuple[int, str]:
        """The most that a metric proposes, and its name. Where some fail, more pods may still
        be asked for, but not fewer."""
        specs = this.spec.get("metrics") or ()
        found: list[Proposal] = []
        failed: list[Unproposed] = []
        statuses: list[Obj] = []
        target = self._checked_target(this, memory, scale, current)
        for spec in specs:
            try:
                proposal = await propose(self._metrics, target, spec)
                found.append(proposal)
                statuses.append(proposal.status)
            except Unproposed as err:
                self._source.warning(this.autoscaler, err.reason, err.why)
                failed.append(err)
                statuses.append({"type": ""})
        best = max(found, key=lambda p: p.replicas, default=None)
        if best is None or (failed and best.replicas < current):
            self._give_up(this, failed, len(specs), current)
        text = f"the HPA was able to successfully calculate a replica count from {best.name}"
        this.say("ScalingActive", "ValidMetricFound", text)
        this.metrics = statuses
        return best.replicas, best.name

    def _give_up(
        self, this: Round, failed: Sequence[Unproposed], count: int, current: int
    ) -> NoReturn:
        first = failed[0]
        text = f"the HPA was unable to compute the replica count: {first.why}"
        this.say("ScalingActive", first.reason, text, status=False)
        this.current = current
        invalid = f"invalid metrics ({len(failed)} invalid out of {count})"
        message = f"{invalid}, first error is: {first}"
        self._source.warning(this.autoscaler, "FailedComputeMetricsReplicas", message)
        raise GivenUp

    def _checked_target(self, this: Round, memory: Memory, scale: Obj, current: int) -> Target:
        """With the pods that the target's selector picks (As validateAndParseSelector)."""
        where, text = namespace(this.autoscaler), get_path(scale, "status", "selector", default="")
        if not text:
            required = "selector is required"
            self._reject(this, current, "SelectorRequired", required)
        try:
            selector = parse_selector(text)
        except (ApiError, ValueError) as err:
            why = f"couldn't convert selector into a corresponding internal selector object: {err}"
            self._reject(this, current, "InvalidSelector", why)
        memory.selector = selector
        pods = [pod for pod in self._pods.list(where) if selector.matches(labels(pod))]
        others = self._others(this.key, pods)
        if others:
            names = " ".join(f"{{{k.name} {k.namespace}}}" for k in sorted((this.key, *others)))
            why = f"pods by selector {text} are controlled by multiple HPAs: [{names}]"
            self._reject(this, current, "AmbiguousSelector", why)
        return Target(
            namespace=where,
            current=current,
            present=int(get_path(scale, "status", "replicas", default=0)),
            selector=text,
            pods=pods,
            tolerance=tolerance_of(this.spec),
            now=self._clock.now(),
        )

    def _reject(self, this: Round, current: int, reason: str, why: str) -> NoReturn:
        self._source.warning(this.autoscaler, reason, why)
        told, message = reason, why
        if reason == "SelectorRequired":
            told, message = "InvalidSelector", "the HPA target's scale is missing a selector"
        this.say("ScalingActive", told, message, status=False)
        this.current = current
        self._source.warning(this.autoscaler, "FailedComputeMetricsReplicas", why)
        raise GivenUp

    def _others(self, key: Key, pods: Sequence[Obj]) -> list[Key]:
        """Other autoscalers that some of the pods are followed by."""
        return [
            other
            for other, memory in self._memory.items()
            if other != key and other.namespace == key.namespace and memory.selector is not None
            if any(memory.selector.matches(labels(pod)) for pod in pods)
        ]


def tolerance_of(spec: Obj) -> Tolerance:
    """behavior.scaleUp.tolerance and behavior.scaleDown.tolerance, 10 % where they are not."""

    def of(direction: str) -> float:
        return float(
            parse_quantity(get_path(spec, "behavior", direction, "tolerance", default="0.1"))
        )

    return Tolerance(down=of("scaleDown"), up=of("scaleUp"))


def _changed(old: Obj | None, new: Obj | None) -> bool:
    """Not by a status: that would be an endless round."""
    return old is None or new is None or old.get("spec") != new.get("spec")


def build(context: Context) -> HorizontalController:
    return HorizontalController(context)
