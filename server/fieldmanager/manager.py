"""FieldManager: keeps metadata.managedFields true through every write.

The registry calls it with the object as the request wants it, before admission changes it (as
upstream's handlers), and stores what it returns.
"""

from collections.abc import Callable
from dataclasses import dataclass

from edgek.api import errors
from edgek.api.meta import Obj
from edgek.kinds.kind import Kind
from edgek.schema.fieldset import Fields, has
from edgek.schema.reconcile import reconciled
from edgek.schema.schema import Schema, schema_of
from edgek.schema.typed import Comparison, compare, created
from server.fieldmanager.applied import check_applied
from server.fieldmanager.apply import View, apply
from server.fieldmanager.conflict import conflict_error
from server.fieldmanager.entries import (
    APPLY,
    UPDATE,
    Entries,
    Writer,
    fields_of,
    held_by,
    in_order,
    to_start_from,
    without_entries,
)
from server.fieldmanager.last_applied import KUBECTL, allowed_conflicts, with_last_applied
from server.fieldmanager.reset import reset_fields, skipped, skipped_meta
from server.fieldmanager.update import Comparisons, plan_update

FindKind = Callable[[str, str, str], Kind | None]
BEFORE_FIRST_APPLY = "before-first-apply"
_EMPTY: Obj = {}


def schema_for(kind: Kind) -> Schema:
    return schema_of(kind) if kind.shape is None else kind.shape.schema


def _no_other(group: str, version: str, plural: str) -> Kind | None:
    return None


@dataclass(frozen=True)
class FieldManager:
    """``find`` gives the kind of a group, version and plural that is served."""

    find: FindKind = _no_other

    def created(self, kind: Kind, obj: Obj, writer: Writer) -> None:
        """Puts the entries of a new object into it: whoever makes it owns all of it."""
        meta = obj["metadata"]
        given = meta.pop("managedFields", None)
        made = _created(kind, obj)
        if given is None:
            if made:
                meta["managedFields"] = [writer.entry(made)]
            return
        start = to_start_from(_EMPTY, given, subresource="")
        seen = {kind.api_version: Comparison(added=made)}
        _set(obj, plan_update(start, seen, writer))

    async def updated(self, kind: Kind, live: Obj, obj: Obj, writer: Writer) -> None:
        """Puts the entries after an update or patch into ``obj``."""
        given = obj["metadata"].pop("managedFields", None)
        start = to_start_from(live, given, subresource=writer.subresource)
        start = _of_today(kind, start, live)
        if not start:
            return  # not tracked, and not from now on (skipnonapplied.go)
        seen: dict[str, Comparison] = {
            kind.api_version: _compare(kind, writer.subresource, live, obj)
        }
        others = {e.get("apiVersion", "") for e in start} - seen.keys()
        if others:
            try:
                versions = _Versions(kind, writer.subresource, self.find)
                seen |= await versions.compare(live, obj, others)
            except errors.ApiError:
                _set(obj, held_by(live))  # UpdateNoErrors: what is there is better than nothing
                return
        after = plan_update(start, seen, writer)
        _set(obj, after if after is start is held_by(live) else in_order(after))

    async def applied(
        self, kind: Kind, live: Obj | None, config: Obj, writer: Writer, *, force: bool
    ) -> Obj:
        """The live object (None: there is none yet) with ``config`` applied, and its entries.
        Raises BadRequest, and Conflict where others own what would change."""
        schema = schema_for(kind)
        check_applied(kind, config, schema)
        writer = writer._replace(operation=APPLY)
        base = live if live is not None else _EMPTY
        start = _of_today(kind, held_by(base), base)
        start = start or self._before_first_apply(kind, live, writer)
        bare = without_entries(base)
        ignored = reset_fields(kind, writer.subresource, bare, config)
        versions = _Versions(kind, writer.subresource, self.find)
        result = await apply(bare, start, config, versions=versions, writer=writer, ignored=ignored)
        conflicts = result.conflicts
        if conflicts and writer.manager == KUBECTL:
            allowed = allowed_conflicts(bare, schema, kind.api_version)
            conflicts = [c for c in conflicts if not has(allowed, c.path)]
        if conflicts and not force:
            raise conflict_error(conflicts)
        obj = {**result.obj, "metadata": {**(result.obj.get("metadata") or {})}}
        if writer.manager == KUBECTL:
            obj = with_last_applied(obj, config)
        _set(obj, result.entries)
        return obj

    def _before_first_apply(self, kind: Kind, live: Obj | None, writer: Writer) -> Entries:
        """One entry for all that is in an object whose fields nobody tracked."""
        if live is None:
            return ()
        first = writer._replace(manager=BEFORE_FIRST_APPLY, operation=UPDATE)
        made = _created(kind, live, writer.subresource)
        return [first.entry(made)] if made else ()


def _of_today(kind: Kind, entries: Entries, live: Obj) -> Entries:
    """The entries under the schema that a custom kind has now."""
    if not kind.custom or not entries:
        return entries
    schema, out = schema_for(kind), []
    for entry in entries:
        before = fields_of(entry)
        after = before
        if entry.get("apiVersion") == kind.api_version:
            after = reconciled(before, live, schema)
        out.append(entry if after is before else {**entry, "fieldsV1": after})
    same = all(a is b for a, b in zip(out, entries, strict=True))
    return entries if same else out


def _set(obj: Obj, entries: Entries) -> None:
    if entries:
        obj["metadata"]["managedFields"] = entries
    else:
        obj["metadata"].pop("managedFields", None)


def _created(kind: Kind, obj: Obj, subresource: str = "") -> Fields:
    skip = skipped(kind, subresource, obj)
    return created(obj, schema_for(kind), skip=skip, skip_meta=skipped_meta(subresource))


def _compare(kind: Kind, subresource: str, old: Obj, new: Obj) -> Comparison:
    return compare(
        old,
        new,
        schema_for(kind),
        skip=skipped(kind, subresource, old, new),
        skip_meta=skipped_meta(subresource),
    )


@dataclass(frozen=True)
class _Versions:
    """The versions of one kind, through the one it is stored in."""

    kind: Kind
    subresource: str
    find: FindKind

    async def view(self, obj: Obj, api_version: str) -> View | None:
        kind = self._kind(api_version)
        return None if kind is None else View(await self._shown(obj, kind), schema_for(kind))

    async def compare(self, old: Obj, new: Obj, api_versions: set[str]) -> Comparisons:
        out: dict[str, Comparison] = {}
        for api_version in api_versions:
            kind = self._kind(api_version)
            if kind is None:
                continue
            before = await self._shown(old, kind) if old else old
            after = await self._shown(new, kind)
            out[api_version] = _compare(kind, self.subresource, before, after)
        return out

    async def _shown(self, obj: Obj, kind: Kind) -> Obj:
        """``obj`` may be of any version: what was turned to an older one is turned back."""
        own = self._kind(obj.get("apiVersion") or "") or self.kind
        if kind == own:
            return obj
        stored = await own.conversion.store(obj) if own.conversion else obj
        return (await kind.conversion.serve([stored]))[0] if kind.conversion else stored

    def _kind(self, api_version: str) -> Kind | None:
        if api_version == self.kind.api_version:
            return self.kind
        group, _, version = api_version.rpartition("/")
        found = self.find(group, version, self.kind.plural)
        same = found is not None and found.storage_prefix == self.kind.storage_prefix
        return found if same else None
