"""The ``edgek`` command: the processes (``edgek server``, ``edgek agent``) and the user's verbs.

``main.py`` names every subcommand and loads none before it is asked for.
"""
