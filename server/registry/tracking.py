"""Between the registry and the field manager: who owns what after a write.

Entries are made before admission changes the object (as upstream's handlers), kept through
preparation, and left as they were where nothing but their times would change.
"""

import orjson

from edgek.api.meta import Obj
from edgek.kinds.kind import Kind
from server.fieldmanager.entries import Entries, Writer, decoded, held_by
from server.fieldmanager.manager import FieldManager
from server.registry.write import How, WriteContext

INVALID = (
    ".metadata.managedFields was in an invalid state after admission; this could be caused by an "
    "outdated mutating admission controller; please fix your requests"
)


def writer_of(kind: Kind, context: WriteContext, how: How, now: str) -> Writer:
    return Writer(
        manager=context.manager,
        api_version=kind.api_version,
        subresource=how.subresource,
        now=now,
    )


async def track_update(
    fields: FieldManager, kind: Kind, obj: Obj, old: Obj, writer: Writer, *, tracked: bool
) -> None:
    """Puts the entries after an update into ``obj``."""
    if tracked and writer.manager:
        await fields.updated(kind, old, obj, writer)
    else:
        keep_entries(obj, held_by(old))


def keep_entries(obj: Obj, entries: Entries) -> None:
    if entries:
        obj["metadata"]["managedFields"] = entries
    else:
        obj["metadata"].pop("managedFields", None)


def after_admission(obj: Obj, before: Entries, warnings: list[str]) -> Entries:
    """The entries of an object that admission had in its hands: its own where they make sense."""
    entries = held_by(obj)
    if entries is before or entries == before:
        return before
    if not entries or decoded(entries) is not None:
        return entries
    warnings.append(INVALID)
    return before


def tidy_metadata(obj: Obj, warnings: list[str]) -> None:
    """As ObjectMeta is written: what is empty is not there at all."""
    meta = obj["metadata"]
    for field in ("labels", "annotations", "ownerReferences", "finalizers"):
        if field in meta and not meta[field]:
            del meta[field]
    _once_each_owner(obj, warnings)


def _once_each_owner(obj: Obj, warnings: list[str]) -> None:
    """Drops owner references that come again, and warns of them. As handlers/create.go
    dedupOwnerReferencesAndAddWarning."""
    owners = obj["metadata"].get("ownerReferences")
    if not owners or len(owners) < 2:
        return
    kept: dict[bytes, Obj] = {}
    twice: dict[str, None] = {}
    for owner in owners:
        key = orjson.dumps(owner, option=orjson.OPT_SORT_KEYS)
        if key in kept:
            twice[owner.get("uid", "")] = None
        else:
            kept[key] = owner
    if twice:
        obj["metadata"]["ownerReferences"] = list(kept.values())
        warnings.append(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner "
            "references in 1.20+, and may reject such requests as early as 1.24; please fix your "
            f"requests; duplicate UID(s) observed: {', '.join(twice)}"
        )


def same_but_times(new: Obj, old: Obj) -> bool:
    """Whether a write would change nothing but the times of entries (as
    IgnoreManagedFieldsTimestampsTransformer)."""
    if new == old:
        return True
    if new.keys() != old.keys() or any(new[k] != old[k] for k in new if k != "metadata"):
        return False
    fresh, before = new["metadata"], old["metadata"]
    if fresh.keys() != before.keys():
        return False
    if any(fresh[k] != before[k] for k in fresh if k != "managedFields"):
        return False
    return _timeless(held_by(new)) == _timeless(held_by(old))


def _timeless(entries: Entries) -> list[Obj]:
    return [{k: v for k, v in entry.items() if k != "time"} for entry in entries]
