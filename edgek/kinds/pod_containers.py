"""Which container of a pod a stream is about, with upstream's sentences. Pure; for the server and
for ``edgek node``, which asks the agent itself.

As registry/core/pod/strategy.go validateContainer and pkg/kubelet validateContainerLogStatus.
"""

from collections.abc import Iterator

from edgek.api.errors import BadRequest, InternalError
from edgek.api.meta import Obj, get_path, name
from edgek.kinds.pods import is_terminal

_LISTS = ("containers", "initContainers", "ephemeralContainers")


def choose_container(pod: Obj, asked: str) -> str:
    """The container asked for, or the only one there is."""
    names = {field: [c["name"] for c in pod["spec"].get(field) or ()] for field in _LISTS}
    if asked:
        if not any(asked in found for found in names.values()):
            raise BadRequest(f"container {asked} is not valid for pod {name(pod)}")
        return asked
    ordinary, init = names["containers"], names["initContainers"]
    if len(ordinary) == 1:
        return str(ordinary[0])
    text = f"a container name must be specified for pod {name(pod)}"
    if ordinary:
        text += f", choose one of: [{' '.join(ordinary)}]"
    if init:
        text += f" or one of the init containers: [{' '.join(init)}]"
    raise BadRequest(text)


def running_container_id(pod: Obj, container: str) -> str:
    """For exec and attach."""
    status = _status(pod, container)
    if status is None or "running" not in (status.get("state") or {}):
        raise InternalError(f'unable to upgrade connection: container not found ("{container}")')
    return _bare(status.get("containerID") or "")


def logged_container_id(pod: Obj, container: str, *, previous: bool) -> str:
    """The attempt whose log is meant: the current one, or the last that ended."""
    status = _status(pod, container)
    what = f'container "{container}" in pod "{name(pod)}"'
    if status is None and is_terminal(pod):
        raise BadRequest(f"{what} is not available")  # the node refused the pod
    if status is None:
        raise BadRequest(f"{what} is waiting to start: {_pending_reason(pod)}")
    last = get_path(status, "lastState", "terminated", "containerID", default="")
    if previous:
        if not last:
            raise BadRequest(f"previous terminated {what} not found")
        return _bare(last)
    state = status.get("state") or {}
    if "running" in state:
        return _bare(status.get("containerID") or "")
    if "terminated" in state:
        last = state["terminated"].get("containerID") or last
    if last:
        return _bare(last)
    if "terminated" in state:
        raise BadRequest(f"{what} is terminated")
    reason = get_path(state, "waiting", "reason", default="no logs yet")
    raise BadRequest(f"{what} is waiting to start: {_WAITING.get(reason, reason)}")


_WAITING = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}


def _pending_reason(pod: Obj) -> str:
    init = any(not s.get("ready") for s in get_path(pod, "status", "initContainerStatuses") or ())
    return "PodInitializing" if init else "ContainerCreating"


def _statuses(pod: Obj) -> Iterator[Obj]:
    for field in _LISTS:
        key = field.removesuffix("s") + "Statuses"
        yield from get_path(pod, "status", key) or ()


def _status(pod: Obj, container: str) -> Obj | None:
    return next((s for s in _statuses(pod) if s["name"] == container), None)


def _bare(container_id: str) -> str:
    """``podman://<id>`` -> the id."""
    return container_id.rpartition("//")[2]
