"""ControllerRevision: an immutable snapshot of a workload's template."""

from edgek.kinds.kind import Kind

CONTROLLER_REVISION = Kind(
    group="apps",
    version="v1",
    kind="ControllerRevision",
    plural="controllerrevisions",
)
