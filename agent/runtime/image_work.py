"""Image work beyond what pods need: archives in and out, builds, what layers are here.

Archives stream through, whatever their size. Podman reads every kind (docker-archive, oci-archive,
plain or compressed), and forgets a half one when its sender goes away. Removal and garbage are the
runtime's and the collector's.
"""

import asyncio
import json
import os
import sys
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from agent.runtime.failure import line_error, load_failure, translated
from agent.runtime.libpod import Libpod
from agent.runtime.oom import ordinary
from agent.runtime.runtime import RuntimeFailure

LOAD_SECONDS = 3600.0
"""For Podman to unpack an archive that it has; cards are slow."""
CALL_SECONDS = 60.0
BUILD_ENDS_SECONDS = 10.0
GZIP = 31
PIECE = 1 << 20


class ImageWork:
    def __init__(self, raw: Libpod) -> None:
        self._raw = raw

    async def load(self, archive: AsyncIterator[bytes]) -> list[str]:
        """The names of the images in it. Raises RuntimeFailure where it cannot be read."""
        try:
            with translated("load of an image archive"):
                async with self._raw.stream(
                    "POST", "/images/load", timeout=LOAD_SECONDS, body=gunzipped(archive)
                ) as pieces:
                    data = b"".join([piece async for piece in pieces])
        except RuntimeFailure as err:
            raise load_failure(err) from err
        if error := line_error(data):
            raise load_failure(RuntimeFailure(error))
        names = json.loads(data).get("Names") or []
        return [str(name).removeprefix("sha256:") for name in names]

    async def export(self, names: Sequence[str]) -> AsyncGenerator[bytes, None]:
        """A docker-archive of these images."""
        params = {"references": list(names), "format": "docker-archive"}
        with translated("export of images"):
            async with self._raw.stream(
                "GET", "/images/export", timeout=LOAD_SECONDS, params=params
            ) as pieces:
                async for piece in pieces:
                    yield piece

    async def details(self, name: str) -> Mapping[str, Any]:
        with translated(f"image {name}"):
            found = await self._raw.call("GET", f"/images/{name}/json", timeout=CALL_SECONDS)
        details: dict[str, Any] = json.loads(found)
        return details

    async def layers(self, image_ids: Sequence[str]) -> list[str]:
        """The digests of all their layers, unpacked: what need not be sent again."""
        found: set[str] = set()
        for image_id in image_ids:
            with suppress(RuntimeFailure):  # just removed
                found.update((await self.details(image_id)).get("RootFS", {}).get("Layers") or ())
        return sorted(found)

    async def remove(self, name: str) -> None:
        """A name; with its last one the image goes. Raises RuntimeFailure where it is in use."""
        with translated(f"removal of {name}"):
            await self._raw.call("DELETE", f"/images/{name}", timeout=CALL_SECONDS)

    async def build(
        self, context: AsyncIterator[bytes], options: Mapping[str, Any]
    ) -> AsyncGenerator[bytes, None]:
        """Lines of JSON: ``stream`` (a text), in the end ``id`` or ``error``. In a process of its
        own, as podman-py is large and blocks (podman_images.py)."""
        process = await asyncio.create_subprocess_exec(
            *ordinary(), sys.executable, "-m", "agent.runtime.podman_images", self._raw.socket,
            json.dumps(dict(options)),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            env={k: v for k, v in os.environ.items() if not k.startswith(("EDGEK_", "NOTIFY"))},
            start_new_session=True, limit=1 << 20,
        )  # fmt: skip
        feeding = asyncio.create_task(_feed(process, context))
        try:
            assert process.stdout is not None
            async for line in process.stdout:
                yield line
            if feeding.done() and not feeding.cancelled():
                feeding.result()  # a client that left half way
            await process.wait()
        finally:
            feeding.cancel()
            if process.returncode is None:
                process.kill()
                async with asyncio.timeout(BUILD_ENDS_SECONDS):
                    await process.wait()


async def _feed(process: asyncio.subprocess.Process, context: AsyncIterator[bytes]) -> None:
    """Raises what the context raises; the builder then has half a context, and fails."""
    assert process.stdin is not None
    try:
        async for data in context:
            process.stdin.write(data)
            await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        process.kill()
        raise
    process.stdin.close()


async def gunzipped(archive: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same without gzip around it: Podman 4.3 reads every compression of a docker-archive but
    this one. Raises RuntimeFailure where it is damaged."""
    unpack, first, between = None, True, False
    async for data in archive:
        if first:
            unpack = zlib.decompressobj(wbits=GZIP) if data.startswith(b"\x1f\x8b") else None
            first = False
        if unpack is None:
            yield data
            continue
        while data := data.lstrip(b"\0") if between else data:
            try:
                # In a thread, and bounded: a little may stand for a lot.
                piece = await asyncio.to_thread(unpack.decompress, data, PIECE)
            except zlib.error as err:
                raise RuntimeFailure(f"the archive is damaged: {err}") from err
            yield piece
            data, between = unpack.unconsumed_tail, unpack.eof
            if between:  # another may follow, or zeros
                data, unpack = unpack.unused_data, zlib.decompressobj(wbits=GZIP)
    if unpack is not None and not between:
        if rest := unpack.flush():
            yield rest
        if not unpack.eof:
            raise RuntimeFailure("the archive is damaged: its end is missing")
