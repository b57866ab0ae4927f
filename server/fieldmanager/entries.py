"""The list metadata.managedFields: who its entries are, in which order, and how many.

An entry stays the dict that is stored; its ``fieldsV1`` is a set as edgek/schema/fieldset.py
knows it. Entries and their sets are shared with what is stored and never changed. As
apimachinery util/managedfields/internal managedfields.go and capmanagers.go.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from edgek.api.meta import Obj
from edgek.schema.fieldpath import normalized
from edgek.schema.fieldset import Fields, union

APPLY, UPDATE = "Apply", "Update"
MAX_UPDATERS = 10
ANCIENT = "ancient-changes"
Identity = tuple[str, str, str, str]
Entries = Sequence[Obj]


class Writer(NamedTuple):
    """Who writes, in which version and through which URL, and when (RFC 3339)."""

    manager: str
    api_version: str
    now: str
    subresource: str = ""
    operation: str = UPDATE

    @property
    def identity(self) -> Identity:
        version = "" if self.operation == APPLY else self.api_version
        return self.manager, self.operation, version, self.subresource

    def entry(self, fields: Fields) -> Obj:
        entry: Obj = {"manager": self.manager, "operation": self.operation,
                      "apiVersion": self.api_version, "time": self.now,
                      "fieldsType": "FieldsV1", "fieldsV1": fields}  # fmt: skip
        if self.subresource:
            entry["subresource"] = self.subresource
        return entry


def identity(entry: Mapping[str, Any]) -> Identity:
    """What makes two entries the same manager's; an applier is the same in every version."""
    operation = entry.get("operation", "")
    version = "" if operation == APPLY else entry.get("apiVersion", "")
    return entry.get("manager", ""), operation, version, entry.get("subresource", "")


def fields_of(entry: Mapping[str, Any]) -> Fields:
    fields: Fields = entry.get("fieldsV1") or {}
    return fields


def find(entries: Iterable[Obj], wanted: Identity) -> Obj | None:
    return next((e for e in entries if identity(e) == wanted), None)


def held_by(live: Mapping[str, Any]) -> Entries:
    """A stored object's entries."""
    entries: Entries = (live.get("metadata") or {}).get("managedFields") or ()
    return entries


def without_entries(obj: Obj) -> Obj:
    """The object as those see it to whom it is the same who owns a field. Not a copy where there
    are no entries."""
    meta = obj.get("metadata")
    if not meta or "managedFields" not in meta:
        return obj
    bare = dict(meta)
    del bare["managedFields"]
    return {**obj, "metadata": bare}


def to_start_from(live: Obj, given: Any, *, subresource: str) -> Entries:
    """The entries that a write starts from: those of the body where it may and does bring its
    own, else the stored ones, so that clients which do not know managedFields keep them. An empty
    list, or one empty entry, is the wish to forget them all (decodeLiveOrNew)."""
    mine = held_by(live)
    if subresource or given is None or given == mine:
        return mine
    if given in ([], [{}]):
        return ()
    return decoded(given) or mine


def decoded(given: Any) -> Entries | None:
    """Entries from outside; None where they make no sense."""
    out: dict[Identity, Obj] = {}
    try:
        for entry in given:
            if entry.get("operation") not in (APPLY, UPDATE) or not entry.get("apiVersion"):
                return None
            if entry.get("fieldsType") != "FieldsV1":
                return None
            fields = normalized(entry.get("fieldsV1") or {})
            out[identity(entry)] = {**entry, "fieldsV1": fields}
    except (ValueError, AttributeError, TypeError):
        return None
    return list(out.values())


def in_order(entries: Iterable[Obj]) -> list[Obj]:
    """Appliers first, then by time. RFC 3339 in UTC sorts as text."""
    return sorted(
        entries,
        key=lambda e: (
            e.get("operation", ""), e.get("time") or "", e.get("manager", ""),
            e.get("apiVersion", ""), e.get("subresource", ""),
        ),
    )  # fmt: skip


def capped(entries: Entries, *, most: int = MAX_UPDATERS) -> Entries:
    """At most so many entries of updates: the oldest of one version become one entry."""
    updaters = [e for e in entries if e.get("operation") != APPLY]
    if len(updaters) <= most:
        return entries
    updaters.sort(key=lambda e: (e.get("time") or "", identity(e)))
    over = len(updaters) - most
    first: dict[str, Obj] = {}
    buckets: dict[str, Obj] = {}
    gone: list[Obj] = []
    for entry in updaters:
        version = entry.get("apiVersion", "")
        if over == 0:
            break
        if version not in first:
            first[version] = entry
            continue
        if version not in buckets:
            gone.append(first[version])
        bucket = buckets.get(version) or first[version]
        buckets[version] = _bucket(version, bucket, entry)
        gone.append(entry)
        over -= 1
    kept = [e for e in entries if not any(e is g for g in gone)]
    return [*kept, *buckets.values()]


def _bucket(version: str, old: Obj, newer: Obj) -> Obj:
    writer = Writer(manager=ANCIENT, api_version=version, now=newer.get("time") or "")
    return writer.entry(union(fields_of(newer), fields_of(old)))
