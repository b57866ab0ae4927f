"""nodes|pods|services NAME/proxy: HTTP to what runs on a node, through its agent's tunnel.

::

    verbs.py     the subresources         target.py    which pod and port are meant (pure)
    exchange.py  HTTP/1.1 over a stream   tls.py       the same for https:NAME:PORT
    forward.py   a request and its answer, upgrades    rewrite.py   links back to us (pure)
    kubelet.py   what a node's agent itself answers
    images.py    image work on a node, by messages

As registry/core/{pod,service,node}/rest and apimachinery util/proxy. The server never connects to
a pod itself: the agent of its node does, and only to that pod's own address.
"""
