"""One pull of an image: its lines as they come, ended where nothing has moved for too long.

A pull may last an hour over a slow link and is no failure for that; one whose registry has gone
silent would wait for ever, as Podman has no limit of its own. What moves is seen in three places:
lines of Podman, bytes in the directory where layers land, and how much its service has read, which
tells of a large layer being unpacked.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from agent.runtime.failure import Refused, line_error, pull_failure, translated
from agent.runtime.libpod import Libpod
from agent.runtime.runtime import RuntimeFailure, RuntimeUnavailable
from edgek.aio.tasks import cancel_and_wait

LOOK_SECONDS = 10.0
STALL_SECONDS = 300.0
"""As containerd's image_pull_progress_timeout."""
HEAD_SECONDS = 120.0
WORK_UNIT = 1 << 20
"""Of what the service reads: answers to short calls are less."""


@dataclass(frozen=True, kw_only=True)
class Activity:
    """``received``: bytes of layers that have landed and are not unpacked yet; ``work``: bytes
    that Podman's service has read since it began."""

    received: int = 0
    work: int = 0


Progress = Callable[[int], None]
"""Told the bytes that came, every now and then."""


def _nothing(received: int) -> None:
    return


class Pull:
    def __init__(
        self, raw: Libpod, name: str, *, activity: Callable[[], Activity],
        progress: Progress | None = None,
    ) -> None:  # fmt: skip
        self._raw, self._name, self._activity = raw, name, activity
        self._progress = progress or _nothing
        self._lines = 0

    async def run(self, auth: Mapping[str, str] | None) -> None:
        """Raises RuntimeFailure in the kubelet's words."""
        pulling = asyncio.create_task(self._read(auth))
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({pulling, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not pulling.done():
                watching.result()
                text = f"nothing came for {STALL_SECONDS:.0f}s; the pull was broken off"
                raise pull_failure(self._name, f"{text}: i/o timeout")
            pulling.result()
        finally:
            await cancel_and_wait(pulling, watching)

    async def _read(self, auth: Mapping[str, str] | None) -> None:
        headers = {"X-Registry-Auth": auth_header(auth)} if auth else {}
        params = {"reference": self._name}
        try:
            with translated(f"pull of {self._name}"):
                async with self._raw.stream(
                    "POST", "/images/pull", params=params, headers=headers, timeout=HEAD_SECONDS
                ) as pieces:
                    error = await self._errors(pieces)
        except Refused as err:
            raise pull_failure(self._name, str(err)) from err
        except RuntimeUnavailable as err:  # Podman is away, not the registry
            raise RuntimeFailure(str(err), reason="ErrImagePull") from err
        if error:
            raise pull_failure(self._name, error)

    async def _errors(self, pieces: AsyncIterator[bytes]) -> str:
        rest = b""
        async for piece in pieces:
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self._lines += 1
                if error := line_error(line):
                    return error
        return line_error(rest)

    async def _watch(self) -> None:
        """Returns once nothing has moved for STALL_SECONDS."""
        silent, before = 0.0, self._moved(Activity())
        while silent < STALL_SECONDS:
            await asyncio.sleep(LOOK_SECONDS)
            activity = await asyncio.to_thread(self._activity)
            self._progress(activity.received)
            now = self._moved(activity)
            silent, before = (silent + LOOK_SECONDS if now == before else 0.0), now

    def _moved(self, activity: Activity) -> tuple[int, int, int]:
        return self._lines, activity.received, activity.work // WORK_UNIT


def auth_header(auth: Mapping[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(dict(auth)).encode()).decode()
