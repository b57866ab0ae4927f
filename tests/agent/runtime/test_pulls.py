"""One pull: as long as something moves it may take, and what ended it is said."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from agent.runtime.failure import load_failure, pull_failure
from agent.runtime.image_work import gunzipped
from agent.runtime.libpod import Libpod, LibpodError
from agent.runtime.pulls import Activity, Pull
from agent.runtime.runtime import RuntimeFailure, RuntimeUnavailable


class FakePodman:
    """Answers with lines; None is a line that never comes."""

    def __init__(self, *lines: bytes | None, refuses: str = "") -> None:
        self.lines, self.refuses = lines, refuses
        self.headers: dict[str, str] = {}
        self.broken_off = False

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, headers: dict[str, str], **how: Any
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        self.headers = headers
        if self.refuses:
            raise LibpodError(500, self.refuses)
        try:
            yield self._pieces()
        except asyncio.CancelledError:
            self.broken_off = True
            raise

    async def _pieces(self) -> AsyncIterator[bytes]:
        for line in self.lines:
            if line is None:
                await asyncio.Event().wait()
            else:
                yield line
                await asyncio.sleep(0)


def pull(podman: FakePodman, activity: Callable[[], Activity] = Activity, **how: Any) -> Pull:
    return Pull(cast(Libpod, podman), "r.io/app:1", activity=activity, **how)


async def reason(running: Pull, auth: dict[str, str] | None = None) -> tuple[str, str]:
    with pytest.raises(RuntimeFailure) as caught:
        await running.run(auth)
    return caught.value.reason, str(caught.value)


async def test_a_pull_is_made_with_its_credential_and_its_error_found_in_pieces() -> None:
    podman = FakePodman(b'{"stream": "Copying"}\n{"str', b'eam": "more"}\n', b'{"id": "1"}\n')
    await pull(podman).run({"username": "ali", "password": "x"})
    assert set(podman.headers) == {"X-Registry-Auth"}
    late = FakePodman(b'{"stream": "Copying"}\n{"err', b'or": "https://a:b@r.io/x: unauthorized"}')
    assert await reason(pull(late)) == ("ErrImagePull", "https://r.io/x: unauthorized")
    assert late.headers == {}


@pytest.mark.looptime
async def test_a_pull_that_stalls_is_broken_off() -> None:
    podman = FakePodman(b'{"stream": "Copying"}\n', None)
    why, text = await reason(pull(podman))
    assert why == "RegistryUnavailable"
    assert "nothing came for 300s" in text
    assert podman.broken_off
    assert 300 <= asyncio.get_running_loop().time() < 330


@pytest.mark.looptime
async def test_a_slow_pull_goes_on_for_as_long_as_it_needs() -> None:
    seen: list[int] = []
    loop = asyncio.get_running_loop()
    began = loop.time()

    def activity() -> Activity:
        minutes = int(loop.time() - began) // 60
        # Bytes trickle in for an hour; then a layer is unpacked for another.
        return Activity(received=min(minutes, 60) * 1000, work=max(minutes - 60, 0) << 20)

    podman = FakePodman(None)
    running = asyncio.create_task(pull(podman, activity, progress=seen.append).run(None))
    await asyncio.sleep(7200)
    assert not running.done()
    assert seen[-1] == 60_000
    running.cancel()
    await asyncio.wait({running})
    assert podman.broken_off


@pytest.mark.parametrize(
    ("text", "word", "begins"),
    [
        ("Source image rejected: Running image docker://r.io/app is rejected by policy.",
         "SignatureValidationFailed",
         "image pull failed for app because the signature validation failed: Source"),
        ("pinging container registry r.io: dial tcp: connect: connection refused",
         "RegistryUnavailable", "image pull failed for app because the registry is unavailable: p"),
        ("lookup r.io: no such host", "RegistryUnavailable", "image pull failed"),
        ("received unexpected HTTP status: 503 Service Unavailable", "RegistryUnavailable", "im"),
        ("manifest unknown", "ErrImagePull", "manifest unknown"),
        ("unauthorized: authentication required", "ErrImagePull", "unauthorized"),
        ("writing blob: /var/tmp/x: no space left on device", "ErrImagePull",
         "there is no room left for images on this node's disk: writing"),
    ],
)  # fmt: skip
def test_what_podman_says_of_a_pull_has_a_word_of_kubernetes(
    text: str, word: str, begins: str
) -> None:
    failure = pull_failure("app", text)
    assert failure.reason == word
    assert str(failure).startswith(begins)
    assert text in str(failure)


async def test_a_podman_that_refuses_is_heard() -> None:
    assert await reason(pull(FakePodman(refuses="lookup r.io: no such host"))) == (
        "RegistryUnavailable",
        "image pull failed for r.io/app:1 because the registry is unavailable: "
        "lookup r.io: no such host",
    )


def test_what_podman_says_of_an_archive_is_one_line() -> None:
    long = "payload does not match any of the supported image formats:\n * oci: open x\n * dir: y"
    assert str(load_failure(RuntimeFailure(long))).startswith("this is no archive of images")
    full = "payload does not match any:\n * docker-archive: no space left on device"
    assert "no room left" in str(load_failure(RuntimeFailure(full)))
    away = RuntimeUnavailable("gone")
    assert load_failure(away) is away


async def test_an_upload_goes_in_chunks_and_the_answer_comes_back(tmp_path: Path) -> None:
    heard = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not heard.endswith(b"0\r\n\r\n"):
            heard.extend(await reader.read(65536))
        body = json.dumps({"Names": ["a:1"]}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"one", b"", b"three"):
            yield piece

    socket = tmp_path / "podman.sock"
    async with await asyncio.start_unix_server(serve, socket):
        raw = Libpod(str(socket))
        params = {"references": ["a b", "c"]}
        async with raw.stream("POST", "/x", timeout=5, body=pieces(), params=params) as answer:
            assert json.loads(b"".join([p async for p in answer])) == {"Names": ["a:1"]}
    head, _, body = bytes(heard).partition(b"\r\n\r\n")
    assert body == b"3\r\none\r\n5\r\nthree\r\n0\r\n\r\n"
    assert b"?references=a+b&references=c HTTP/1.1" in head
    assert b"Transfer-Encoding: chunked" in head
    assert b"Content-Length" not in head


@pytest.mark.parametrize("pieces", [1, 3, 5000])
async def test_gzip_is_taken_off_an_archive_and_nothing_else(pieces: int) -> None:
    async def sent(data: bytes) -> AsyncIterator[bytes]:
        size = max(len(data) // pieces, 1)
        for at in range(0, len(data), size):
            yield data[at : at + size]

    async def got(data: bytes) -> bytes:
        return b"".join([piece async for piece in gunzipped(sent(data))])

    text = bytes(range(256)) * 20_000  # larger than a piece when unpacked
    packed = gzip.compress(text)
    assert await got(packed) == text
    assert await got(packed + gzip.compress(b"more") + bytes(10)) == text + b"more"
    assert await got(text) == text
    with pytest.raises(RuntimeFailure, match="damaged"):
        await got(packed[:100] + b"x" * 100 + packed[200:])
    with pytest.raises(RuntimeFailure, match="its end is missing"):
        await got(packed[:-20])
