"""What pods and the node use, read when somebody asks: nothing here runs by itself.

::

    usage.py      the values                     parse.py     kernel files -> values (pure)
    cgroups.py    a cgroup's usage, v1 and v2    node.py      the node's own, from /proc
    snapshot.py   all of it at one moment        rates.py     CPU in use, from two of them
    disk.py       what pods have on disk, by a child process
    summary.py, resource_metrics.py, cadvisor_metrics.py   in the kubelet's forms (pure)
    exposition.py Prometheus' text format

The layer is below pods and node: the eviction of pods and the HTTP endpoints both read it.
"""
