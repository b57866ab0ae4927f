"""What to do for a pod next: pod + observed -> actions. Pure; ``sync`` applies them.

As kuberuntime_manager.go computePodActions, with sidecars (init containers that restart always).
It is called after every change and whenever ``wait_until`` has come, and asks for each thing
once: what is under way (a stop, a pull) shows in the state.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from agent.pods.backoff import restart_at
from agent.pods.state import SPEC_HASH, Attempt, PodState, spec_hash
from edgek.api.meta import Obj, get_path, is_deleting
from edgek.api.time import parse_time
from edgek.kinds.pods import containers, init_containers, is_sidecar, is_terminal

KEPT_ATTEMPTS = 2
"""The latest container and the one before it, for ``logs --previous``."""
MIN_GRACE = 1
DEFAULT_GRACE = 30


@dataclass(frozen=True, kw_only=True)
class Start:
    """Make and start attempt ``number`` of a container; ``after`` is the one it replaces."""

    name: str
    number: int
    after: Attempt | None = None


@dataclass(frozen=True, kw_only=True)
class Stop:
    """``why`` ends the Killing event's sentence "Stopping container x"."""

    container_id: str
    name: str
    grace_seconds: int
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class PodActions:
    """In the order they are applied. ``finished``: nothing runs and nothing will run again."""

    stop: tuple[Stop, ...] = ()
    remove: tuple[str, ...] = ()
    create_sandbox: bool = False
    start: tuple[Start, ...] = ()
    wait_until: datetime | None = None
    finished: bool = False


def plan_pod(pod: Obj, state: PodState, *, now: datetime) -> PodActions:
    if is_deleting(pod) or is_terminal(pod) or state.failure or past_deadline(pod, now=now):
        return plan_end(pod, state, now=now)
    if not state.sandbox:
        return _plan_sandbox(pod, state)
    actions = _plan_init(pod, state, now=now)
    if actions is None:
        actions = _plan_containers(pod, state, now=now)
    surplus = [a.id for found in state.attempts.values() for a in found[KEPT_ATTEMPTS:]]
    waits = [t for t in (actions.wait_until, deadline(pod)) if t is not None]
    return replace(
        actions,
        remove=(*actions.remove, *surplus),
        wait_until=min(waits, default=None),
    )


def plan_end(pod: Obj, state: PodState, *, now: datetime) -> PodActions:
    """Stops everything: the containers together, then sidecars from the last to the first."""
    grace = grace_seconds(pod, state.grace)
    if is_deleting(pod):
        left = (parse_time(pod["metadata"]["deletionTimestamp"]) - now).total_seconds()
        sidecar_grace = max(MIN_GRACE, min(grace, int(left)))
    else:
        sidecar_grace = grace
    sidecars = [c["name"] for c in init_containers(pod) if is_sidecar(c)]
    first = [a for n, found in state.attempts.items() if n not in sidecars for a in found]
    if any(a.running for a in first):
        return PodActions(stop=_stops(first, state, grace=grace))
    for name in reversed(sidecars):
        running = [a for a in state.attempts.get(name, ()) if a.running]
        if running:
            return PodActions(stop=_stops(running, state, grace=sidecar_grace))
    stray = state.running()
    return PodActions(stop=_stops(stray, state, grace=grace), finished=not stray)


def _stops(attempts: Iterable[Attempt], state: PodState, *, grace: int) -> tuple[Stop, ...]:
    return tuple(
        Stop(container_id=a.id, name=_name(a), grace_seconds=grace)
        for a in attempts
        if a.running and a.id not in state.stopping
    )


def _name(attempt: Attempt) -> str:
    return attempt.container.labels.get("io.edgek.container-name", "")


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
    if all(a is not None and a.ended and not restarts(pod, a) for a in mains):
        return PodActions(finished=not state.running(), stop=_stops(_all(state), state, grace=0))
    return PodActions(remove=left, create_sandbox=True)


def _all(state: PodState) -> list[Attempt]:
    return [a for found in state.attempts.values() for a in found]


def restarts(pod: Obj, attempt: Attempt) -> bool:
    """Whether the pod wants another attempt after this one ended."""
    policy = restart_policy(pod, _name(attempt))
    return policy == "Always" or (policy == "OnFailure" and attempt.exit_code != 0)


def restart_policy(pod: Obj, name: str) -> str:
    policy = str(get_path(pod, "spec", "restartPolicy", default="Always"))
    for container in init_containers(pod):
        if container["name"] == name:
            if is_sidecar(container):
                return "Always"
            return "Never" if policy == "Never" else "OnFailure"
    return policy


def next_number(pod: Obj, state: PodState, name: str) -> int:
    """0 for the first container; counts on from the status where the container is gone."""
    latest = state.latest(name)
    if latest is not None:
        return latest.number + 1 if latest.ended else latest.number
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
    if due > now:
        return _Step(wait_until=due)
    return _Step(start=Start(name=name, number=latest.number + 1, after=latest))


def _unfit(pod: Obj, state: PodState, container: Obj, latest: Attempt) -> Stop | None:
    """Why a running container has to go, if it has to."""
    if latest.id in state.stopping:
        return None
    name = container["name"]
    why = ""
    if latest.container.labels.get(SPEC_HASH, spec_hash(container)) != spec_hash(container):
        why = f"Container {name} definition changed, will be restarted"
    elif said := state.unhealthy.get(latest.id):
        why = f"Container {name} failed {said}, will be restarted"
    if not why:
        return None
    grace = grace_seconds(pod)
    for probe in ("livenessProbe", "startupProbe"):
        grace = get_path(container, probe, "terminationGracePeriodSeconds", default=grace)
    return Stop(container_id=latest.id, name=name, grace_seconds=grace, why=why)


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
            if latest is not None and latest.ended and not restarts(pod, latest):
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
    return _join(_step(pod, state, c, now=now) for c in (*sidecars, *alive))


def _done(pod: Obj, state: PodState, name: str) -> bool:
    latest = state.latest(name)
    return latest is not None and latest.ended and not restarts(pod, latest)
