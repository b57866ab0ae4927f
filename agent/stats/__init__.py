"""What pods and the node use, read when somebody asks: nothing here runs by itself.

::

    usage.py    the values                    parse.py      kernel files -> values (pure)
    cgroups.py  a cgroup's usage, v1 and v2   node.py       the node's own, from /proc

The layer is below pods and node: the eviction of pods and the HTTP endpoints both read it.
"""
