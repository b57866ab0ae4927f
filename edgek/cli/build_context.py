"""A directory as the context of a build: a tar that streams, without what .dockerignore leaves out.

As moby's patternmatcher: patterns are relative to the directory, ``**`` stands for any directories,
``!`` takes an exception back, the last that fits counts. ``.containerignore`` comes first. The
Dockerfile itself always goes along.
"""

import asyncio
import os
import re
import tarfile
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path

from edgek.cli.cluster import Failure

CHUNK = 256 * 1024
FILES = ("Dockerfile", "Containerfile")
IGNORES = (".containerignore", ".dockerignore")
ELSEWHERE = ".edgek.Dockerfile"


def find_dockerfile(folder: Path, given: str) -> Path:
    """Raises Failure."""
    if not folder.is_dir():
        raise Failure(f"{folder} is no directory")
    # As docker: a name is looked for from here, then in the context.
    tried = (Path(given), folder / given) if given else tuple(folder / name for name in FILES)
    for path in tried:
        if path.is_file():
            return path
    raise Failure(f"there is no {given or 'Dockerfile or Containerfile'} in {folder}")


def read_ignores(folder: Path) -> list[str]:
    for name in IGNORES:
        with suppress(FileNotFoundError):
            lines = (folder / name).read_text(errors="replace").splitlines()
            return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return []


def ignored(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether a path (relative, with slashes) is left out. Pure."""
    rules = [(not p.startswith("!"), _pattern(p.removeprefix("!"))) for p in patterns]

    def left_out(path: str) -> bool:
        out = False
        for leave, rule in rules:
            if out != leave and rule.fullmatch(path):
                out = leave
        return out

    return left_out


def _pattern(text: str) -> re.Pattern[str]:
    """What lies below what fits, fits too."""
    text = os.path.normpath(text.strip()).strip("/")
    parts, at = [], 0
    while at < len(text):
        if text.startswith("**/", at):
            parts.append("(?:.*/)?")
            at += 3
        elif text.startswith("**", at):
            parts.append(".*")
            at += 2
        elif text[at] in "*?":
            parts.append("[^/]*" if text[at] == "*" else "[^/]")
            at += 1
        elif text[at] == "[" and (end := text.find("]", at + 2)) > 0:
            parts.append(text[at : end + 1].replace("\\", "\\\\"))
            at = end + 1
        else:
            at += text[at] == "\\" and at + 1 < len(text)
            parts.append(re.escape(text[at]))
            at += 1
    return re.compile("".join(parts) + "(?:/.*)?", re.DOTALL)


async def context_of(folder: Path, dockerfile: Path) -> AsyncIterator[bytes]:
    """The tar. A thread writes it into a pipe, as fast as it is read."""
    read_end, write_end = os.pipe()
    problems: list[BaseException] = []

    def write() -> None:
        try:
            with os.fdopen(write_end, "wb") as out, tarfile.open(fileobj=out, mode="w|") as tar:
                _add_all(tar, folder, dockerfile)
        except BrokenPipeError:
            pass  # nobody reads any more
        except (OSError, tarfile.TarError) as err:
            problems.append(err)

    thread = threading.Thread(target=write, name="build context", daemon=True)
    thread.start()
    try:
        while data := await asyncio.to_thread(os.read, read_end, CHUNK):
            yield data
    finally:
        os.close(read_end)
    if problems:
        raise Failure(f"the build context cannot be read: {problems[0]}")


def name_in_context(folder: Path, dockerfile: Path) -> str:
    """One from elsewhere goes along under a name of its own."""
    with suppress(ValueError):
        return dockerfile.resolve().relative_to(folder.resolve()).as_posix()
    return ELSEWHERE


def _add_all(tar: tarfile.TarFile, folder: Path, dockerfile: Path) -> None:
    name = name_in_context(folder, dockerfile)
    tar.add(dockerfile.resolve(), arcname=name, filter=_anonymous)
    patterns = read_ignores(folder)
    left_out = ignored(patterns)
    exceptions = any(p.startswith("!") for p in patterns)
    for at, folders, files in os.walk(folder):
        base = Path(at).relative_to(folder)
        for entry in sorted((*folders, *files)):
            path = (base / entry).as_posix()
            if left_out(path):
                if entry in folders and not exceptions:
                    folders.remove(entry)
                continue
            if path != name:
                tar.add(folder / path, arcname=path, recursive=False, filter=_anonymous)


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Whose files they are here is nothing to a container; sockets and the like stay."""
    if not (info.isfile() or info.isdir() or info.issym() or info.islnk()):
        return None
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info
