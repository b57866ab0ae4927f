"""Figures about edgek: ``python -m bench NAME`` (``python -m bench`` lists the names).

Every benchmark of the server starts a real one: its own process, TLS, a database on disk.
Machines are noisy, so each figure is also given as a ratio against a reference that is measured
beside it (``reference.py``): compare ratios between commits, figures only on a quiet machine.
docs/performance.md holds what was measured and where the time goes.
"""
