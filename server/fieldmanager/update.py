"""What a create, update or patch makes of the entries: pure.

Whoever changes a field owns it from then on and nobody else; what is removed is nobody's. The
writer's time moves only where the write changed something. As structured-merge-diff
merge/update.go Updater.Update and apimachinery's managedfieldsupdater.go.
"""

from collections.abc import Mapping

from edgek.api.meta import Obj
from edgek.schema.fieldset import Fields, difference, union
from edgek.schema.typed import Comparison
from server.fieldmanager.entries import Entries, Writer, capped, fields_of, identity, in_order

Comparisons = Mapping[str, Comparison]
"""By apiVersion: what the write changed, as that version shows it. A version that is not there
any more has none, and its entries go."""


def plan_update(entries: Entries, seen: Comparisons, writer: Writer) -> Entries:
    """The entries after a write."""
    mine = seen[writer.api_version].changed
    kept = disowned(entries, seen)
    if mine:
        kept = _with(kept, mine, writer)
    elif kept is entries:
        return entries
    return in_order(capped(kept))


def disowned(entries: Entries, seen: Comparisons) -> Entries:
    """The entries without what was changed or removed; the same list where that is nothing."""
    changed = {version: comparison.changed for version, comparison in seen.items()}
    out = []
    for entry in entries:
        version = entry.get("apiVersion", "")
        if version in seen:
            fields = fields_of(entry)
            left = _left(fields, changed[version], seen[version].removed)
            if left is fields:
                out.append(entry)
            elif left:
                out.append({**entry, "fieldsV1": left})
    same = len(out) == len(entries) and all(a is b for a, b in zip(out, entries, strict=True))
    return entries if same else out


def _left(fields: Fields, changed: Fields, removed: Fields) -> Fields:
    return difference(difference(fields, changed), removed)


def _with(kept: Entries, mine: Fields, writer: Writer) -> list[Obj]:
    out = []
    for entry in kept:
        if identity(entry) == writer.identity:
            mine = union(fields_of(entry), mine)
        else:
            out.append(entry)
    out.append(writer.entry(mine))
    return out
