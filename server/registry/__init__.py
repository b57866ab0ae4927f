"""Kubernetes' object semantics over a store of bytes.

``registry.py`` is the door: CRUD of any kind. What may be decided without I/O is beside it:
``create.py``, ``update.py``, ``delete.py`` (before_* and plan_*). ``hooks.py`` are the few things
that a write of one kind does elsewhere (addresses of Services, the asker of a CSR).
"""
