"""Podman's errors -> RuntimeFailure, in one place. The text of an error reaches pod events."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

from agent.runtime.libpod import LibpodError
from agent.runtime.runtime import ImageMissing, RuntimeFailure, RuntimeUnavailable


class Refused(RuntimeFailure):
    """Podman answered and said no; ``status`` is HTTP's."""

    def __init__(self, status: int, message: str, *, reason: str = "RuntimeError") -> None:
        super().__init__(message, reason=reason)
        self.status = status


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Around a raw call: whatever goes wrong comes out as RuntimeFailure."""
    try:
        yield
    except LibpodError as err:
        raise Refused(err.status, redacted(str(err))) from err
    except TimeoutError as err:
        raise RuntimeUnavailable(f"podman did not answer in time: {what}") from err
    except asyncio.IncompleteReadError as err:
        raise RuntimeUnavailable(f"cannot reach podman: {what}: its answer broke off") from err
    except (OSError, asyncio.LimitOverrunError, ValueError) as err:
        raise RuntimeUnavailable(f"cannot reach podman: {what}: {err}") from err


def with_reason(err: RuntimeFailure, reason: str) -> RuntimeFailure:
    """The same failure under the kubelet's word for it; being unavailable stays what it is."""
    if isinstance(err, RuntimeUnavailable):
        return err
    return RuntimeFailure(str(err), reason=reason)


def create_error(image: str, err: RuntimeFailure) -> RuntimeFailure:
    """A missing image is a 500 to Podman, told from others by its words alone."""
    text = str(err)
    if "image not known" in text or "no such image" in text:
        return ImageMissing(f'image "{image}" is not present', reason="CreateContainerError")
    return with_reason(err, "CreateContainerError")


_AWAY = (
    "connection refused", "no such host", "i/o timeout", "no route to host",
    "TLS handshake timeout", "network is unreachable", "server misbehaving",
    "HTTP status: 5", "status code 5",
)  # fmt: skip
"""Words of a registry that cannot be reached, or that is down."""


def pull_failure(image: str, text: str) -> RuntimeFailure:
    """Podman's reason why an image cannot be had, under the kubelet's word for it.

    As evalCRIPullErr in pkg/kubelet/images/image_manager.go; engines other than Podman say
    themselves which it is.
    """
    if "Source image rejected" in text:
        said = f"image pull failed for {image} because the signature validation failed: {text}"
        return RuntimeFailure(said, reason="SignatureValidationFailed")
    if any(word in text for word in _AWAY):
        said = f"image pull failed for {image} because the registry is unavailable: {text}"
        return RuntimeFailure(said, reason="RegistryUnavailable")
    if "no space left on device" in text:
        said = f"there is no room left for images on this node's disk: {text}"
        return RuntimeFailure(said, reason="ErrImagePull")
    if "invalid reference format" in text:
        said = f'couldn\'t parse image name "{image}": invalid reference format'
        return RuntimeFailure(said, reason="InvalidImageName")
    return RuntimeFailure(text, reason="ErrImagePull")


def load_failure(err: RuntimeFailure) -> RuntimeFailure:
    """An archive's: Podman tells of each form that it tried, one a line."""
    text = str(err)
    if isinstance(err, RuntimeUnavailable):
        return err
    if "no space left on device" in text:
        return RuntimeFailure("there is no room left for images on this node's disk")
    if "payload does not match any" in text:
        return RuntimeFailure("this is no archive of images, or a damaged one")
    return RuntimeFailure(" ".join(text.split()))


def line_error(line: bytes) -> str:
    """The error in a line of a stream that has answered 200 before it failed; "" for none."""
    try:
        said = json.loads(line)
        error = said.get("error") or (said.get("errorDetail") or {}).get("message")
    except (ValueError, AttributeError):
        return ""
    return redacted(str(error)) if error else ""


_TEMPORARY = re.compile(r"(/(?:\.tmp-[a-z.-]+|storage|oci|landing/|libpod-images-load\.tar))\d{5,}")
"""Names that Podman and its storage make up."""


def redacted(text: str) -> str:
    """Without what registries put into addresses: names, passwords and signed queries. As
    containerd's SanitizeError. Nor with the numbers of temporary files: a text that is another at
    each try would be told of, and be a change of the pod, at each try."""
    text = _TEMPORARY.sub(r"\1*", text)
    text = re.sub(r"(https?://)[^\s/@\"']+@", r"\1", text)
    return re.sub(r"(https?://[^\s?\"']+)\?[^\s\"']+", r"\1?[REDACTED]", text)
