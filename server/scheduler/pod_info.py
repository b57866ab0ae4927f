"""PodInfo: what scheduling needs to know of a pod, worked out once.

As framework.PodInfo and resourcehelper.PodRequests upstream. Pods of one ReplicaSet differ in
nothing here but name and uid, which is what ``shape_of`` says: equal shapes get equal verdicts
on every node, and ``ranking`` keeps those.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from edgek.api.meta import Key, Obj, controller_of, key_of, labels, uid
from edgek.api.quantity import milli, value

TERMINAL = ("Succeeded", "Failed")

# As framework/types.go: what a container without requests counts for in scores, so that
# pods that ask for nothing still do not all land on one node.
DEFAULT_CPU = 100
DEFAULT_MEMORY = 200 * 1024 * 1024

Amounts = dict[str, int]
"""cpu in thousandths, everything else in whole units."""


class HostPort(NamedTuple):
    ip: str
    protocol: str
    port: int


@lru_cache(maxsize=4096)
def amount(resource: str, text: str | int | float) -> int:
    return milli(text) if resource == "cpu" else value(text)


def amounts(resources: Mapping[str, Any] | None) -> Amounts:
    return {name: amount(name, text) for name, text in (resources or {}).items()}


def _add(total: Amounts, more: Amounts) -> None:
    for name, number in more.items():
        total[name] = total.get(name, 0) + number


def _at_least(total: Amounts, floor: Amounts) -> None:
    for name, number in floor.items():
        if number > total.get(name, 0):
            total[name] = number


def _requests(container: Obj, *, cpu: int = 0, memory: int = 0) -> Amounts:
    asked = amounts((container.get("resources") or {}).get("requests"))
    if cpu or memory:
        asked = {"cpu": cpu, "memory": memory} | asked
    return asked


def pod_requests(spec: Obj, *, cpu: int = 0, memory: int = 0) -> Amounts:
    """The most a pod asks for at any one time; ``cpu``/``memory`` stand in where a container
    says nothing. As resourcehelper.PodRequests: containers and sidecars run together, an
    ordinary init container beside the sidecars started before it; overhead comes on top."""
    total: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, _requests(container, cpu=cpu, memory=memory))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        asked = _requests(container, cpu=cpu, memory=memory)
        if container.get("restartPolicy") == "Always":
            _add(total, asked)
            _add(sidecars, asked)
            asked = dict(sidecars)
        else:
            _add(asked, sidecars)
        _at_least(peak, asked)
    _at_least(total, peak)
    total |= amounts((spec.get("resources") or {}).get("requests"))  # pod-level wins
    _add(total, amounts(spec.get("overhead")))
    return total


def host_ports(spec: Obj) -> frozenset[HostPort]:
    containers = [*(spec.get("containers") or ())]
    containers += [
        c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"
    ]
    return frozenset(
        HostPort(p.get("hostIP") or "0.0.0.0", p.get("protocol") or "TCP", p["hostPort"])
        for c in containers
        for p in c.get("ports") or ()
        if p.get("hostPort")
    )


def _group(pod: Obj) -> Hashable:
    """Who should be spread from whom when the pod does not say: its controller's pods, else
    those of its namespace with the very same labels. Upstream asks the Services too."""
    owner = controller_of(pod)
    if owner is not None:
        return owner.get("uid") or owner.get("name")
    named = labels(pod)
    return (key_of(pod).namespace, frozenset(named.items())) if named else None


@dataclass(frozen=True, kw_only=True, slots=True)
class PodInfo:
    pod: Obj
    key: Key
    uid: str
    priority: int
    requests: Mapping[str, int]
    score_cpu: int
    score_memory: int
    ports: frozenset[HostPort]
    group: Hashable

    @property
    def spec(self) -> Obj:
        spec: Obj = self.pod["spec"]
        return spec

    @property
    def namespace(self) -> str:
        return self.key.namespace


def pod_info(pod: Obj) -> PodInfo:
    spec = pod["spec"]
    padded = pod_requests(spec, cpu=DEFAULT_CPU, memory=DEFAULT_MEMORY)
    return PodInfo(
        pod=pod,
        key=key_of(pod),
        uid=uid(pod),
        priority=spec.get("priority") or 0,
        requests=pod_requests(spec),
        score_cpu=padded.get("cpu", 0),
        score_memory=padded.get("memory", 0),
        ports=host_ports(spec),
        group=_group(pod),
    )


def shape_of(info: PodInfo) -> Hashable:
    """All that plugins look at. Most of it as text: comparing that costs less than parsing."""
    spec = info.spec
    spread, affinity = spec.get("topologySpreadConstraints"), spec.get("affinity")
    return (
        info.namespace,
        tuple(info.requests.items()),
        info.ports,
        info.group,
        repr((labels(info.pod), spread, affinity)) if spread or affinity else "",
        repr((spec.get("nodeSelector"), spec.get("tolerations"))),
        tuple([c.get("image") for c in spec.get("containers") or ()]),
    )


def is_terminal(pod: Obj) -> bool:
    return (pod.get("status") or {}).get("phase") in TERMINAL
