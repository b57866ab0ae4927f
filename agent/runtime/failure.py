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
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as err:
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


def pull_error(lines: bytes) -> str:
    """The error in a pull's stream of JSON lines: a pull that fails still answers 200."""
    for line in lines.splitlines():
        try:
            error = json.loads(line).get("error")
        except (ValueError, AttributeError):
            continue
        if error:
            return redacted(str(error))
    return ""


def redacted(text: str) -> str:
    """Without what registries put into addresses: names, passwords and signed queries. As
    containerd's SanitizeError."""
    text = re.sub(r"(https?://)[^\s/@\"']+@", r"\1", text)
    return re.sub(r"(https?://[^\s?\"']+)\?[^\s\"']+", r"\1?[REDACTED]", text)
