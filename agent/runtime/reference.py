"""Image references in full, as every other container engine of Kubernetes reads them. Pure.

``busybox`` is ``docker.io/library/busybox:latest``. Podman alone would search several registries
and guess; a manifest means the same image on every node.
"""

import re

_ID = re.compile(r"(sha256:)?[0-9a-f]{64}")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REFERENCE = re.compile(
    rf"(?:(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?/)?"
    rf"{_PART}(?:/{_PART})*"
    r"(?::[\w][\w.-]{0,127})?"
    r"(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?",
    re.ASCII,
)
"""The grammar of distribution/reference."""


def is_reference(text: str) -> bool:
    """Whether an image can have this name."""
    return bool(_ID.fullmatch(text) or (len(text) <= 512 and _REFERENCE.fullmatch(text)))


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
