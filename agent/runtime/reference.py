"""Image references in full, as every other container engine of Kubernetes reads them. Pure.

``busybox`` is ``docker.io/library/busybox:latest``. Podman alone would search several registries
and guess; a manifest means the same image on every node.
"""

import re

_ID = re.compile(r"(sha256:)?[0-9a-f]{64}")


def normalize_reference(reference: str) -> str:
    """An image id stays as it is."""
    if _ID.fullmatch(reference):
        return reference.removeprefix("sha256:")
    name, at, digest = reference.partition("@")
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif not ("." in first or ":" in first or first == "localhost"):
        name = f"docker.io/{name}"
    elif first == "docker.io" and name.count("/") == 1:
        name = name.replace("/", "/library/", 1)
    if at:  # a tag beside a digest means nothing
        return f"{_untagged(name)}@{digest}"
    return name if name != _untagged(name) else f"{name}:latest"


def _untagged(name: str) -> str:
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]
