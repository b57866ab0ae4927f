"""The node's process: a client of the API that makes pods real on one machine.

``app.py`` is the page to begin with. It dials out only, and it goes on with all it runs when no
server answers.
"""
