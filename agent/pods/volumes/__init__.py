"""The volumes of pods: what containers find where they mount them.

::

    plugin.py    the contract of a volume type       table.py    all types, and those refused
    volumes.py   a pod's volumes, up and down        claims.py   claim -> volume -> plugin (pure)

Each other file is a type or a family of types. A type is added by a plugin in the table.
"""
