"""What pods ask of a node, in whole numbers, and what nodes have to give.

The rules (init containers, sidecars, pod-level resources, overhead) are ``pod_requests``'s. A
placed pod that is being resized counts for the most of what it asks for, what it was given and
what it has; as component-helpers resource determineContainerReqs.
"""

from ast import literal_eval
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

from edgek.api.conditions import find_condition
from edgek.api.meta import Obj
from edgek.api.quantity import milli, value
from edgek.kinds.pods import pod_requests

# As framework/types.go: what a container without requests counts for in scores, so that
# pods that ask for nothing still do not all land on one node.
DEFAULTS = {"cpu": "100m", "memory": "200Mi"}

Amounts = dict[str, int]
"""cpu in thousandths, everything else in whole units."""

_PARTS = (("containers", "containerStatuses"), ("initContainers", "initContainerStatuses"))


@lru_cache(maxsize=4096)
def amount(resource: str, text: str | int | float) -> int:
    return milli(text) if resource == "cpu" else value(text)


def amounts(resources: Mapping[str, Any] | None) -> Amounts:
    return {name: amount(name, text) for name, text in (resources or {}).items()}


def demands(pod: Obj) -> tuple[Amounts, int, int]:
    """Requests, and the cpu and memory that scores go by. NB: shared, not to be changed."""
    return _demands(_demanding(pod["spec"], given(pod)))


def given(pod: Obj) -> Any:
    """What the status says of the resources that containers have; falsy before it says any."""
    status = pod.get("status") or {}
    if not (status.get("containerStatuses") or status.get("initContainerStatuses")):
        return None
    found = [
        (which, s.get("name"), s.get("allocatedResources"), s.get("resources"))
        for _, which in _PARTS
        for s in status.get(which) or ()
        if s.get("allocatedResources") or s.get("resources")
    ]
    return found and (_infeasible(status), found)


def _infeasible(status: Obj) -> bool:
    pending = find_condition(status.get("conditions"), "PodResizePending") or {}
    return pending.get("reason") == "Infeasible"


@lru_cache(maxsize=256)
def _demands(text: str) -> tuple[Amounts, int, int]:
    """Pods of one template share the answer, so adding up exact quantities is done once."""
    spec = literal_eval(text)
    if spec["given"]:
        _count_given(spec, *spec["given"])
    requests = _whole(pod_requests({"spec": spec}))
    for container in (*spec["containers"], *spec["initContainers"]):
        resources = container["resources"] = container.get("resources") or {}
        resources["requests"] = DEFAULTS | (resources.get("requests") or {})
    padded = _whole(pod_requests({"spec": spec}))
    return requests, padded.get("cpu", 0), padded.get("memory", 0)


def _count_given(spec: Obj, infeasible: bool, statuses: Sequence[Any]) -> None:
    """Requests become the most of those of spec and status; a resize that can never be does
    not count at all."""
    found = {(which, name): (allocated, has) for which, name, allocated, has in statuses}
    for field, which in _PARTS:
        for container in spec[field]:
            allocated, has = found.get((which, container.get("name")), (None, None))
            if allocated is None and has is None:
                continue
            resources = container["resources"] = container.get("resources") or {}
            asked = {} if infeasible else resources.get("requests") or {}
            parts = (asked, allocated or {}, (has or {}).get("requests") or {})
            resources["requests"] = _most(parts)


def _most(parts: Sequence[Mapping[str, Any]]) -> Obj:
    out: Obj = {}
    for part in parts:
        for name, text in part.items():
            if name not in out or amount(name, text) > amount(name, out[name]):
                out[name] = text
    return out


def _whole(exact: Mapping[str, Fraction]) -> Amounts:
    return {
        name: -(-number * (1000 if name == "cpu" else 1) // 1) for name, number in exact.items()
    }


def _demanding(spec: Obj, has: Any) -> str:
    """The parts of a pod that say what it asks for, as Python: written faster than JSON."""
    parts: Obj = {"resources": spec.get("resources"), "overhead": spec.get("overhead")}
    for field, _ in _PARTS:
        parts[field] = [
            {
                "name": c.get("name") if has else None,
                "restartPolicy": c.get("restartPolicy"),
                "resources": c.get("resources"),
            }
            for c in spec.get(field) or ()
        ]
    parts["given"] = has
    return repr(parts)
