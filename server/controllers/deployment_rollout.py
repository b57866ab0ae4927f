"""Rollout: a Deployment with its ReplicaSets told apart into the new one and the old ones.

Pure. Which ReplicaSet is the new one is decided by comparing templates, never by name or hash,
so a change of how hashes are made (or of defaults) restarts nothing. Also here: the revision
annotations that ``kubectl rollout history`` and ``undo`` read, and the object of a new
ReplicaSet. As pkg/controller/deployment/util/deployment_util.go.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgek.api.conditions import Condition
from edgek.api.meta import (
    Obj,
    annotations,
    deep_copy,
    get_path,
    is_deleting,
    name,
    namespace,
    owner_reference,
    uid,
)
from edgek.kinds.pods import pod_template_hash, scaled_value
from server.controllers.pod_control import replicas_of

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"
HASH = "pod-template-hash"
HISTORY_LIMIT = 2000
"""Characters of REVISION_HISTORY, oldest dropped first (maxRevHistoryLengthInChars)."""
_NOT_COPIED = {
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.deployment.rollback.to",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAX,
}


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """``old`` has every other ReplicaSet, oldest first; ``progress`` is a Progressing condition
    that this reconcile brought about and that its status write is to carry."""

    deployment: Obj
    new: Obj | None
    old: Sequence[Obj] = ()
    progress: Condition | None = field(default=None)

    @property
    def all(self) -> list[Obj]:
        return [*self.old, *([self.new] if self.new else [])]

    @property
    def active_old(self) -> list[Obj]:
        return active(self.old)


def available_of(replica_set: Obj) -> int:
    return int(get_path(replica_set, "status", "availableReplicas", default=0))


def active(sets: Iterable[Obj]) -> list[Obj]:
    return [s for s in sets if replicas_of(s) > 0]


def total(sets: Iterable[Obj]) -> int:
    """The sum of spec.replicas."""
    return sum(replicas_of(s) for s in sets)


def by_age(sets: Iterable[Obj]) -> list[Obj]:
    """Oldest first, names as the tie (ReplicaSetsByCreationTimestamp)."""
    return sorted(sets, key=lambda s: (s["metadata"].get("creationTimestamp") or "", name(s)))


def is_rolling(deployment: Obj) -> bool:
    kind = get_path(deployment, "spec", "strategy", "type", default="RollingUpdate")
    return bool(kind == "RollingUpdate")


def fenceposts(deployment: Obj) -> tuple[int, int]:
    """maxSurge and maxUnavailable as numbers; both 0 would stand still, so one may be away."""
    if not is_rolling(deployment):
        return 0, 0
    limits = get_path(deployment, "spec", "strategy", "rollingUpdate", default={})
    wanted = replicas_of(deployment)
    surge = scaled_value(limits.get("maxSurge", "25%"), wanted, round_up=True)
    away = scaled_value(limits.get("maxUnavailable", "25%"), wanted, round_up=False)
    return surge, away if surge or away else 1


def max_surge(deployment: Obj) -> int:
    return fenceposts(deployment)[0]


def max_unavailable(deployment: Obj) -> int:
    """Never more than there are."""
    return min(fenceposts(deployment)[1], replicas_of(deployment))


def _same_template(replica_set: Obj, deployment: Obj) -> bool:
    return _without_hash(replica_set) == _without_hash(deployment)


def _without_hash(obj: Obj) -> Obj:
    template: Obj = get_path(obj, "spec", "template", default={})
    labels = dict(get_path(template, "metadata", "labels", default={}))
    labels.pop(HASH, None)
    meta = {k: v for k, v in (template.get("metadata") or {}).items() if v and k != "labels"}
    return {**template, "metadata": meta | {"labels": labels}}


def find_rollout(deployment: Obj, sets: Iterable[Obj]) -> Rollout:
    """Should several match the template, the oldest is the new one, so that all agree."""
    ordered = by_age(sets)
    new = next((s for s in ordered if _same_template(s, deployment)), None)
    old = [s for s in ordered if new is None or uid(s) != uid(new)]
    return Rollout(deployment=deployment, new=new, old=old)


def revision_of(obj: Obj) -> int:
    """The number in the revision annotation, 0 where there is none."""
    text = annotations(obj).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def next_revision(old: Iterable[Obj]) -> int:
    return max((revision_of(s) for s in old), default=0) + 1


def size_annotations(deployment: Obj) -> dict[str, str]:
    """What a ReplicaSet is told of its Deployment's size; a difference means it was scaled."""
    wanted = replicas_of(deployment)
    return {DESIRED: str(wanted), MAX: str(wanted + max_surge(deployment))}


def revised_annotations(rollout: Rollout) -> dict[str, str]:
    """The new ReplicaSet's annotations as they should be (SetNewReplicaSetAnnotations)."""
    deployment, new = rollout.deployment, rollout.new
    old = annotations(new) if new else {}
    out = {**old, **{k: v for k, v in annotations(deployment).items() if k not in _NOT_COPIED}}
    revision = next_revision(rollout.old)
    before = revision_of(new) if new else 0
    if before < revision:
        out[REVISION] = str(revision)
        if REVISION in old:  # a rollback: keep the numbers it had before
            out[REVISION_HISTORY] = _appended(old.get(REVISION_HISTORY, ""), old[REVISION])
    return out if new else out | size_annotations(deployment)


def _appended(history: str, revision: str) -> str:
    entries = [*(history.split(",") if history else ()), revision]
    while len(",".join(entries)) > HISTORY_LIMIT and len(entries) > 1:
        entries.pop(0)
    return ",".join(entries)


def new_replica_set(rollout: Rollout, replicas: int) -> Obj:
    """The object to create for the Deployment's template."""
    deployment = rollout.deployment
    spec: dict[str, Any] = deployment["spec"]
    collisions = get_path(deployment, "status", "collisionCount")
    hash_ = pod_template_hash(spec["template"], collisions)
    template = deep_copy(spec["template"])
    meta = template["metadata"] = {**(template.get("metadata") or {})}
    meta["labels"] = {**(meta.get("labels") or {}), HASH: hash_}
    selector = {**spec["selector"]}
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH: hash_}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name(deployment)}-{hash_}",
            "namespace": namespace(deployment),
            "labels": meta["labels"],
            "annotations": revised_annotations(rollout),
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": {
            "replicas": replicas,
            "minReadySeconds": spec.get("minReadySeconds") or 0,
            "selector": selector,
            "template": template,
        },
    }


def plan_cleanup(deployment: Obj, old: Iterable[Obj]) -> list[Obj]:
    """Old, empty ReplicaSets beyond spec.revisionHistoryLimit, lowest revision first."""
    limit = get_path(deployment, "spec", "revisionHistoryLimit", default=10)
    alive = [s for s in old if not is_deleting(s)]
    ordered = sorted(by_age(alive), key=revision_of)
    return [s for s in ordered[: max(0, len(alive) - limit)] if _is_empty(s)]


def _is_empty(replica_set: Obj) -> bool:
    status = replica_set.get("status") or {}
    seen = status.get("observedGeneration", 0) >= replica_set["metadata"].get("generation", 0)
    return seen and not replicas_of(replica_set) and not status.get("replicas")
