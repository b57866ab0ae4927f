"""Change: what can happen in the cluster that helps a pod no node would take.

As ClusterEvent upstream. Each plugin names the changes that may turn its refusal
(``server/scheduler/plugins/__init__.py`` shows them all); the queue moves a waiting pod only
for those of the plugins that refused it.
"""

from enum import Flag, auto


class Change(Flag):
    NODE_ADDED = auto()
    NODE_LABELS = auto()
    NODE_TAINTS = auto()
    """Its taints, or whether it is cordoned."""
    NODE_ROOM = auto()
    """What it has to give."""
    POD_GONE = auto()
    """A placed pod is gone, or asks for less, or has other labels."""
    POD_PLACED = auto()
    NAMESPACE = auto()
    CLAIM = auto()
    VOLUME = auto()
    CLASS = auto()
    DRIVER = auto()
    """A CSINode: what its drivers can attach."""


NOTHING = Change(0)
NODE = Change.NODE_ADDED | Change.NODE_LABELS | Change.NODE_TAINTS | Change.NODE_ROOM
