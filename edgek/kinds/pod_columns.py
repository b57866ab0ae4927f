"""How a pod's state is said in one word, and the other cells of its table.

As printPod in pkg/printers/internalversion/printers.go. The word is the most telling of phase,
reason, init containers and containers, in that order of precedence.
"""

from typing import Any

from edgek.api.conditions import find_condition, is_true
from edgek.api.meta import Obj, get_path
from edgek.kinds.columns import NONE, cell
from edgek.kinds.kind import AGE, NAME, Ago, Column
from edgek.kinds.pods import containers, init_containers, is_sidecar, is_terminal, pod_ip

NODE_LOST = "NodeLost"


def pod_status(pod: Obj) -> str:
    """The STATUS cell: Running, Init:0/1, CrashLoopBackOff, Completed, Terminating..."""
    status = pod.get("status") or {}
    reason = status.get("reason") or status.get("phase") or "Unknown"
    scheduled = find_condition(status.get("conditions"), "PodScheduled")
    if scheduled and scheduled.get("reason") == "SchedulingGated":
        reason = "SchedulingGated"
    initializing = _initializing(pod)
    if initializing and not is_true(status.get("conditions"), "Initialized"):
        reason = initializing
    else:
        reason = _running_reason(status, reason)
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == NODE_LOST:
            return "Unknown"
        if not is_terminal(pod):
            return "Terminating"
    return str(reason)


def _initializing(pod: Obj) -> str:
    """``Init:...`` of the first init container that still has to finish; "" when all have."""
    sidecars = {c["name"] for c in init_containers(pod) if is_sidecar(c)}
    total = len(init_containers(pod))
    for index, state in enumerate(get_path(pod, "status", "initContainerStatuses", default=())):
        current = state.get("state") or {}
        ended, waiting = current.get("terminated"), current.get("waiting") or {}
        if ended is not None:
            if ended.get("exitCode", 0) == 0:
                continue
            return "Init:" + (ended.get("reason") or _how_it_ended(ended))
        if state.get("name") in sidecars and state.get("started"):
            continue
        if waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return f"Init:{waiting['reason']}"
        return f"Init:{index}/{total}"
    return ""


def _how_it_ended(ended: Obj) -> str:
    if ended.get("signal"):
        return f"Signal:{ended['signal']}"
    return f"ExitCode:{ended.get('exitCode', 0)}"


def _running_reason(status: Obj, reason: str) -> str:
    """The first container's trouble wins, so they are read from the last to the first."""
    has_running = False
    for state in reversed(status.get("containerStatuses") or []):
        current = state.get("state") or {}
        waiting, ended = current.get("waiting") or {}, current.get("terminated")
        if waiting.get("reason"):
            reason = waiting["reason"]
        elif ended is not None:
            reason = ended.get("reason") or _how_it_ended(ended)
        elif state.get("ready") and current.get("running") is not None:
            has_running = True
    if reason == "Completed" and has_running:
        return "Running" if is_true(status.get("conditions"), "Ready") else "NotReady"
    return reason


def _sidecar_states(pod: Obj) -> list[Obj]:
    names = {c["name"] for c in init_containers(pod) if is_sidecar(c)}
    states = get_path(pod, "status", "initContainerStatuses", default=())
    return [s for s in states if s.get("name") in names]


def ready_count(pod: Obj) -> str:
    """``1/2``: ready containers of all that keep running, sidecars among them."""
    sidecars = [c for c in init_containers(pod) if is_sidecar(c)]
    states = [*_sidecar_states(pod), *get_path(pod, "status", "containerStatuses", default=())]
    ready = sum(
        bool(s.get("ready") and (s.get("state") or {}).get("running") is not None) for s in states
    )
    return f"{ready}/{len(containers(pod)) + len(sidecars)}"


def restarts(pod: Obj) -> Any:
    """``3 (5m ago)``, or just the number where no end of a container is known.

    While init containers run theirs are counted, afterwards those of what keeps running.
    """
    status = pod.get("status") or {}
    initializing = _initializing(pod) and not is_true(status.get("conditions"), "Initialized")
    states = (
        status.get("initContainerStatuses") or []
        if initializing
        else [*_sidecar_states(pod), *(status.get("containerStatuses") or [])]
    )
    total = sum(s.get("restartCount") or 0 for s in states)
    ends = [get_path(s, "lastState", "terminated", "finishedAt", default="") for s in states]
    last = max(ends, default="")
    return Ago(last, f"{total} (", " ago)") if total and last else str(total)


def _readiness_gates(pod: Obj) -> str:
    gates = get_path(pod, "spec", "readinessGates", default=())
    if not gates:
        return NONE
    conditions = get_path(pod, "status", "conditions")
    met = sum(is_true(conditions, gate.get("conditionType")) for gate in gates)
    return f"{met}/{len(gates)}"


POD_COLUMNS = (
    NAME,
    Column(name="Ready", read=ready_count, description="How many of the containers are ready."),
    Column(name="Status", read=pod_status, description="What the containers are up to."),
    Column(
        name="Restarts",
        read=restarts,
        description="How often containers were restarted, and when last.",
    ),
    AGE,
    Column(
        name="IP",
        read=lambda pod: pod_ip(pod) or NONE,
        priority=1,
        description="The pod's primary address.",
    ),
    Column(
        name="Node",
        read=cell("spec", "nodeName", default=NONE),
        priority=1,
        description="The node the pod is bound to.",
    ),
    Column(
        name="Nominated Node",
        read=cell("status", "nominatedNodeName", default=NONE),
        priority=1,
        description="The node on which room is being made for the pod.",
    ),
    Column(
        name="Readiness Gates",
        read=_readiness_gates,
        priority=1,
        description="How many further conditions of readiness hold.",
    ),
)
