"""Pressure: the node runs short of memory, disk or process ids, and does something about it.

::

    signals.py   what is left of what, and which thresholds that crosses (pure)
    state.py     conditions, grace and transition periods (pure)
    period.py    when to look again (pure)
    ranking.py   which pod goes first, and the words for it (pure)
    limits.py    pods above their own limits of local storage (pure)
    reading.py   the machine's figures           psi.py      the kernel's call: memory is short
    disk.py      what a pod has on disk          images.py   images that nobody uses go
    evictor.py   the shell: looks, tells the conditions, frees, evicts
"""
