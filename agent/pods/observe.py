"""What is known of a pod now, gathered from the runtime, the probes and memory for ``plan``."""

from collections.abc import Mapping
from dataclasses import replace

from agent.pods.container_status import EPHEMERAL, INIT, MAIN
from agent.pods.memory import Memory
from agent.pods.parts import Parts
from agent.pods.plan import grace_seconds
from agent.pods.state import Attempt, PodState, group_attempts
from agent.runtime.runtime import Container
from edgek.api.meta import Obj, get_path, uid
from edgek.api.time import format_time, parse_time
from edgek.kinds.pods import containers, init_containers


def as_told(pod: Obj, containers: list[Container]) -> list[Container]:
    """An end that the pod's status tells of is final: after a reboot Podman has forgotten how a
    container ended, and when."""
    told = {}
    for which in (MAIN, INIT, EPHEMERAL):
        for status in get_path(pod, "status", which, default=[]):
            if ended := get_path(status, "state", "terminated"):
                told[str(ended.get("containerID") or "").removeprefix("podman://")] = ended
    return [_ended_as(c, told.get(c.id)) for c in containers] if told else containers


def _ended_as(container: Container, ended: Obj | None) -> Container:
    at = container.finished_at
    if ended is None or container.state != "exited" or not ended.get("finishedAt"):
        return container
    if at is not None and format_time(at) == ended["finishedAt"]:
        return container
    return replace(
        container,
        exit_code=int(ended.get("exitCode") or 0),
        oom_killed=ended.get("reason") == "OOMKilled",
        started_at=parse_time(ended["startedAt"]) if ended.get("startedAt") else None,
        finished_at=parse_time(ended["finishedAt"]),
    )


def told_of(pod: Obj, container_id: str) -> Obj:
    """What the pod's status tells of a container."""
    own = f"podman://{container_id}"
    for which in (MAIN, INIT):
        for status in get_path(pod, "status", which, default=[]):
            if status.get("containerID") == own:
                found: Obj = status
                return found
    return {}


def _not_probed_yet(pod: Obj, attempts: Mapping[str, tuple[Attempt, ...]]) -> dict[str, bool]:
    """Container id -> whether it had started when the agent before this one saw it last, of those
    with a startup probe: until that probe has begun here nothing else is known of them."""
    return {
        attempt.id: bool(told_of(pod, attempt.id).get("started"))
        for container in (*init_containers(pod), *containers(pod))
        if container.get("startupProbe")
        for attempt in attempts.get(container["name"], ())
        if attempt.running
    }


def observe(parts: Parts, pod: Obj, memory: Memory) -> PodState:
    p = parts
    grace = grace_seconds(pod, memory.grace)
    attempts = group_attempts(
        as_told(pod, p.containers.of(uid(pod))), memory.start_errors, memory.messages
    )
    return PodState(
        attempts=attempts,
        sandbox=memory.sandbox is not None,
        pod_ip=memory.sandbox.ip if memory.sandbox else memory.address,
        # A stop with a longer grace than the pod has now (a second delete) is asked again.
        stopping=frozenset(i for i, given in memory.stopping.items() if given <= grace),
        ready=p.probes.ready,
        started=_not_probed_yet(pod, attempts)
        | {**p.probes.started, **dict.fromkeys(memory.hooking, False)},
        unhealthy={**p.probes.unhealthy, **memory.hook_failed},
        backoffs=memory.backoffs,
        waiting=memory.waiting,
        failure=memory.failure,
        grace=memory.grace,
        ending=memory.ending[0] if memory.ending else None,
        must_restart=frozenset(memory.must_restart),
        resize_restart=frozenset(memory.resize_restart),
        hooking=frozenset(memory.hooking),
        pre_stopped=frozenset(memory.pre_stops),
        numbers=memory.numbers,
        recursive_read_only=p.host.security.recursive_read_only,
        resize=tuple(memory.resize.values()),
        actual=memory.actual,
        actual_pod=memory.actual_pod,
    )
