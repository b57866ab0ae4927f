"""Secret: confidential data that pods read as files or variables."""

from edgek.kinds.kind import Kind

SECRET = Kind(
    group="",
    version="v1",
    kind="Secret",
    plural="secrets",
)
