"""Admission webhooks: others are asked before a write is taken.

``hooks.py`` reads the configurations, ``review.py`` is the question and its answer (pure),
``ask.py`` one call, and ``mutating.py`` and ``validating.py`` are the two plugins: the first asks
one after the other, the second all at once. As apiserver pkg/admission/plugin/webhook.
"""
