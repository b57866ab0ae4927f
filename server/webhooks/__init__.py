"""How the server calls others: webhooks, extension API servers.

``door.py`` is the only module of the server that makes HTTP requests; ``client.py`` speaks the
manner of webhooks over it (JSON in, JSON out, a deadline, a bounded answer). ``where.py`` finds
the addresses behind a Service, ``failures.py`` tells in upstream's words what went wrong.

A pod's address must be routable from here, so from an agent on this machine, or over the nodes'
own network. Where neither is (a server without an agent, nodes behind NAT), the way is the
tunnel: a relay on loopback that passes each connection to the pod's node as one more stream of
``server/tunnel.py``. Its seam is ``Lookup``: the relay's address takes the place of the pod's.
"""
