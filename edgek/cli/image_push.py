"""``edgek images push``: an archive of images to nodes of the cluster, with no registry between.

Each node is asked which layers it has and is sent the others, through the server and the tunnel
that its agent keeps; a few nodes at a time, and one that fails stops no other.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from edgek.api.errors import ApiError
from edgek.api.meta import get_path
from edgek.cli.cluster import Cluster, Failure, cluster_command, note
from edgek.cli.image_archive import ArchivedImage, Part, plan_parts, read_archive, read_parts, whole
from edgek.cli.image_calls import Agent, call, node_of
from edgek.kinds import NODE

AT_ONCE = 4
SAY_SECONDS = 5.0
SAVERS = ("podman", "docker")


@click.command("push")
@click.argument("words", nargs=-1, required=True, metavar="IMAGE | FILE | -")
@click.option("--nodes", default="", metavar="A,B", help="To these nodes.")
@click.option("--all", "everywhere", is_flag=True, help="To all nodes that are ready.")
@cluster_command
async def push(cluster: Cluster, /, words: tuple[str, ...], nodes: str, everywhere: bool) -> None:
    """Bring images to nodes without a registry: `images push app:1 --all`.

    An IMAGE is taken from this machine's podman or docker; a FILE is what their `save` writes."""
    targets = await _targets(cluster, nodes, everywhere)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgek-push-")))
        archives = [
            await asyncio.to_thread(_archive, word, folder / str(at))
            for at, word in enumerate(words)
        ]
        turns = asyncio.Semaphore(AT_ONCE)
        failed = await asyncio.gather(*(_push(cluster, node, archives, turns) for node in targets))
    if bad := [node for node, why in zip(targets, failed, strict=True) if why]:
        raise Failure(f"{len(bad)} of {len(targets)} nodes do not have it: {', '.join(bad)}")


async def _targets(cluster: Cluster, nodes: str, everywhere: bool) -> list[str]:
    """Raises Failure."""
    named = list(dict.fromkeys(n for n in nodes.split(",") if n))
    if bool(named) == everywhere:
        raise Failure("say where to: --nodes A,B or --all")
    if named:
        return named
    found = (await cluster.client.list(NODE)).items
    ready = [n["metadata"]["name"] for n in found if _is_ready(n)]
    for node in found:
        if node["metadata"]["name"] not in ready:
            note(f"{node['metadata']['name']}: left out, it is not ready")
    if not ready:
        raise Failure("no node is ready")
    return sorted(ready)


def _is_ready(node: dict[str, object]) -> bool:
    conditions = get_path(node, "status", "conditions", default=[])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


@dataclass(frozen=True, kw_only=True)
class _Archive:
    path: Path
    images: tuple[ArchivedImage, ...]


def _archive(word: str, temporary: Path) -> _Archive:
    """Of a file, of stdin, or of an image of this machine. Raises Failure."""
    path = Path(word)
    if word == "-":
        path = temporary
        with path.open("wb") as out:
            shutil.copyfileobj(sys.stdin.buffer, out)
    elif not path.is_file():
        path = temporary
        _save(word, path)
    return _Archive(path=path, images=read_archive(path))


def _save(image: str, path: Path) -> None:
    import subprocess

    said = []
    for tool in SAVERS:
        if shutil.which(tool) is None:
            continue
        done = subprocess.run(
            [tool, "save", "-o", str(path), "--", image],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            return
        said.append(f"{tool}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
        path.unlink(missing_ok=True)
    why = "; ".join(said) or "there is neither podman nor docker here"
    raise Failure(f"{image!r} is no file, and no image of this machine ({why})")


async def _push(
    cluster: Cluster, node: str, archives: Iterable[_Archive], turns: asyncio.Semaphore
) -> str:
    """Why the node does not have it; "" where it has."""
    async with turns:
        try:
            for archive in archives:
                await _send(node, node_of(cluster, node), archive)
        except (ApiError, Failure, OSError) as err:
            note(f"{node}: failed: {err}")
            return str(err) or type(err).__name__
    return ""


async def _send(node: str, agent: Agent, archive: _Archive) -> None:
    if not archive.images:
        await _import(node, agent, archive.path, whole(archive.path), "")
        return
    for image in archive.images:
        there = frozenset(await call(agent, "layers"))
        parts = plan_parts(image, there=there)
        here = sum(layer.digest in there for layer in image.layers)
        known = f", {here} of {len(image.layers)} layers were there" if here else ""
        try:
            await _import(node, agent, archive.path, parts, known)
        except ApiError:
            if not here:
                raise
            # A layer that was there may be gone meanwhile, or unfit: send all of it.
            parts = plan_parts(image, there=frozenset())
            await _import(node, agent, archive.path, parts, "")


async def _import(node: str, agent: Agent, path: Path, parts: list[Part], known: str) -> None:
    began, total = time.monotonic(), sum(part.length for part in parts)
    source = _told(node, read_parts(path, parts), total)
    names = await call(agent, "import", source=source)
    took = time.monotonic() - began
    click.echo(f"{node}: {', '.join(names)} ({total / 1e6:.1f} MB in {took:.1f}s{known})")


async def _told(node: str, pieces: AsyncIterator[bytes], total: int) -> AsyncIterator[bytes]:
    """The same, with a line now and then."""
    sent, next_line = 0, time.monotonic() + SAY_SECONDS
    async for data in pieces:
        yield data
        sent += len(data)
        if time.monotonic() > next_line:
            next_line += SAY_SECONDS
            note(f"{node}: {sent / 1e6:.0f} of {total / 1e6:.0f} MB")
