"""The translator: Pods, Services, Nodes -> netplug values. The only importer of netplug.

::

    network.py    the contract           kernel.py     it, over netplug and the DNS server
    fake.py       it, in memory          translate.py  objects -> netplug values (pure)
    dns/          the cluster's names, answered on every node from local state
"""

from agent.network.network import Network, NetworkFailure, NodeNetwork, Sandbox

__all__ = ["Network", "NetworkFailure", "NodeNetwork", "Sandbox"]
