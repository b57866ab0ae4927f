"""The control plane: one process that serves the Kubernetes API and keeps its promises.

``app.py`` is the page to begin with; ``run.py`` is its process. The agent is never imported: the
two meet over the API only.
"""
