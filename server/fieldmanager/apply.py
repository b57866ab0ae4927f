"""Server-side apply: the live object with a configuration over it, and who owns what then.

The configuration is everything that its manager wants: what it named last time and does not name
any more goes, unless somebody else owns it. What others own it may only change by force. As
structured-merge-diff merge/update.go Updater.Apply and prune.

Pure but for ``Versions``: entries may speak of other versions of the kind, and showing an object
in one of those may ask a conversion webhook.
"""

from dataclasses import dataclass
from typing import Protocol

from edgek.api.meta import Obj
from edgek.schema.fieldset import (
    Fields,
    contains,
    difference,
    intersection,
    recursive_difference,
    union,
)
from edgek.schema.merge import merge, remove, with_named
from edgek.schema.schema import Schema
from edgek.schema.typed import Comparison, extract
from server.fieldmanager.conflict import FieldConflict, conflicts_of
from server.fieldmanager.entries import APPLY, Entries, Writer, fields_of, find, identity, in_order
from server.fieldmanager.reset import STRIPPED
from server.fieldmanager.update import Comparisons, disowned


@dataclass(frozen=True, slots=True)
class View:
    """An object in one version of its kind."""

    obj: Obj
    schema: Schema


class Versions(Protocol):
    async def view(self, obj: Obj, api_version: str) -> View | None:
        """``obj`` in that version; None where the kind has it no more. Raises ApiError."""

    async def compare(self, old: Obj, new: Obj, api_versions: set[str]) -> Comparisons:
        """What differs, as each of these versions shows it, but for what nobody owns."""


@dataclass(frozen=True, slots=True)
class Applied:
    """``conflicts`` are other managers' fields that the object would change. ``entries`` hold
    what is so once they are overcome."""

    obj: Obj
    entries: Entries
    conflicts: list[FieldConflict]


async def apply(
    live: Obj, entries: Entries, config: Obj, *, versions: Versions, writer: Writer, ignored: Fields
) -> Applied:
    """``ignored`` is what the URL cannot set."""
    own = await _view(versions, config, writer.api_version)
    wanted = recursive_difference(extract(config, own.schema), ignored)
    last = find(entries, writer.identity)
    others = [e for e in entries if e is not last]
    merged = merge(live, config, own.schema)
    after = [*others, {**writer.entry(wanted), "operation": APPLY}]
    obj = await _pruned(merged, last, after, writer, versions)
    seen = await versions.compare(live, obj, {e["apiVersion"] for e in after})
    found = [(e, _conflicting(e, seen)) for e in others if e["apiVersion"] in seen]
    kept = list(disowned(others, seen))
    mine = difference(wanted, STRIPPED)
    if mine:
        kept.append(_own_entry(mine, last, writer, changed=obj != live))
    conflicts = conflicts_of([(e, fields) for e, fields in found if fields])
    return Applied(obj, in_order(kept), conflicts)


def _conflicting(entry: Obj, seen: Comparisons) -> Fields:
    comparison: Comparison = seen[entry["apiVersion"]]
    return intersection(fields_of(entry), comparison.changed)


def _own_entry(mine: Fields, last: Obj | None, writer: Writer, *, changed: bool) -> Obj:
    """Its time stays where neither the object nor what is owned changed."""
    entry = writer.entry(mine)
    if last is not None and not changed and "time" in last:
        same = fields_of(last) == mine and last["apiVersion"] == entry["apiVersion"]
        entry["time"] = last["time"] if same else entry["time"]
    return entry


async def _pruned(
    merged: Obj, last: Obj | None, entries: Entries, writer: Writer, versions: Versions
) -> Obj:
    """Without what the manager applied last time and nobody owns now."""
    own = next(e for e in entries if identity(e) == writer.identity)
    if last is None or not fields_of(last):
        return merged
    if last["apiVersion"] == writer.api_version and contains(fields_of(own), fields_of(last)):
        return merged  # it names all that it named before
    then = await versions.view(merged, last["apiVersion"])
    if then is None:
        return merged
    named = with_named(fields_of(last), then.schema)
    pruned = remove(then.obj, named, then.schema) or {}
    pruned = await _with_owned(then, pruned, last["apiVersion"], entries, versions)
    gone = difference(_all(then.obj, then.schema), _all(pruned, then.schema))
    left = remove(then.obj, intersection(gone, named), then.schema) or {}
    back = View(left, then.schema)
    if last["apiVersion"] != writer.api_version:
        back = await _view(versions, left, writer.api_version)
    return back.obj


def _all(obj: Obj, schema: Schema) -> Fields:
    return with_named(extract(obj, schema), schema)


async def _with_owned(
    then: View, pruned: Obj, version: str, entries: Entries, versions: Versions
) -> Obj:
    """``pruned`` and again what any manager owns, version after version, that of the last apply
    first: what it lost may be needed to convert."""
    owned: dict[str, Fields] = {version: {}}
    for entry in entries:
        held = owned.get(entry["apiVersion"], {})
        owned[entry["apiVersion"]] = union(held, fields_of(entry))
    for api_version, fields in owned.items():
        full, cut = then, View(pruned, then.schema)
        if api_version != version:
            shown = await versions.view(then.obj, api_version)
            shown_cut = await versions.view(pruned, api_version)
            if shown is None or shown_cut is None:
                continue
            full, cut = shown, shown_cut
        kept = union(_all(cut.obj, cut.schema), with_named(fields, full.schema))
        gone = difference(_all(full.obj, full.schema), kept)
        pruned = remove(full.obj, gone, full.schema) or {}
        if api_version != version:
            pruned = (await _view(versions, pruned, version)).obj
    return pruned


async def _view(versions: Versions, obj: Obj, api_version: str) -> View:
    found = await versions.view(obj, api_version)
    assert found is not None, f"the version {api_version} of this request is not served"
    return found
