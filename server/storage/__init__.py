"""Revisions and bytes; nothing about Kubernetes.

``store.py`` says what a store is, ``local.py`` is the one of a single server: a memory image that
answers every read, conditions checked against it, and an engine (``sqlite.py``) that makes
commits durable in groups. ``section.py`` keeps the entries of one kind in order, ``watch.py`` tells
watchers. A distributed store would implement the same ``Store`` without these.
"""
