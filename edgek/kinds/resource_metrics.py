"""NodeMetrics and PodMetrics: what nodes and pods use right now (metrics.k8s.io).

Answered from the agents' figures (server/endpoints/usage), never stored. Columns as
metrics-server's tables have them.
"""

from functools import reduce

from edgek.api.meta import Obj, get_path
from edgek.api.quantity import add_quantities
from edgek.kinds.kind import NAME, Column, Kind

GROUP = "metrics.k8s.io"


def _total(obj: Obj, resource: str) -> str:
    """Of the node, or of all containers of the pod."""
    parts = obj.get("containers", [obj])
    found = [str(get_path(part, "usage", resource, default="0")) for part in parts]
    return reduce(add_quantities, found, "0") if len(found) != 1 else found[0]


_COLUMNS = (
    NAME,
    Column(name="cpu", format="quantity", read=lambda obj: _total(obj, "cpu")),
    Column(name="memory", format="quantity", read=lambda obj: _total(obj, "memory")),
    Column(name="Window", format="duration", read=lambda obj: obj.get("window") or ""),
)
_TOLD = {"timestamp": "2026-01-02T03:04:05Z", "window": "15.2s"}
_USAGE = {"cpu": "2500u", "memory": "12Mi"}

NODE_METRICS = Kind(
    group=GROUP,
    version="v1beta1",
    kind="NodeMetrics",
    plural="nodes",
    namespaced=False,
    verbs=("get", "list"),
    virtual=True,
    columns=_COLUMNS,
    example={
        "apiVersion": f"{GROUP}/v1beta1",
        "kind": "NodeMetrics",
        "metadata": {"name": "pi-1"},
        **_TOLD,
        "usage": _USAGE,
    },
)
POD_METRICS = Kind(
    group=GROUP,
    version="v1beta1",
    kind="PodMetrics",
    plural="pods",
    verbs=("get", "list"),
    virtual=True,
    columns=_COLUMNS,
    example={
        "apiVersion": f"{GROUP}/v1beta1",
        "kind": "PodMetrics",
        "metadata": {"name": "web", "namespace": "default"},
        **_TOLD,
        "containers": [{"name": "main", "usage": _USAGE}],
    },
)
