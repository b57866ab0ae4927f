"""The audit log: who asked for what, and what became of it, as lines of JSON in a file.

``policy.py`` decides how much is said of a request, ``event.py`` says it, ``log.py`` writes it
down; the filter of that name brings them together. Without --audit-log-path none of it is there.
"""
