"""PodStatus from pod + observed. Pure; ``sync`` writes it, only when it differs.

As kubelet_pods.go generateAPIPodStatus and pkg/kubelet/status. What others write into a status
(readiness gates, nominatedNodeName) is kept.
"""

from datetime import datetime

from agent.pods.container_status import EPHEMERAL, INIT, MAIN, container_status
from agent.pods.plan import is_initialized, past_deadline
from agent.pods.resize import bare
from agent.pods.restarts import asking_for_all, could_restart_all, restarts
from agent.pods.state import PodState
from edgek.api.conditions import find_condition, is_true, with_condition
from edgek.api.meta import Obj, generation, get_path, is_deleting
from edgek.api.time import format_time
from edgek.kinds.pods import (
    TERMINAL_PHASES,
    containers,
    ephemeral_containers,
    init_containers,
    is_sidecar,
    is_terminal,
    qos_class,
)

OWN_CONDITIONS = (
    "PodScheduled", "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady",
)  # fmt: skip
PASSING_CONDITIONS = ("PodResizePending", "PodResizeInProgress", "AllContainersRestarting")
DEADLINE = "DeadlineExceeded"
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"
DISRUPTION = "TerminationByKubelet"


def is_own(condition: Obj) -> bool:
    """Whether this agent keeps the condition; DisruptionTarget is also written by others."""
    own = condition["type"] in OWN_CONDITIONS or is_passing(condition)
    return own or condition.get("reason") == DISRUPTION


def is_passing(condition: Obj) -> bool:
    """One of ours that is there only while it is true."""
    return condition["type"] in PASSING_CONDITIONS


def make_status(pod: Obj, state: PodState, *, now: datetime, host_ip: str) -> Obj:
    """The whole status, ready to be compared with the pod's."""
    old = pod.get("status") or {}

    def statuses(which: str, found: list[Obj]) -> list[Obj]:
        return [container_status(pod, c, state, now=now, which=which) for c in found]

    inits, mains = statuses(INIT, init_containers(pod)), statuses(MAIN, containers(pod))
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
    elif status["phase"] in TERMINAL_PHASES:
        status |= {k: old[k] for k in ("podIP", "podIPs") if old.get(k)}
    if not _rejected(old, state):
        status |= {INIT: inits, MAIN: mains} if inits else {MAIN: mains}
    if passing := ephemeral_containers(pod):
        status[EPHEMERAL] = statuses(EPHEMERAL, passing)
    if whole := bare(get_path(pod, "spec", "resources")):
        status["allocatedResources"] = whole.get("requests") or {}
        status["resources"] = state.actual_pod or whole
    if generation(pod):
        status["observedGeneration"] = generation(pod)
    status["conditions"] = _conditions(pod, state, status, now=now)
    return status


def _rejected(old: Obj, state: PodState) -> bool:
    """Of a pod that the node never took nothing is said of containers: clients show the reason
    then. As rejectPod; also when only its status still tells of that."""
    if state.failure is not None and state.failure.rejected:
        return True
    return old.get("phase") in TERMINAL_PHASES and not old.get(MAIN) and not state.attempts


def _failure(pod: Obj, state: PodState, *, now: datetime) -> Obj:
    if state.failure is not None:
        prefix = "Pod was rejected: " if state.failure.rejected else ""
        return {"reason": state.failure.reason, "message": prefix + state.failure.message}
    old = pod.get("status") or {}
    if is_terminal(pod):
        return {k: old[k] for k in ("reason", "message") if old.get(k)}
    if past_deadline(pod, now=now):
        return {
            "reason": DEADLINE,
            "message": DEADLINE_MESSAGE,
        }
    return {}


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
    if asking_for_all(pod, state):
        return "Running" if old == "Running" else "Pending"
    if not is_initialized(pod, state):
        plain = [c for c in init_containers(pod) if not is_sidecar(c)]
        ended = [a for c in plain if (a := state.latest(c["name"])) is not None and a.ended]
        failed = any(a.exit_code and not restarts(pod, state, a) for a in ended)
        return "Failed" if failed and not live else "Pending"
    latest = [state.latest(c["name"]) for c in containers(pod)]
    # One that is gone is made anew. One that was made and not started, when the agent ended in
    # between, is still to run: its end before is not the pod's.
    again = any(a is None or not a.ended or restarts(pod, state, a) for a in latest)
    return _phase_of(mains, again=again, live=live)


def _phase_of(mains: list[Obj], *, again: bool, live: bool) -> str:
    stopped = [s for s in mains if _ended(s)]
    running = [s for s in mains if "running" in s["state"]]
    if len(stopped) + len(running) < len(mains):
        return "Pending"
    if running or again or live:
        return "Running"
    return "Failed" if any(_code(s) for s in stopped) else "Succeeded"


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
    there: list[Obj] = get_path(pod, "status", "conditions", default=[])
    passing = (*state.resize, *_restarting(pod, state, status))
    kept = {c["type"] for c in passing}
    conditions = [c for c in there if not is_passing(c) or c["type"] in kept]
    # Pods that are given their node by hand, and static ones, no scheduler has told of.
    scheduled = {"type": "PodScheduled", "status": "True"}
    standing = state.sandbox and status["phase"] not in TERMINAL_PHASES
    sandbox = {"type": "PodReadyToStartContainers", "status": _truth(standing)}
    initialized = _initialized(pod, state, status)
    containers_ready = _containers_ready(pod, status)
    ready = _pod_ready(pod, containers_ready, conditions)
    moment = format_time(now)
    told = (scheduled, sandbox, initialized, ready, containers_ready)
    for condition in (*_disruption(state), *told, *passing):
        if generation(pod) and "observedGeneration" not in condition:
            condition = {**condition, "observedGeneration": generation(pod)}
        conditions = with_condition(conditions, condition, now=moment)
    return conditions


def _restarting(pod: Obj, state: PodState, status: Obj) -> tuple[Obj, ...]:
    """As GenerateAllContainersRestartingCondition: only of pods that have such a rule."""
    if not could_restart_all(pod):
        return ()
    condition = {"type": "AllContainersRestarting", "status": "False"}
    if status["phase"] in TERMINAL_PHASES:
        succeeded = status["phase"] == "Succeeded"
        return (condition | {"reason": "PodCompleted" if succeeded else "PodFailed"},)
    if not asking_for_all(pod, state):
        return (condition,)
    return (condition | {
        "status": "True", "reason": "RestartAllContainersStarted",
        "message": "container exited with restart policy rule",
    },)  # fmt: skip


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
    # What is initialized stays so, also while a pod begins anew.
    if is_initialized(pod, state) or is_true(get_path(pod, "status", "conditions"), "Initialized"):
        return {"type": "Initialized", "status": "True"}
    pending = [
        s["name"] for c, s in zip(init_containers(pod), status.get(INIT) or (), strict=False)
        if not s["started" if is_sidecar(c) else "ready"]
    ]  # fmt: skip
    return {
        "type": "Initialized",
        "status": "False",
        "reason": "ContainersNotInitialized",
        "message": f"containers with incomplete status: [{' '.join(pending)}]",
    }


def _containers_ready(pod: Obj, status: Obj) -> Obj:
    """Sidecars have to be ready as the others have."""
    condition: Obj = {"type": "ContainersReady", "status": "False"}
    if status["phase"] == "Succeeded":
        return condition | {"reason": "PodCompleted"}
    if status["phase"] == "Failed":
        return condition | {"reason": "PodFailed"}
    inits = zip(init_containers(pod), status.get(INIT) or (), strict=False)
    counted = [*(s for c, s in inits if is_sidecar(c)), *status.get(MAIN, ())]
    unready = [s["name"] for s in counted if not s["ready"]]
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
