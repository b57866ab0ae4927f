"""One container's status from its attempts and what the pod asks of it. Pure.

As kubelet_pods.go convertToAPIContainerStatuses and convertContainerStatus.
"""

from datetime import datetime

from agent.pods.backoff import restart_at
from agent.pods.plan import is_initialized
from agent.pods.restarts import restarts
from agent.pods.state import IMAGE_REF, Attempt, PodState
from edgek.api.meta import Obj, get_path, is_deleting, name, namespace, uid
from edgek.api.time import format_time
from edgek.kinds.pods import init_containers, is_sidecar, is_terminal

MAIN, INIT, EPHEMERAL = "containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"
UNKNOWN = {
    "exitCode": 137,
    "reason": "ContainerStatusUnknown",
    "message": "The container could not be located when the pod was terminated",
}
ANEW = {
    "exitCode": 137,
    "reason": "RestartingAllContainers",
    "message": "The container is removed because RestartAllContainers in place",
}


def container_status(
    pod: Obj, container: Obj, state: PodState, *, now: datetime, which: str
) -> Obj:
    """``which``: the list of the pod's status that it belongs to."""
    statuses = get_path(pod, "status", which, default=[])
    old: Obj = next((s for s in statuses if s.get("name") == container["name"]), {})
    attempts = state.attempts.get(container["name"], ())
    current, last = _states(pod, container, state, old, now=now)
    attempt = attempts[0] if attempts else None
    out: Obj = {
        "name": container["name"],
        "state": current,
        "lastState": last,
        "ready": _ready(container, state, attempt, which=which),
        "restartCount": _count(state, container["name"], attempt, old),
        "image": (attempt.container.image if attempt else "") or container.get("image", ""),
        "imageID": _image_id(attempt) if attempt else old.get("imageID", ""),
    }
    if which != EPHEMERAL:
        running = attempt is not None and attempt.running
        out["started"] = running and state.started.get(attempt.id, True) if attempt else False
        out |= _resources(container, state, attempt)
    if attempt is not None:
        out["containerID"] = f"podman://{attempt.id}"
    elif old.get("containerID") and "waiting" not in current:
        out["containerID"] = old["containerID"]
    return out | _details(container, attempt, recursive=state.recursive_read_only)


def _count(state: PodState, own: str, attempt: Attempt | None, old: Obj) -> int:
    if attempt is not None:
        return attempt.number
    return max(state.numbers.get(own, 1) - 1, int(old.get("restartCount") or 0))


def _image_id(attempt: Attempt) -> str:
    return attempt.container.labels.get(IMAGE_REF) or attempt.container.image_id


def _resources(container: Obj, state: PodState, attempt: Attempt | None) -> Obj:
    """What it was given and, of a running one, what it has: a resize shows in the difference."""
    given = container.get("resources") or {}
    running = attempt is not None and attempt.running
    has = state.actual.get(attempt.id, given) if attempt is not None and running else given
    out: Obj = {"resources": {k: has[k] for k in ("limits", "requests") if has.get(k)}}
    if given.get("requests"):
        out["allocatedResources"] = given["requests"]
    return out


def _details(container: Obj, attempt: Attempt | None, *, recursive: bool) -> Obj:
    out: Obj = {}
    user = attempt.container.user if attempt is not None and attempt.running else None
    if user is not None:
        groups = {"supplementalGroups": list(user.groups)} if user.groups else {}
        out["user"] = {"linux": {"uid": user.uid, "gid": user.gid, **groups}}
    if mounts := [_mount(m, recursive) for m in container.get("volumeMounts") or ()]:
        out["volumeMounts"] = mounts
    if signal := get_path(container, "lifecycle", "stopSignal"):
        out["stopSignal"] = signal
    return out


def _mount(mount: Obj, recursive: bool) -> Obj:
    out = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        wanted = mount.get("recursiveReadOnly") in ("IfPossible", "Enabled")
        out |= {"readOnly": True, "recursiveReadOnly": "Disabled"}
        if wanted and recursive and mount.get("mountPropagation") in (None, "None"):
            out["recursiveReadOnly"] = "Enabled"
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
    kept = kept or _gone(old, latest)
    if latest.running:
        return {"running": {"startedAt": _time(latest.container.started_at)}}, kept
    if not latest.ended and is_terminal(pod):
        return _absent(pod, container, state, old)  # why it did not start is only told there
    if not latest.ended:
        return {"waiting": _waiting(pod, container, state)}, kept
    ended = {"terminated": _terminated(latest)}
    over = is_deleting(pod) or is_terminal(pod) or state.failure is not None
    if over or not restarts(pod, state, latest):
        return ended, kept
    waiting = state.waiting.get(container["name"])
    backoff = state.backoffs.get(container["name"])
    held = backoff is not None and restart_at(backoff, ended_at=latest.ended_at, now=now) > now
    # What could not be started is told as that once, and then as what it is: a loop.
    if waiting is not None and not (held and latest.start_error and latest.number):
        return {"waiting": _reason(waiting.reason, waiting.message)}, ended
    if backoff is None or not held:
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
    if (state.failure is not None or is_terminal(pod)) and is_initialized(pod, state):
        return {"terminated": dict(UNKNOWN)}, _last(old)  # it will not be started any more
    last = _last(old)
    if "terminated" in before:
        last = {"terminated": before["terminated"]}
    elif "running" in before:
        why = ANEW if container["name"] in state.numbers else UNKNOWN
        last = {"terminated": {**why, "containerID": old.get("containerID", "")}}
    return {"waiting": _waiting(pod, container, state)}, last


def _gone(old: Obj, latest: Attempt) -> Obj:
    """How the one before ended, which is not there any more: by what was told of it."""
    told = (get_path(old, which, "terminated") for which in ("state", "lastState"))
    own = f"podman://{latest.id}"
    return next(({"terminated": t} for t in told if t and t.get("containerID") != own), {})


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


def _ready(container: Obj, state: PodState, attempt: Attempt | None, *, which: str) -> bool:
    if attempt is None or which == EPHEMERAL:
        return False
    if which == INIT and not is_sidecar(container):
        return attempt.ended and attempt.exit_code == 0
    started = state.started.get(attempt.id, True)
    return attempt.running and started and state.ready.get(attempt.id, True)


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None


def _duration(seconds: float) -> str:
    """As Go prints a time.Duration: 10s, 1m20s, 5m0s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
