"""The history of a workload's template, as ControllerRevisions.

Used by workloads that have no ReplicaSets to remember templates by. A revision's ``data`` is the
patch that ``kubectl rollout undo`` applies; its hash labels the pods made from it. Which revision
is the current one is decided by comparing data, never by hash. As
pkg/controller/history/controller_history.go and pkg/controller/daemon/update.go.
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass

from edgek.api.meta import Obj, annotations, get_path, labels, name, namespace, owner_reference
from edgek.kinds.pods import pod_template_hash

HASH = "controller-revision-hash"
PLAIN_HASH = "controller.kubernetes.io/hash"
"""How revisions are labelled whose pods carry their names, not their hashes."""


@dataclass(frozen=True, kw_only=True)
class History:
    """``current`` is None until the template has a revision; ``old`` has the others, oldest
    revision first; ``doubles`` are further revisions of the current template."""

    current: Obj | None
    old: list[Obj]
    doubles: list[Obj]

    @property
    def all(self) -> list[Obj]:
        """Oldest revision first."""
        known = [*self.old, *self.doubles, *([self.current] if self.current else [])]
        return sorted(known, key=lambda r: (revision_of(r), name(r)))

    @property
    def next_revision(self) -> int:
        return max((revision_of(r) for r in self.old), default=0) + 1


def revision_of(revision: Obj) -> int:
    return int(revision.get("revision") or 0)


def hash_label(obj: Obj) -> str:
    return labels(obj).get(HASH, "")


def template_patch(owner: Obj) -> Obj:
    """What a revision keeps: a strategic merge patch that puts this template back whole."""
    return {"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}}


def find_history(owner: Obj, revisions: Iterable[Obj]) -> History:
    patch = template_patch(owner)
    ordered = sorted(revisions, key=lambda r: (revision_of(r), name(r)))
    same = [r for r in ordered if r.get("data") == patch]
    return History(
        current=same[-1] if same else None,
        old=[r for r in ordered if r.get("data") != patch],
        doubles=same[:-1],
    )


def new_revision(owner: Obj, revision: int, hash_key: str = HASH) -> Obj:
    """The object to create for the owner's present template; ``hash_key`` labels it."""
    template = owner["spec"]["template"]
    hash_ = pod_template_hash(template, get_path(owner, "status", "collisionCount"))
    own = get_path(template, "metadata", "labels", default={})
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{name(owner)}-{hash_}",
            "namespace": namespace(owner),
            "labels": {**own, hash_key: hash_},
            "annotations": annotations(owner),
            "ownerReferences": [owner_reference(owner)],
        },
        "data": template_patch(owner),
        "revision": revision,
    }


def plan_history_cleanup(owner: Obj, history: History, live_hashes: Set[str]) -> list[Obj]:
    """The oldest revisions beyond spec.revisionHistoryLimit that no pod is of, and doubles."""
    limit = get_path(owner, "spec", "revisionHistoryLimit", default=10)
    surplus = max(0, len(history.old) - limit)
    unused = [r for r in history.old if hash_label(r) not in live_hashes]
    doubles = [r for r in history.doubles if hash_label(r) not in live_hashes]
    return unused[:surplus] + doubles


def plan_truncation(owner: Obj, history: History, live: Set[str]) -> list[Obj]:
    """The oldest revisions beyond spec.revisionHistoryLimit, where ``live`` names those that a
    pod or the status is of. As stateful_set_control.go truncateHistory."""
    limit = get_path(owner, "spec", "revisionHistoryLimit", default=10)
    unused = [r for r in history.all if name(r) not in live]
    return unused[: max(0, len(unused) - limit)]
