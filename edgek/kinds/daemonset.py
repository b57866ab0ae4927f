"""DaemonSet: one pod on every fitting node."""

from edgek.kinds.kind import STATUS, Kind

DAEMON_SET = Kind(
    group="apps",
    version="v1",
    kind="DaemonSet",
    plural="daemonsets",
    short_names=("ds",),
    subresources=(STATUS,),
)
