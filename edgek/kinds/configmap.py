"""ConfigMap: non-secret configuration that pods read as files or variables."""

from edgek.kinds.kind import Kind

CONFIG_MAP = Kind(
    group="",
    version="v1",
    kind="ConfigMap",
    plural="configmaps",
    short_names=("cm",),
)
