"""Probes: when each is due, and what its results amount to; ``sync`` reads the outcome.

As pkg/kubelet/prober/worker.go: readiness starts out false, liveness true; liveness and readiness
wait for startup; a liveness or startup probe that has failed for good is not run again. A
container found running when the agent starts keeps the readiness its pod had, and its first
probes are spread out. Between two attempts a probe is a timer, not a task. What an attempt is
stands in ``probe_attempt.py``, how many run at once in ``probe_slots.py``.
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from agent.pods.probe_attempt import Attempted, Result, Target, attempt
from agent.pods.probe_counts import ProbeCounts
from agent.pods.probe_slots import Slots
from agent.runtime.runtime import Runtime
from edgek.aio.tasks import Tasks
from edgek.api.meta import Obj, is_deleting, name, namespace, uid

KINDS = {"startup": "startupProbe", "readiness": "readinessProbe", "liveness": "livenessProbe"}
COMMANDS_AT_ONCE, SLOW_COMMANDS = 4, 12
"""A command is two processes, and several times the work of anything over the network."""
REQUESTS_AT_ONCE, SLOW_REQUESTS = 16, 240


@dataclass(frozen=True, kw_only=True)
class Timing:
    initial_delay: float
    period: float
    timeout: float
    successes: int
    failures: int


def timing(probe: Obj) -> Timing:
    return Timing(
        initial_delay=probe.get("initialDelaySeconds") or 0,
        period=probe.get("periodSeconds") or 10,
        timeout=probe.get("timeoutSeconds") or 1,
        successes=probe.get("successThreshold") or 1,
        failures=probe.get("failureThreshold") or 3,
    )


@dataclass(kw_only=True)
class _Probe:
    """One probe of one container. ``row``: how often in a row the result was ``last``."""

    kind: str
    spec: Obj
    when: Timing
    counts: ProbeCounts
    due: float = 0.0
    row: int = 0
    last: bool | None = None
    timer: asyncio.TimerHandle | None = None
    task: "asyncio.Task[None] | None" = None

    def end(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if self.task is not None:
            self.task.cancel()
        self.timer = self.task = None


@dataclass(kw_only=True)
class _Probed:
    """A container. ``since``: loop time of its start; ``late``: the spread of first probes."""

    target: Target
    since: float
    probes: dict[str, _Probe] = field(default_factory=dict)


Told = Callable[[Obj, Obj, str, str], None]
"""(pod, container, reason, message): a warning event."""


class Probes:
    """``ready``, ``started`` and ``unhealthy`` are by container id, as PodState has them."""

    def __init__(
        self, runtime: Runtime, tasks: Tasks, *, changed: Callable[[str], None], tell: Told
    ) -> None:
        self._runtime = runtime
        self._tasks = tasks
        self._changed = changed
        self._tell = tell
        self._probed: dict[str, _Probed] = {}
        self._commands = Slots(COMMANDS_AT_ONCE, slow=SLOW_COMMANDS)
        self._requests = Slots(REQUESTS_AT_ONCE, slow=SLOW_REQUESTS)
        self.ready: dict[str, bool] = {}
        self.started: dict[str, bool] = {}
        self.unhealthy: dict[str, str] = {}

    def watch(self, target: Target) -> None:
        """Probes the container from now on. Called again: takes the pod as it is now."""
        known = self._probed.get(target.container_id)
        if known is not None:
            known.target = target
        elif any(target.container.get(key) for key in KINDS.values()):
            self._begin(target)

    def forget(self, container_id: str) -> None:
        probed = self._probed.pop(container_id, None)
        for probe in probed.probes.values() if probed else ():
            probe.end()
        for results in (self.ready, self.started, self.unhealthy):
            results.pop(container_id, None)

    def watched(self, pod_uid: str) -> list[str]:
        return [i for i, p in self._probed.items() if uid(p.target.pod) == pod_uid]

    def totals(self) -> Iterator[ProbeCounts]:
        """For /metrics/probes: one entry per probe of a running container."""
        for probed in self._probed.values():
            for probe in probed.probes.values():
                yield probe.counts

    # -- when ------------------------------------------------------------------------------

    def _begin(self, target: Target) -> None:
        now = asyncio.get_running_loop().time()
        probed = self._probed[target.container_id] = _Probed(target=target, since=now - target.age)
        for kind, key in KINDS.items():
            if spec := target.container.get(key):
                counts = _counts(kind, target)
                probe = _Probe(kind=kind, spec=spec, when=timing(spec), counts=counts)
                probed.probes[kind] = probe
        if "readiness" in probed.probes:
            self.ready[target.container_id] = target.adopted and target.was_ready
        if "startup" in probed.probes and not (target.adopted and target.was_started):
            self.started[target.container_id] = False
            self._arm_first(probed, "startup")
        else:
            self._arm_first(probed, "readiness", "liveness")

    def _arm_first(self, probed: _Probed, *kinds: str) -> None:
        now = asyncio.get_running_loop().time()
        for probe in (probed.probes[k] for k in kinds if k in probed.probes):
            probe.due = max(now, probed.since + probe.when.initial_delay)
            if probed.target.adopted:
                probe.due += random.random() * probe.when.period
            self._arm(probed, probe)

    def _arm(self, probed: _Probed, probe: _Probe) -> None:
        loop = asyncio.get_running_loop()
        probe.timer = loop.call_at(probe.due, self._due, probed, probe)

    def _due(self, probed: _Probed, probe: _Probe) -> None:
        probe.timer = None
        if self._tasks.closed:
            return
        if is_deleting(probed.target.pod) and probe.kind != "readiness":
            return  # as upstream: a pod that is ending is neither killed nor complained of
        label = f"probe/{probe.kind}/{probed.target.container['name']}"
        probe.task = self._tasks.spawn(self._run(probed, probe), name=label)

    async def _run(self, probed: _Probed, probe: _Probe) -> None:
        slots = self._commands if probe.spec.get("exec") else self._requests
        got = await slots.run(lambda: self._attempt(probed, probe))
        probe.task = None
        if self._take(probed, probe, got):
            # Like Go's ticker: a probe that took longer than its period is due at once.
            now = asyncio.get_running_loop().time()
            probe.due = max(probe.due + probe.when.period, now)
            self._arm(probed, probe)

    async def _attempt(self, probed: _Probed, probe: _Probe) -> Attempted:
        loop = asyncio.get_running_loop()
        began = loop.time()
        seconds = probe.when.timeout
        got = await attempt(self._runtime, probe.spec, probed.target, seconds=seconds)
        probe.counts.add(got.result, loop.time() - began)
        return got

    # -- what it means ---------------------------------------------------------------------

    def _take(self, probed: _Probed, probe: _Probe, got: Attempted) -> bool:
        """Whether the probe goes on."""
        self._say(probed.target, probe.kind.capitalize(), got)
        if got.result is Result.ERROR:
            return True
        good = got.result is not Result.FAILURE
        probe.row = probe.row + 1 if good == probe.last else 1
        probe.last = good
        if probe.row < (probe.when.successes if good else probe.when.failures):
            return True
        self._settle(probed, probe.kind, good=good)
        return probe.kind == "readiness" or (probe.kind == "liveness" and good)

    def _say(self, target: Target, kind: str, got: Attempted) -> None:
        said = {
            Result.FAILURE: ("Unhealthy", f"{kind} probe failed: {got.said}"),
            Result.WARNING: ("ProbeWarning", f"{kind} probe warning: {got.said}"),
            Result.ERROR: (
                "Unhealthy",
                f"{kind} probe errored and resulted in {got.result.value} state: {got.said}",
            ),
        }.get(got.result)
        if said is not None:
            self._tell(target.pod, target.container, *said)

    def _settle(self, probed: _Probed, kind: str, *, good: bool) -> None:
        """Takes a result that has lasted long enough; tells sync only of a change."""
        container_id = probed.target.container_id
        if kind == "readiness":
            changed = self.ready.get(container_id) != good
            self.ready[container_id] = good
        elif good:
            changed = kind == "startup"
            if changed:
                self.started[container_id] = True
                self._arm_first(probed, "readiness", "liveness")
        else:
            changed = container_id not in self.unhealthy
            self.unhealthy[container_id] = f"{kind} probe"
        if changed:
            self._changed(uid(probed.target.pod))


def _counts(kind: str, target: Target) -> ProbeCounts:
    return ProbeCounts(
        probe_type=kind.capitalize(),
        container=target.container["name"],
        pod=name(target.pod),
        namespace=namespace(target.pod),
        pod_uid=uid(target.pod),
    )
