"""The scheduler: gives each pod without a node the node that suits it best.

``following`` (what the cluster says) -> ``queue`` (what waits) and ``snapshot`` (what is where) ->
``rankings`` (which node, by the filter and score ``plugins``) or ``preemption`` (who would have to
go) -> ``scheduler`` (assume at once, write in the background: ``binding``, ``volume_binding``,
``preempting``). What decides is pure: no I/O, no clock, so a decision takes microseconds and can
be tested as data.
"""
