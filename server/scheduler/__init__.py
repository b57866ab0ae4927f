"""The scheduler: gives each pod without a node the node that suits it best.

``queue`` (what waits) -> ``snapshot`` (what is where) -> ``ranking`` (which node, by the filter
and score ``plugins``) -> ``scheduler`` (assume at once, bind in the background). All but the
last are pure: no I/O, no clock, so a decision takes microseconds and can be tested as data.
"""
