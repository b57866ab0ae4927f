"""PodInfo: what scheduling needs to know of a pod, worked out once.

As framework.PodInfo upstream. Pods of one ReplicaSet differ in
nothing here but name and uid, which is what ``shape_of`` says: equal shapes get equal verdicts
on every node, and ``ranking`` keeps those.
"""

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from edgek.api.meta import Key, Obj, controller_of, key_of, labels, uid
from edgek.api.quantity import milli, value
from edgek.kinds.pods import is_sidecar, pod_requests

# As framework/types.go: what a container without requests counts for in scores, so that
# pods that ask for nothing still do not all land on one node.
DEFAULTS = {"cpu": "100m", "memory": "200Mi"}

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


@lru_cache(maxsize=256)
def _demands(text: str) -> tuple[Amounts, int, int]:
    """Requests, and the cpu and memory that scores go by, of the parts of a spec in ``text``.

    Pods of one template share the answer, so adding up exact quantities is done once for all.
    """
    spec = json.loads(text)
    requests = _whole(pod_requests({"spec": spec}))
    for container in (*spec["containers"], *spec["initContainers"]):
        resources = container["resources"] = container.get("resources") or {}
        resources["requests"] = DEFAULTS | (resources.get("requests") or {})
    padded = _whole(pod_requests({"spec": spec}))
    return requests, padded.get("cpu", 0), padded.get("memory", 0)


def _whole(exact: Mapping[str, Fraction]) -> Amounts:
    return {
        name: -(-number * (1000 if name == "cpu" else 1) // 1) for name, number in exact.items()
    }


def _demanding(spec: Obj) -> str:
    """The parts of a spec that say what the pod asks for."""
    kept = ("resources", "restartPolicy")
    parts: Obj = {name: spec.get(name) for name in ("resources", "overhead")}
    for field in ("containers", "initContainers"):
        found = spec.get(field) or ()
        parts[field] = [{name: c[name] for name in kept if name in c} for c in found]
    return json.dumps(parts)


def host_ports(spec: Obj) -> frozenset[HostPort]:
    containers = [*(spec.get("containers") or ())]
    containers += [c for c in spec.get("initContainers") or () if is_sidecar(c)]
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
    requests, score_cpu, score_memory = _demands(_demanding(spec))
    return PodInfo(
        pod=pod,
        key=key_of(pod),
        uid=uid(pod),
        priority=spec.get("priority") or 0,
        requests=requests,
        score_cpu=score_cpu,
        score_memory=score_memory,
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
