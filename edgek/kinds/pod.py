"""Pod: containers that run together on one node."""

from edgek.api.meta import Obj
from edgek.kinds.kind import CONNECT, STATUS, Kind, Subresource, read_field
from edgek.kinds.pod_columns import POD_COLUMNS
from edgek.kinds.pod_defaults import default_pod
from edgek.kinds.pod_prepare import prepare_pod, prepare_pod_status
from edgek.kinds.pod_status import validate_status_update
from edgek.kinds.pod_update import validate_pod_update
from edgek.kinds.pod_validation import validate_pod
from edgek.kinds.pod_warnings import warn_of_pod
from edgek.kinds.pods import is_terminal, node_name

EXAMPLE = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
    "spec": {
        "containers": [
            {
                "name": "web",
                "image": "docker.io/library/nginx:1.29",
                "ports": [{"name": "http", "containerPort": 80}],
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
                "readinessProbe": {"httpGet": {"port": "http"}},
            }
        ]
    },
}


def grace_seconds(pod: Obj, asked: int | None) -> int:
    """How long a deletion waits (As podStrategy.CheckGracefulDelete).

    A pod that no node runs, or that is over, has nothing to shut down: 0. A negative number
    means "at once, but through the node": 1.
    """
    if not node_name(pod) or is_terminal(pod):
        return 0
    seconds = pod["spec"].get("terminationGracePeriodSeconds") if asked is None else asked
    return 1 if (seconds or 0) < 0 else int(seconds or 0)


def _read(pod: Obj, path: str) -> str:
    return read_field(pod, path) or ("false" if path == "spec.hostNetwork" else "")


POD = Kind(
    group="",
    version="v1",
    kind="Pod",
    plural="pods",
    short_names=("po",),
    categories=("all",),
    columns=POD_COLUMNS,
    subresources=(
        STATUS,
        Subresource(name="binding", verbs=("create",), version="v1", kind="Binding"),
        Subresource(
            name="eviction", verbs=("create",), group="policy", version="v1", kind="Eviction"
        ),
        Subresource(name="ephemeralcontainers"),
        Subresource(name="resize"),
        Subresource(name="log", verbs=("get",)),
        Subresource(name="exec", verbs=("create", "get"), version="v1", kind="PodExecOptions"),
        Subresource(name="attach", verbs=("create", "get"), version="v1", kind="PodAttachOptions"),
        Subresource(
            name="portforward", verbs=("create", "get"), version="v1", kind="PodPortForwardOptions"
        ),
        Subresource(name="proxy", verbs=CONNECT, version="v1", kind="PodProxyOptions"),
    ),
    selectable=(
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    read_field=_read,
    default=default_pod,
    prepare=prepare_pod,
    prepare_status=prepare_pod_status,
    validate=validate_pod,
    validate_update=validate_pod_update,
    validate_status=validate_status_update,
    warn=warn_of_pod,
    graceful=grace_seconds,
    generation=True,
    example=EXAMPLE,
)
