"""What is sent of an archive, what a build context holds, and how images are listed."""

import asyncio
import hashlib
import io
import json
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edgek.api.errors import InternalError
from edgek.cli.build_context import context_of, find_dockerfile, ignored, name_in_context
from edgek.cli.cluster import Failure
from edgek.cli.image_archive import plan_parts, read_archive, read_parts
from edgek.cli.image_calls import Messages, call
from edgek.cli.images import image_rows, size


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def add(tar: tarfile.TarFile, name: str, data: bytes, *, link: str = "") -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    if link:
        info.type, info.linkname = tarfile.SYMTYPE, link
    tar.addfile(info, io.BytesIO(data))


BASE, TOP = b"base" * 300, b"top"


def docker_archive(path: Path, *, mode: Any = "w", top: bytes = TOP) -> Path:
    """As docker saved it of old: the second image has its base layer by a link."""
    with tarfile.open(path, mode) as tar:
        add(tar, "a/layer.tar", BASE)
        add(tar, "b/layer.tar", b"", link="../a/layer.tar")
        add(tar, "c/layer.tar", top)
        entries = []
        for at, layers in enumerate((("a", [BASE]), ("b c", [BASE, TOP]))):
            config = json.dumps({"rootfs": {"diff_ids": [digest(la) for la in layers[1]]}})
            add(tar, f"{at}.json", config.encode())
            names = [f"{n}/layer.tar" for n in layers[0].split()]
            entries.append({"Config": f"{at}.json", "RepoTags": [f"app:{at}"], "Layers": names})
        add(tar, "manifest.json", json.dumps(entries).encode())
    return path


async def sent(path: Path, at: int, *there: str) -> dict[str, bytes]:
    parts = plan_parts(read_archive(path)[at], there=frozenset(there))
    data = b"".join([piece async for piece in read_parts(path, parts)])
    assert len(data) == sum(part.length for part in parts)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar.getmembers()}  # type: ignore[union-attr]


def blob(data: bytes) -> str:
    return "blobs/" + digest(data).replace(":", "/")


async def test_a_node_is_sent_an_oci_archive_without_the_layers_it_has(tmp_path: Path) -> None:
    path = docker_archive(tmp_path / "app.tar")
    whole = await sent(path, 1)
    assert (whole[blob(BASE)], whole[blob(TOP)]) == (BASE, TOP)
    less = await sent(path, 1, digest(BASE))
    assert blob(BASE) not in less
    assert less[blob(TOP)] == TOP
    assert less["index.json"] == whole["index.json"]
    (listed,) = json.loads(less["index.json"])["manifests"]
    assert listed["annotations"]["org.opencontainers.image.ref.name"] == "app:1"
    manifest = json.loads(less["blobs/" + listed["digest"].replace(":", "/")])
    assert [la["digest"] for la in manifest["layers"]] == [digest(BASE), digest(TOP)]
    config = less["blobs/" + manifest["config"]["digest"].replace(":", "/")]
    assert manifest["config"]["digest"] == digest(config)  # the image's id stays what it was


def test_what_cannot_be_sent_by_layers_goes_as_it_is(tmp_path: Path) -> None:
    assert read_archive(docker_archive(tmp_path / "a.tar.gz", mode="w:gz")) == ()
    assert read_archive(docker_archive(tmp_path / "a.tar", top=b"\x1f\x8b packed")) == ()
    with tarfile.open(tmp_path / "oci.tar", "w") as tar:
        add(tar, "oci-layout", b"{}")
    assert read_archive(tmp_path / "oci.tar") == ()
    (tmp_path / "text").write_text("nothing of the kind\n" * 100)
    with pytest.raises(Failure, match="is no archive of images"):
        read_archive(tmp_path / "text")


@pytest.mark.parametrize(
    ("patterns", "out", "stays"),
    [
        (["*.log"], ["a.log"], ["sub/a.log", "log"]),
        (["**/*.log"], ["a.log", "x/y/a.log"], ["a.logs"]),
        (["build"], ["build", "build/x/y"], ["builder", "x/build"]),
        (["/node_modules/"], ["node_modules/a"], []),
        (["docs/**", "!docs/keep/*.md"], ["docs/a", "docs/keep/a.txt"], ["docs/keep/a.md"]),
        (["*", "!src"], ["Makefile"], ["src/main.py"]),
        (["a?c", "[xy].txt"], ["abc", "x.txt"], ["ac", "z.txt"]),
        ([r"\#file"], ["#file"], ["file"]),
    ],
)
def test_ignores_are_read_as_docker_reads_them(
    patterns: list[str], out: list[str], stays: list[str]
) -> None:
    left_out = ignored(patterns)
    assert [p for p in (*out, *stays) if left_out(p)] == out


async def test_a_context_has_what_is_not_ignored_and_its_dockerfile_always(tmp_path: Path) -> None:
    here = tmp_path / "app"
    (here / "keep/deep").mkdir(parents=True)
    for name in ("Dockerfile", "a.log", "keep/a.txt", "keep/deep/a.log"):
        (here / name).write_text(name)
    (here / ".dockerignore").write_text("# all of these\nDockerfile\n**/*.log\n")
    (here / "link").symlink_to("keep/a.txt")
    data = b"".join([d async for d in context_of(here, find_dockerfile(here, ""))])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = {m.name for m in tar.getmembers()}
        assert {m.uid for m in tar.getmembers()} == {0}
    assert names == {
        "Dockerfile", ".dockerignore", "keep", "keep/a.txt", "keep/deep", "link",
    }  # fmt: skip
    other = tmp_path / "Other"
    other.write_text("FROM x")
    assert name_in_context(here, find_dockerfile(here, str(other))) == ".edgek.Dockerfile"
    with pytest.raises(Failure, match="there is no Nothing in"):
        find_dockerfile(here, "Nothing")


class Peer:
    """An agent that answers after it has had ``wants`` pieces."""

    def __init__(self, *answers: bytes, wants: int = 0) -> None:
        self.answers, self.wants = answers, wants
        self.got: list[bytes] = []
        self.asked: dict[str, Any] = {}

    @asynccontextmanager
    async def __call__(self, question: dict[str, Any]) -> AsyncIterator[Messages]:
        self.asked = question
        self._enough = asyncio.Event()
        yield self

    async def send(self, data: bytes) -> None:
        self.got.append(data)
        if len(self.got) >= self.wants:
            self._enough.set()

    async def messages(self) -> AsyncIterator[bytes]:
        if self.wants:
            await self._enough.wait()
        for answer in self.answers:
            yield answer


async def pieces(*data: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
    for each in data:
        yield each
    if error:
        raise error


async def test_work_is_sent_told_of_and_answered() -> None:
    peer = Peer(b"Pone", b"Ddata", b'E{"status": "Success", "result": [1]}', wants=3)
    told: list[str] = []
    got: list[bytes] = []
    answer = await call(
        peer, "import", source=pieces(b"a", b"b"), on_data=got.append, on_progress=told.append, x=1
    )
    assert (answer, told, got) == ([1], ["one"], [b"data"])
    assert peer.got == [b"a", b"b", b""]
    assert peer.asked == {"verb": "import", "x": 1}


async def test_work_that_fails_on_either_side_says_why() -> None:
    failed = b'E{"status": "Failure", "code": 500, "reason": "InternalError", "message": "no room"}'
    with pytest.raises(InternalError, match="no room"):  # before all was sent
        await call(Peer(failed, wants=1), "import", source=pieces(*[b"x"] * 9))
    with pytest.raises(Failure, match="ended before"):
        await call(Peer(), "list")
    with pytest.raises(Failure, match="cannot be read"):
        await call(Peer(wants=99), "import", source=pieces(b"a", error=Failure("cannot be read")))


def test_images_are_listed_by_tag() -> None:
    image = {"id": "0123456789abcdef", "size": 2_134_567}
    rows = image_rows(
        [
            {**image, "names": ["r.io:5000/a/b:1", "r.io:5000/a/b:2", "r.io:5000/a/b@sha256:1"]},
            {**image, "names": ["r.io/c@sha256:2"]},
            {**image, "names": []},
        ]
    )
    assert [row[:2] for row in rows[1:]] == [
        ["<none>", "<none>"], ["r.io/c", "<none>"], ["r.io:5000/a/b", "1"], ["r.io:5000/a/b", "2"],
    ]  # fmt: skip
    assert rows[1][2:] == ["0123456789ab", "2.13MB"]
    assert [size(n) for n in (5, 999_000, 12_345_678, 3_000_000_000)] == [
        "5B", "999kB", "12.3MB", "3GB",
    ]  # fmt: skip
