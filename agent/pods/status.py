"""PodStatus from pod + observed. Pure; ``sync`` writes it, only when it differs.

As kubelet_pods.go generateAPIPodStatus and pkg/kubelet/status. What others write into a status
(PodScheduled, readiness gates, nominatedNodeName) is kept.
"""

from datetime import datetime

from agent.pods.backoff import restart_at
from agent.pods.plan import is_initialized, past_deadline, restarts
from agent.pods.state import Attempt, PodState
from edgek.api.conditions import find_condition, with_condition
from edgek.api.meta import Obj, generation, get_path, is_deleting, name, namespace, uid
from edgek.api.time import format_time
from edgek.kinds.pods import (
    TERMINAL_PHASES,
    containers,
    init_containers,
    is_sidecar,
    is_terminal,
    qos_class,
)

OWN_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")
DISRUPTION = "TerminationByKubelet"
UNKNOWN = {
    "exitCode": 137,
    "reason": "ContainerStatusUnknown",
    "message": "The container could not be located when the pod was terminated",
}


def is_own(condition: Obj) -> bool:
    """Whether this agent keeps the condition; DisruptionTarget is also written by others."""
    return condition["type"] in OWN_CONDITIONS or condition.get("reason") == DISRUPTION


def make_status(pod: Obj, state: PodState, *, now: datetime, host_ip: str) -> Obj:
    """The whole status, ready to be compared with the pod's."""
    old = pod.get("status") or {}
    inits = [_container_status(pod, c, state, now=now, init=True) for c in init_containers(pod)]
    mains = [_container_status(pod, c, state, now=now, init=False) for c in containers(pod)]
    status: Obj = {k: old[k] for k in ("nominatedNodeName", "resize") if k in old}
    status["phase"] = _phase(pod, state, inits, mains, now=now)
    failure = _failure(pod, state, now=now)
    status |= failure
    status |= {
        "qosClass": old.get("qosClass") or qos_class(pod),
        "startTime": old.get("startTime") or format_time(now),
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
    }
    if state.pod_ip:
        status |= {"podIP": state.pod_ip, "podIPs": [{"ip": state.pod_ip}]}
    if inits:
        status["initContainerStatuses"] = inits
    status["containerStatuses"] = mains
    if generation(pod):
        status["observedGeneration"] = generation(pod)
    status["conditions"] = _conditions(pod, state, status, now=now)
    return status


def _failure(pod: Obj, state: PodState, *, now: datetime) -> Obj:
    if state.failure is not None:
        return {"reason": state.failure.reason, "message": state.failure.message}
    old = pod.get("status") or {}
    if is_terminal(pod):
        return {k: old[k] for k in ("reason", "message") if old.get(k)}
    if past_deadline(pod, now=now):
        return {
            "reason": "DeadlineExceeded",
            "message": "Pod was active on the node longer than the specified deadline",
        }
    return {}


# -- containers --------------------------------------------------------------------------------


def _container_status(
    pod: Obj, container: Obj, state: PodState, *, now: datetime, init: bool
) -> Obj:
    which = "initContainerStatuses" if init else "containerStatuses"
    statuses = get_path(pod, "status", which, default=[])
    old: Obj = next((s for s in statuses if s.get("name") == container["name"]), {})
    attempts = state.attempts.get(container["name"], ())
    current, last = _states(pod, container, state, old, now=now)
    running = "running" in current
    attempt = attempts[0] if attempts else None
    out: Obj = {
        "name": container["name"],
        "state": current,
        "lastState": last,
        "ready": _ready(container, state, attempt, init=init),
        "restartCount": attempt.number if attempt else int(old.get("restartCount") or 0),
        "image": (attempt.container.image if attempt else "") or container.get("image", ""),
        "imageID": attempt.container.image_id if attempt else old.get("imageID", ""),
        "started": running and attempt is not None and state.started.get(attempt.id, True),
    }
    if attempt is not None:
        out["containerID"] = f"podman://{attempt.id}"
    elif old.get("containerID") and "waiting" not in current:
        out["containerID"] = old["containerID"]
    return out


def _states(
    pod: Obj, container: Obj, state: PodState, old: Obj, *, now: datetime
) -> tuple[Obj, Obj]:
    """The container's state and lastState."""
    attempts = state.attempts.get(container["name"], ())
    if not attempts:
        return _absent(pod, container, state, old)
    latest, before = attempts[0], attempts[1] if len(attempts) > 1 else None
    kept = {"terminated": _terminated(before)} if before is not None and before.ended else {}
    if latest.running:
        return {"running": {"startedAt": _time(latest.container.started_at)}}, kept or _last(old)
    if not latest.ended:
        return {"waiting": _waiting(pod, container, state)}, kept or _last(old)
    ended = {"terminated": _terminated(latest)}
    over = is_deleting(pod) or is_terminal(pod) or state.failure is not None
    if over or not restarts(pod, latest):
        return ended, kept
    waiting = state.waiting.get(container["name"])
    if waiting is not None:
        return {"waiting": _reason(waiting.reason, waiting.message)}, ended
    backoff = state.backoffs.get(container["name"])
    if backoff is None or restart_at(backoff, ended_at=latest.ended_at, now=now) <= now:
        return ended, kept
    text = (
        f"back-off {_duration(backoff.seconds)} restarting failed "
        f"container={container['name']} pod={name(pod)}_{namespace(pod)}({uid(pod)})"
    )
    return {"waiting": _reason("CrashLoopBackOff", text)}, ended


def _absent(pod: Obj, container: Obj, state: PodState, old: Obj) -> tuple[Obj, Obj]:
    """No container: not made yet, or lost with the node's memory of how it ended."""
    before = get_path(old, "state", default={})
    if is_terminal(pod) and "terminated" in before:
        return before, _last(old)
    lost = before.get("running") or before.get("terminated")
    if lost is not None and (is_deleting(pod) or is_terminal(pod)):
        return {"terminated": dict(UNKNOWN)}, _last(old)
    last = _last(old)
    if "terminated" in before:
        last = {"terminated": before["terminated"]}
    elif "running" in before:
        last = {"terminated": {**UNKNOWN, "containerID": old.get("containerID", "")}}
    return {"waiting": _waiting(pod, container, state)}, last


def _last(old: Obj) -> Obj:
    return old.get("lastState") or {}


def _waiting(pod: Obj, container: Obj, state: PodState) -> Obj:
    known = state.waiting.get(container["name"])
    if known is not None:
        return _reason(known.reason, known.message)
    initializing = init_containers(pod) and not is_initialized(pod, state)
    return _reason("PodInitializing" if initializing else "ContainerCreating", "")


def _reason(reason: str, message: str) -> Obj:
    return {"reason": reason, "message": message} if message else {"reason": reason}


def _terminated(attempt: Attempt) -> Obj:
    container = attempt.container
    reason = "Error" if attempt.exit_code else "Completed"
    if attempt.start_error:
        reason = "StartError"
    elif container.oom_killed:
        reason = "OOMKilled"
    out: Obj = {"exitCode": attempt.exit_code, "reason": reason}
    if said := attempt.start_error or attempt.message:
        out["message"] = said
    out |= {
        "startedAt": _time(container.started_at or container.created_at),
        "finishedAt": _time(attempt.ended_at),
        "containerID": f"podman://{attempt.id}",
    }
    return out


def _ready(container: Obj, state: PodState, attempt: Attempt | None, *, init: bool) -> bool:
    if attempt is None:
        return False
    if init and not is_sidecar(container):
        return attempt.ended and attempt.exit_code == 0
    started = state.started.get(attempt.id, True)
    return attempt.running and started and state.ready.get(attempt.id, True)


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None


def _duration(seconds: float) -> str:
    """As Go prints a time.Duration: 10s, 1m20s, 5m0s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


# -- phase -------------------------------------------------------------------------------------


def _phase(pod: Obj, state: PodState, inits: list[Obj], mains: list[Obj], *, now: datetime) -> str:
    """As getPhase; a pod that is over stays over."""
    old = str(get_path(pod, "status", "phase", default=""))
    if old in TERMINAL_PHASES:
        return old
    live = any("running" in s["state"] for s in (*inits, *mains))
    if (state.failure or past_deadline(pod, now=now)) and not live:
        return "Failed"
    if is_deleting(pod) and not live and any("terminated" in s["state"] for s in mains):
        return "Failed" if any(_code(s) for s in mains) else "Succeeded"
    policy = get_path(pod, "spec", "restartPolicy", default="Always")
    if not is_initialized(pod, state):
        plain = [s for s, c in zip(inits, init_containers(pod), strict=True) if not is_sidecar(c)]
        failed = policy == "Never" and any(_code(s) for s in plain)
        return "Failed" if failed and not live else "Pending"
    return _phase_of(mains, policy=policy, live=live)


def _phase_of(mains: list[Obj], *, policy: str, live: bool) -> str:
    stopped = [s for s in mains if _ended(s)]
    running = [s for s in mains if "running" in s["state"]]
    if len(stopped) + len(running) < len(mains):
        return "Pending"
    if running or policy == "Always" or live:
        return "Running"
    if not any(_code(s) for s in stopped):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def _ended(status: Obj) -> bool:
    """Terminated, or waiting to be restarted after an end."""
    if "terminated" in status["state"]:
        return True
    return "waiting" in status["state"] and "terminated" in status["lastState"]


def _code(status: Obj) -> int:
    ended = status["state"].get("terminated") or status["lastState"].get("terminated") or {}
    return int(ended.get("exitCode") or 0) if "running" not in status["state"] else 0


# -- conditions --------------------------------------------------------------------------------


def _conditions(pod: Obj, state: PodState, status: Obj, *, now: datetime) -> list[Obj]:
    conditions: list[Obj] = get_path(pod, "status", "conditions", default=[])
    sandbox = {"type": "PodReadyToStartContainers", "status": _truth(state.sandbox)}
    initialized = _initialized(pod, state, status)
    containers_ready = _containers_ready(status)
    ready = _pod_ready(pod, containers_ready, conditions)
    moment = format_time(now)
    for condition in (*_disruption(state), sandbox, initialized, ready, containers_ready):
        if generation(pod):
            condition = {**condition, "observedGeneration": generation(pod)}
        conditions = with_condition(conditions, condition, now=moment)
    return conditions


def _disruption(state: PodState) -> tuple[Obj, ...]:
    """Beside it the same condition of others (an eviction, a preemption) is kept as it is."""
    if state.failure is None or not state.failure.disruption:
        return ()
    return ({
        "type": "DisruptionTarget", "status": "True", "reason": DISRUPTION,
        "message": state.failure.message,
    },)  # fmt: skip


def _truth(value: bool) -> str:
    return "True" if value else "False"


def _initialized(pod: Obj, state: PodState, status: Obj) -> Obj:
    if status["phase"] == "Succeeded":
        return {"type": "Initialized", "status": "True", "reason": "PodCompleted"}
    if is_initialized(pod, state):
        return {"type": "Initialized", "status": "True"}
    pending = [s["name"] for s in status.get("initContainerStatuses", []) if not s["ready"]]
    return {
        "type": "Initialized",
        "status": "False",
        "reason": "ContainersNotInitialized",
        "message": f"containers with incomplete status: [{' '.join(pending)}]",
    }


def _containers_ready(status: Obj) -> Obj:
    condition: Obj = {"type": "ContainersReady", "status": "False"}
    if status["phase"] == "Succeeded":
        return condition | {"reason": "PodCompleted"}
    if status["phase"] == "Failed":
        return condition | {"reason": "PodFailed"}
    unready = [s["name"] for s in status["containerStatuses"] if not s["ready"]]
    if unready:
        message = f"containers with unready status: [{' '.join(unready)}]"
        return condition | {"reason": "ContainersNotReady", "message": message}
    return condition | {"status": "True"}


def _pod_ready(pod: Obj, containers_ready: Obj, conditions: list[Obj]) -> Obj:
    """ContainersReady and every readiness gate; as status/generate.go GeneratePodReadyCondition."""
    if containers_ready["status"] != "True":
        return {**containers_ready, "type": "Ready"}
    texts = []
    for gate in get_path(pod, "spec", "readinessGates", default=[]):
        kind = gate["conditionType"]
        found = find_condition(conditions, kind)
        if found is None:
            texts.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif found.get("status") != "True":
            texts.append(
                f'the status of pod readiness gate "{kind}" is not "True", '
                f"but {found.get('status')}"
            )
    if texts:
        return {
            "type": "Ready",
            "status": "False",
            "reason": "ReadinessGatesNotReady",
            "message": ", ".join(texts),
        }
    return {"type": "Ready", "status": "True"}
