"""Pods on this machine: what is wanted, what is observed, and the difference made good.

``plan.py`` and ``status.py`` decide and are pure; ``sync.py`` does, one worker per pod.
"""
