"""PodInfo: what scheduling needs to know of a pod, worked out once.

As framework.PodInfo upstream. Pods of one ReplicaSet differ in
nothing here but name and uid, which is what ``shape_of`` says: equal shapes get equal verdicts
on every node, and ``ranking`` keeps those. What a pod asks for is in ``demands``.
"""

from collections.abc import Hashable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from edgek.api.meta import Key, Obj, controller_of, is_deleting, key_of, labels, uid
from edgek.kinds.pods import claims_of, is_sidecar
from server.scheduler.affinity import Kin, PodTerms, parse_terms
from server.scheduler.demands import demands

DISKS = ("gcePersistentDisk", "awsElasticBlockStore", "iscsi", "rbd")


class HostPort(NamedTuple):
    ip: str
    protocol: str
    port: int


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


def disks_of(spec: Obj) -> Iterator[Obj]:
    """The volumes named in the pod itself that two pods of a node may not share."""
    for volume in spec.get("volumes") or ():
        if any(kind in volume for kind in DISKS):
            yield volume


class PodInfo(NamedTuple):
    """NB: a tuple because one is made for every pod, and that costs a third of a dataclass."""

    pod: Obj
    key: Key
    uid: str
    priority: int
    requests: Mapping[str, int]
    score_cpu: int
    score_memory: int
    ports: frozenset[HostPort]
    group: Hashable
    kin: Kin
    terms: PodTerms | None
    claims: tuple[Key, ...]
    disks: tuple[Obj, ...]

    @property
    def spec(self) -> Obj:
        spec: Obj = self.pod["spec"]
        return spec

    @property
    def namespace(self) -> str:
        return self.key.namespace

    @property
    def has_volumes(self) -> bool:
        """Of the kinds that bear on where it can be."""
        return bool(self.claims or self.disks)


def pod_info(pod: Obj) -> PodInfo:
    spec, key = pod["spec"], key_of(pod)
    requests, score_cpu, score_memory = demands(pod)
    has_volumes = bool(spec.get("volumes"))
    return PodInfo(
        pod=pod,
        key=key,
        uid=uid(pod),
        priority=spec.get("priority") or 0,
        requests=requests,
        score_cpu=score_cpu,
        score_memory=score_memory,
        ports=host_ports(spec),
        group=_group(pod),
        kin=_kin(key.namespace, tuple(labels(pod).items()), is_deleting(pod)),
        terms=parse_terms(spec, key.namespace) if spec.get("affinity") else None,
        claims=tuple(claims_of(pod)) if has_volumes else (),
        disks=tuple(disks_of(spec)) if has_volumes else (),
    )


@lru_cache(maxsize=1024)
def _kin(namespace: str, labels: tuple[tuple[str, str], ...], deleting: bool) -> Kin:
    """Pods of one template share it: thousands of equal sets would be memory for nothing."""
    return Kin(namespace, frozenset(labels), deleting)


def shape_of(info: PodInfo, *, by_labels: bool = False) -> Hashable:
    """All that plugins look at. Most of it as text: comparing that costs less than parsing.

    ``by_labels``: pods that are placed say something of others by their labels.
    """
    spec = info.spec
    spread, affinity = spec.get("topologySpreadConstraints"), spec.get("affinity")
    selector, tolerations = spec.get("nodeSelector"), spec.get("tolerations")
    return (
        info.namespace,
        tuple(info.requests.items()),
        info.ports,
        info.group,
        info.kin.labels if by_labels or spread or affinity else None,
        repr((spread, affinity)) if spread or affinity else "",
        repr((selector, tolerations)) if selector or tolerations else "",
        tuple([c.get("image") for c in spec.get("containers") or ()]),
        (info.claims, repr(info.disks)) if info.has_volumes else None,
    )
