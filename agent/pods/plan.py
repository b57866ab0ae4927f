"""What to do for a pod next: pod + observed -> actions. Pure; ``sync`` applies them.

As kuberuntime_manager.go computePodActions, with sidecars (init containers that restart always).
It is called after every change and whenever ``wait_until`` has come, and asks for each thing
once: what is under way (a stop, a pull) shows in the state.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agent.pods.backoff import restart_at
from agent.pods.decisions import PodActions, Start, Stop
from agent.pods.restarts import asking_for_all, name_of, policy_of, restarts
from agent.pods.state import SPEC_HASH, Attempt, PodState, spec_hash
from edgek.api.meta import Obj, get_path, is_deleting
from edgek.api.time import parse_time
from edgek.kinds.pods import (
    containers,
    ephemeral_containers,
    init_containers,
    is_sidecar,
    is_terminal,
)  # fmt: skip

KEPT_ATTEMPTS = 2
"""The latest container and the one before it, for ``logs --previous``."""
MIN_GRACE = 1
POST_START = "PostStartHook"
"""What ``unhealthy`` says of a container whose postStart went wrong."""
DEFAULT_GRACE = 30


def plan_pod(pod: Obj, state: PodState, *, now: datetime) -> PodActions:
    if is_deleting(pod) or is_terminal(pod) or state.failure or past_deadline(pod, now=now):
        return plan_end(pod, state, now=now)
    if not state.sandbox:
        return _plan_sandbox(pod, state)
    if asking := asking_for_all(pod, state):
        return _plan_reset(pod, state, asking, now=now)
    actions = _plan_init(pod, state, now=now)
    if actions is None:
        actions = _plan_containers(pod, state, now=now)
    if not actions.ending:
        passing = _ephemeral(pod, state, now=now)
        actions = replace(
            actions,
            remove=(*passing.remove, *actions.remove),
            start=(*passing.start, *actions.start),
        )
    surplus = [a.id for found in state.attempts.values() for a in found[KEPT_ATTEMPTS:]]
    waits = [t for t in (actions.wait_until, deadline(pod)) if t is not None]
    return replace(
        actions,
        remove=(*actions.remove, *surplus),
        wait_until=min(waits, default=None),
    )


def plan_end(pod: Obj, state: PodState, *, now: datetime) -> PodActions:
    """Stops everything: the containers together, then sidecars from the last to the first, all
    within one grace. As kuberuntime_termination_order.go: hooks of sidecars do not wait."""
    grace = grace_seconds(pod, state.grace)
    spent = (now - state.ending).total_seconds() if state.ending is not None else 0
    left = max(MIN_GRACE, grace - int(spent))
    sidecars = [c["name"] for c in init_containers(pod) if is_sidecar(c)]
    beside = [a for n in sidecars for a in state.attempts.get(n, ())]
    hooks = tuple(
        s for s in _stops(beside, state, grace=left) if s.container_id not in state.pre_stopped
    )
    first = [a for n, found in state.attempts.items() if n not in sidecars for a in found]
    if any(a.running for a in first):
        return PodActions(ending=True, pre_stop=hooks, stop=_stops(first, state, grace=grace))
    for name in reversed(sidecars):
        running = [a for a in state.attempts.get(name, ()) if a.running]
        if running:
            stops = _stops(running, state, grace=left)
            return PodActions(ending=True, pre_stop=hooks, stop=stops)
    return PodActions(ending=True, finished=True)


def _stops(attempts: Iterable[Attempt], state: PodState, *, grace: int) -> tuple[Stop, ...]:
    return tuple(
        Stop(container_id=a.id, name=name_of(a), grace_seconds=grace)
        for a in attempts
        if a.running and a.id not in state.stopping
    )


def grace_seconds(pod: Obj, shorter: int | None = None) -> int:
    """As calculateEffectiveGracePeriod: the deletion's own, else the pod's; ``shorter`` where
    who ends the pod gives it less."""
    grace = pod["metadata"].get("deletionGracePeriodSeconds")
    if grace is None:
        grace = get_path(pod, "spec", "terminationGracePeriodSeconds", default=DEFAULT_GRACE)
    if shorter is not None:
        grace = min(int(grace), shorter)
    return max(int(grace), MIN_GRACE)


def deadline(pod: Obj) -> datetime | None:
    """When spec.activeDeadlineSeconds ends the pod."""
    seconds = get_path(pod, "spec", "activeDeadlineSeconds")
    began = get_path(pod, "status", "startTime")
    if seconds is None or not began:
        return None
    return parse_time(began) + timedelta(seconds=seconds)


def past_deadline(pod: Obj, *, now: datetime) -> bool:
    end = deadline(pod)
    return end is not None and now >= end


def _plan_sandbox(pod: Obj, state: PodState) -> PodActions:
    """A lost sandbox (a reboot, someone's hand) takes all containers with it.

    They are removed before the new sandbox is made: after that nobody could tell which init
    containers had run for the old one.
    """
    left = tuple(a.id for found in state.attempts.values() for a in found)
    mains = [state.latest(c["name"]) for c in containers(pod)]
    if all(a is not None and a.ended and not restarts(pod, state, a) for a in mains):
        return PodActions(finished=not state.running(), stop=_stops(_all(state), state, grace=0))
    return PodActions(remove=left, create_sandbox=True)


def _all(state: PodState) -> list[Attempt]:
    return [a for found in state.attempts.values() for a in found]


def next_number(pod: Obj, state: PodState, name: str) -> int:
    """0 for the first container; counts on from the status where the container is gone."""
    latest = state.latest(name)
    if latest is not None:
        return latest.number + 1 if latest.ended else latest.number
    if name in state.numbers:
        return state.numbers[name]
    statuses = [*get_path(pod, "status", "containerStatuses", default=[]),
                *get_path(pod, "status", "initContainerStatuses", default=[])]  # fmt: skip
    old = next((s for s in statuses if s.get("name") == name), None)
    if old is None or not (old.get("containerID") or old.get("lastState")):
        return 0
    return int(old.get("restartCount") or 0) + 1


@dataclass(frozen=True)
class _Step:
    """What one container needs: any of a stop, a start, a wait."""

    stop: Stop | None = None
    remove: str = ""
    start: Start | None = None
    wait_until: datetime | None = None


def _step(pod: Obj, state: PodState, container: Obj, *, now: datetime) -> _Step:
    """Brings one container to "running", whatever its restart policy says of its end."""
    name = container["name"]
    latest = state.latest(name)
    if latest is None:
        return _Step(start=Start(name=name, number=next_number(pod, state, name)))
    if latest.running:
        return _Step(stop=_unfit(pod, state, container, latest))
    if not latest.ended:  # made but never started: the agent died in between
        return _Step(remove=latest.id, start=Start(name=name, number=latest.number))
    due = restart_at(state.backoffs.get(name), ended_at=latest.ended_at, now=now)
    if due > now and not changed(container, latest):
        return _Step(wait_until=due)
    return _Step(start=Start(name=name, number=latest.number + 1, after=latest))


def _unfit(pod: Obj, state: PodState, container: Obj, latest: Attempt) -> Stop | None:
    """Why a running container has to go, if it has to."""
    if latest.id in state.stopping:
        return None
    name, restart = container["name"], policy_of(pod, container) != "Never"
    ending = ", will be restarted" if restart else ""
    grace = grace_seconds(pod)
    said = state.unhealthy.get(latest.id, "")
    if changed(container, latest):
        why, restart = f"Container {name} definition changed, will be restarted", True
    elif said == POST_START:
        why, restart = "FailedPostStartHook", False
    elif said:
        why = f"Container {name} failed {said}{ending}"
        probe = said.partition(" ")[0] + "Probe"
        grace = get_path(container, probe, "terminationGracePeriodSeconds", default=grace)
    elif latest.id in state.resize_restart:
        why, restart = f"Container {name} resize requires restart", True
    else:
        return None
    return Stop(container_id=latest.id, name=name, grace_seconds=grace, why=why, restart=restart)


def changed(container: Obj, latest: Attempt) -> bool:
    """Whether it was made of another image than the pod names now."""
    own = spec_hash(container)
    return latest.container.labels.get(SPEC_HASH, own) != own


def _ephemeral(pod: Obj, state: PodState, *, now: datetime) -> PodActions:
    """Each is started once, also before the pod is initialized; what the status tells of one
    that is gone counts."""
    told = get_path(pod, "status", "ephemeralContainerStatuses", default=[])
    gone = {s["name"] for s in told if s.get("containerID")}
    steps = []
    for container in ephemeral_containers(pod):
        latest = state.latest(container["name"])
        begun = container["name"] in gone if latest is None else latest.running or latest.ended
        if not begun:
            steps.append(_step(pod, state, container, now=now))
    return _join(steps)


def _plan_reset(pod: Obj, state: PodState, asking: list[str], *, now: datetime) -> PodActions:
    """Everything but the ephemeral containers goes, at once, and the pod begins anew. As
    getContainersToReset: those that asked for it go last, or nobody would know of it any more."""
    passing = {c["name"] for c in ephemeral_containers(pod)}
    names = sorted(state.attempts.keys() - passing, key=lambda n: n in asking)
    every = [a for n in names for a in state.attempts[n]]
    if any(a.running for a in every):
        stops = _stops(every, state, grace=MIN_GRACE)
        return PodActions(stop=tuple(replace(s, abrupt=True) for s in stops))
    due = now
    for name in asking:
        latest = state.attempts[name][0]
        due = max(due, restart_at(state.backoffs.get(name), ended_at=latest.ended_at, now=now))
    if due > now:
        return PodActions(wait_until=due)
    return PodActions(remove=tuple(a.id for a in every), reset=tuple(asking))


def _join(steps: Iterable[_Step]) -> PodActions:
    steps = list(steps)
    waits = [s.wait_until for s in steps if s.wait_until is not None]
    return PodActions(
        stop=tuple(s.stop for s in steps if s.stop),
        remove=tuple(s.remove for s in steps if s.remove),
        start=tuple(s.start for s in steps if s.start),
        wait_until=min(waits, default=None),
    )


def _plan_init(pod: Obj, state: PodState, *, now: datetime) -> PodActions | None:
    """The next init container, or None once all have done their part.

    When a container of the pod proper exists, the init containers are done for good (their own
    containers may have been removed since); sidecars are then looked after with the others.
    """
    if is_initialized(pod, state):
        return None
    steps: list[_Step] = []
    for container in init_containers(pod):
        latest = state.latest(container["name"])
        if not is_sidecar(container):
            if latest is not None and latest.ended and latest.exit_code == 0:
                continue
            if latest is not None and latest.ended and not restarts(pod, state, latest):
                return plan_end(pod, state, now=now)
            steps.append(_step(pod, state, container, now=now))
            break
        steps.append(_step(pod, state, container, now=now))
        if latest is None or not latest.running or not state.started.get(latest.id, True):
            break
    return _join(steps)


def is_initialized(pod: Obj, state: PodState) -> bool:
    """Whether the pod's own containers may run."""
    if any(state.latest(c["name"]) for c in containers(pod)):
        return True
    for container in init_containers(pod):
        latest = state.latest(container["name"])
        if latest is None:
            return False
        if is_sidecar(container):
            if not (latest.running and state.started.get(latest.id, True)):
                return False
        elif not (latest.ended and latest.exit_code == 0):
            return False
    return True


def _plan_containers(pod: Obj, state: PodState, *, now: datetime) -> PodActions:
    mains = containers(pod)
    alive = [c for c in mains if not _done(pod, state, c["name"])]
    if not alive:
        return plan_end(pod, state, now=now)
    sidecars = [c for c in init_containers(pod) if is_sidecar(c)]
    steps, held = [], False
    for container in (*sidecars, *alive):
        step = _step(pod, state, container, now=now)
        steps.append(replace(step, start=None, remove="") if held else step)
        latest = state.latest(container["name"])
        # As SyncPod, which starts the next one only when postStart has ended: sidecars of the
        # old kind hold the others back that way.
        held = held or (latest is not None and latest.id in state.hooking)
    return _join(steps)


def _done(pod: Obj, state: PodState, name: str) -> bool:
    latest = state.latest(name)
    return latest is not None and latest.ended and not restarts(pod, state, latest)
