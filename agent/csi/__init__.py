"""CSI: storage drivers that run as pods of the node and mount volumes for other pods.

Drivers announce themselves by a socket (``registration.py``), which makes them known to the
cluster (``csi_node.py``); a pod's volumes of a driver are staged and published by it
(``mounter.py``) into the directories that upstream's kubelet uses, so that drivers need no change.
"""
