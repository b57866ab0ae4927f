"""Cluster DNS, answered on each node from what the node knows; works with the server gone.

``zone.py`` what a name means (pure), ``message.py`` packets in and out (dnslib, pure),
``upstream.py`` the node's own resolvers, ``server.py`` sockets, ``resolver.py`` one query's way.
"""
