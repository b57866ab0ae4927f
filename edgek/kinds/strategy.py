"""The parts that most kinds' strategies are made of (upstream: pkg/registry/*/strategy.go).

A strategy is two functions of a Kind: ``prepare`` runs on create and update of the object
itself, ``prepare_status`` on an update of ``/status``. Both get the caller's own copy. Generation,
resourceVersion, uid and deletion fields are the registry's.
"""

from typing import Any

from edgek.api.meta import Obj
from edgek.kinds.kind import Prepare


def carry(obj: Obj, old: Obj | None, *fields: str) -> None:
    """Sets top-level ``fields`` to what ``old`` has; removes them where it has none."""
    for field in fields:
        if old is not None and field in old:
            obj[field] = old[field]
        else:
            obj.pop(field, None)


def carry_metadata(obj: Obj, old: Obj, *fields: str) -> None:
    """The same for fields of metadata."""
    carry(obj["metadata"], old["metadata"], *fields)


def keep_status(obj: Obj, old: Obj | None) -> None:
    """Users write spec; status is emptied on create and kept on update."""
    obj["status"] = (old or {}).get("status") or {}


def only_status(obj: Obj, old: Obj | None) -> None:
    """Writers of ``/status`` change status only.

    As metav1.ResetObjectMetaForStatus, of metadata only annotations and finalizers may change.
    """
    if old is None:
        return
    for field in {*obj, *old} - {"status", "metadata", "apiVersion", "kind"}:
        carry(obj, old, field)
    carry_metadata(
        obj, old, "deletionGracePeriodSeconds", "deletionTimestamp", "generation", "labels",
        "ownerReferences", "generateName",
    )  # fmt: skip


def steps(*prepares: Prepare) -> Prepare:
    """The prepares one after the other."""

    def run(obj: Obj, old: Obj | None) -> None:
        for prepare in prepares:
            prepare(obj, old)

    return run


def set_default(obj: Obj, field: str, value: Any) -> None:
    """Fills a field that is absent, null or empty text, as Go's zero values are."""
    if obj.get(field) in (None, ""):
        obj[field] = value


def ensure(obj: Obj, *path: str) -> Obj:
    """The dict at ``path``, made where it is missing."""
    for step in path:
        inner = obj.get(step)
        if inner is None:
            inner = obj[step] = {}
        obj = inner
    return obj
