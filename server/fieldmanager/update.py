"""What a create, update or patch makes of the entries: pure.

Whoever changes a field owns it from then on and nobody else; what is removed is nobody's. The
writer's time moves only where the write changed something. As structured-merge-diff
merge/update.go Updater.Update and apimachinery's managedfieldsupdater.go.
"""

from collections.abc import Mapping

from edgek.api.meta import Obj
from edgek.schema.fieldset import Fields, contains, difference, union
from edgek.schema.typed import Comparison
from server.fieldmanager.entries import Entries, Writer, capped, fields_of, identity, in_order

Comparisons = Mapping[str, Comparison]
"""By apiVersion: what the write changed, as that version shows it. A version that is not there
any more has none, and its entries go."""


def plan_update(entries: Entries, seen: Comparisons, writer: Writer) -> Entries:
    """The entries after a write; the same list where they stay as they are."""
    own = seen[writer.api_version]
    changed = own.changed
    who = writer.identity
    mine = next((e for e in entries if identity(e) == who), None)
    others = [e for e in entries if e is not mine]
    left = disowned(others, seen)
    before = fields_of(mine) if mine is not None else {}
    kept = difference(before, own.removed)
    if not changed and kept is before and left is others:
        return entries
    after = list(left)
    if changed:
        after.append(writer.entry(_with(kept, changed)))
    elif kept and mine is not None:
        after.append({**mine, "fieldsV1": kept})
    return in_order(capped(after))


def _with(fields: Fields, more: Fields) -> Fields:
    """NB: mostly a writer changes again what it owns already, and then its set stays shared."""
    return fields if contains(fields, more) else union(fields, more)


def disowned(entries: Entries, seen: Comparisons) -> Entries:
    """The entries without what was changed or removed; the same list where that is nothing."""
    out: list[Obj] = []
    same = True
    for entry in entries:
        comparison = seen.get(entry.get("apiVersion", ""))
        fields = fields_of(entry)
        left = _without(fields, comparison) if comparison is not None else {}
        if left is fields:
            out.append(entry)
            continue
        same = False
        if left:
            out.append({**entry, "fieldsV1": left})
    return entries if same else out


def _without(fields: Fields, comparison: Comparison) -> Fields:
    for gone in (comparison.added, comparison.modified, comparison.removed):
        if gone:
            fields = difference(fields, gone)
    return fields
