"""Who set which field: metadata.managedFields of every write, and server-side apply.

entries.py   the list: identity, order, what is read of a body, the cap on updaters
update.py    what a create, update or patch makes of it (pure)
apply.py     server-side apply: merge, prune, conflicts
conflict.py  the 409 in upstream's words     reset.py     fields that a URL cannot set
applied.py   checks of an applied body       last_applied.py  kubectl's annotation
manager.py   the door: FieldManager, used by the registry
"""
