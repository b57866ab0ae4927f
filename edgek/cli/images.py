"""``edgek images``: images on this device, asked of its agent; with ``--node`` those of a node of
the cluster, asked through the server. ``push`` (image_push.py) brings images to nodes without a
registry.
"""

import asyncio
import functools
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import click

from edgek.api.meta import Obj
from edgek.cli.build_context import context_of, find_dockerfile, name_in_context
from edgek.cli.cluster import Failure, chosen, cluster_options, connected, note, run
from edgek.cli.image_calls import Agent, call, node_of, this_device
from edgek.cli.image_push import push
from edgek.cli.printers import aligned, as_json

CHUNK = 256 * 1024


@click.group("images")
def command() -> None:
    """Images on this device (as root), on nodes (--node), and to nodes without a registry."""


command.add_command(push)


def image_command(function: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Gives ``function`` the agent that the options name, and runs it."""

    @click.option("--node", metavar="NAME", help="On this node of the cluster, not this device.")
    @click.option("--run-dir", metavar="DIR", help="The agent's --run-dir, where it is not found.")
    @cluster_options
    @functools.wraps(function)
    def wrapped(*args: Any, node: str | None, run_dir: str | None, **kwargs: Any) -> None:
        options = chosen()

        async def work() -> None:
            if node is None:
                await function(this_device(run_dir or _run_dir()), *args, **kwargs)
                return
            async with connected(**options) as cluster:
                await function(node_of(cluster, node), *args, **kwargs)

        run(work())

    return cast(Callable[..., None], wrapped)


def _run_dir() -> str:
    from edgek.cli.installation import installed_settings

    return str(installed_settings(os.environ)["run_dir"])


@command.command("list")
@click.option("-o", "--output", type=click.Choice(["json"]), help="All that is known of each.")
@image_command
async def list_(agent: Agent, /, output: str | None) -> None:
    """List the images."""
    found: list[Obj] = await call(agent, "list")
    if output:
        click.echo(as_json(found))
    else:
        click.echo("\n".join(aligned(image_rows(found))))


def image_rows(found: list[Obj]) -> list[list[str]]:
    """A row for each tag, with the header; images without one by their digest. Pure."""
    rows = []
    for image in found:
        names = image.get("names") or []
        tagged = [n for n in names if "@" not in n]
        for name in tagged or [n.partition("@")[0] for n in names[:1]] or ["<none>"]:
            head, slash, last = name.rpartition("/")
            repository, _, tag = last.partition(":")
            rows.append(
                [head + slash + repository, tag or "<none>", image["id"][:12], size(image["size"])]
            )
    return [["REPOSITORY", "TAG", "IMAGE ID", "SIZE"], *sorted(rows)]


def size(count: int) -> str:
    """``12.3MB``, as docker and crictl write it."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f}B" if unit == "B" else f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}GB"


@command.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE... | -")
@image_command
async def import_(agent: Agent, /, files: tuple[str, ...]) -> None:
    """Load archives of images, as `docker save` and `podman save` write them."""
    for file in files:
        for name in await call(agent, "import", source=_read(file)):
            click.echo(name)


async def _read(file: str) -> AsyncIterator[bytes]:
    try:
        source = sys.stdin.buffer if file == "-" else await asyncio.to_thread(open, file, "rb")
    except OSError as err:
        raise Failure(f"cannot read {file}: {err.strerror}") from None
    with source:
        while data := await asyncio.to_thread(source.read, CHUNK):
            yield data


@command.command("export")
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...")
@click.option("-f", "--file", required=True, metavar="FILE", help="Write it here; - is stdout.")
@image_command
async def export(agent: Agent, /, names: tuple[str, ...], file: str) -> None:
    """Write images into one archive."""
    try:
        with _output(file) as out:
            await call(agent, "export", names=list(names), on_data=out.write)
    except OSError as err:
        raise Failure(f"cannot write {file}: {err.strerror}") from None


@contextmanager
def _output(file: str) -> Iterator[BinaryIO]:
    """A file that is there only when it is whole, or stdout."""
    if file == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = Path(f"{file}.part")
    try:
        with part.open("wb") as out:
            yield out
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


@command.command("pull")
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...")
@image_command
async def pull(agent: Agent, /, names: tuple[str, ...]) -> None:
    """Pull images now, so that pods need not wait for them."""
    for pulled in await call(agent, "pull", names=list(names), on_progress=note):
        click.echo(pulled["name"])


@command.command("build")
@click.argument("path", default=".", type=click.Path(path_type=Path))
@click.option("-f", "--file", default="", metavar="FILE", help="Another Dockerfile than PATH's.")
@click.option("-t", "--tag", default="", metavar="NAME", help="What the image is to be called.")
@click.option("--build-arg", multiple=True, metavar="NAME=VALUE", help="An ARG of the Dockerfile.")
@click.option("--target", default="", metavar="STAGE", help="Build only up to this stage.")
@click.option("--no-cache", is_flag=True, help="Use nothing of earlier builds.")
@click.option("--pull", is_flag=True, help="Look for newer base images.")
@image_command
async def build(agent: Agent, /, path: Path, file: str, tag: str, **more: Any) -> None:
    """Build an image from a Dockerfile, by Podman."""
    dockerfile = find_dockerfile(path, file)
    options = {
        "dockerfile": name_in_context(path, dockerfile),
        "tag": tag,
        "buildargs": dict(_pair(text) for text in more["build_arg"]),
        "target": more["target"],
        "nocache": more["no_cache"],
        "pull": more["pull"],
    }
    source = context_of(path, dockerfile)
    built = await call(agent, "build", source=source, on_progress=note, options=options)
    click.echo(built["name"] or built["id"])


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    return name, value if equals else os.environ.get(name, "")


@command.command("rm")
@click.argument("names", nargs=-1, required=True, metavar="IMAGE...")
@image_command
async def remove(agent: Agent, /, names: tuple[str, ...]) -> None:
    """Remove images by name; one that a container has stays."""
    for name in await call(agent, "remove", names=list(names)):
        click.echo(name)


@command.command("prune")
@image_command
async def prune(agent: Agent, /) -> None:
    """Remove images that no pod uses; those of archives and those that just came stay."""
    done = await call(agent, "prune")
    for problem in done["refused"]:
        note(problem)
    click.echo(f"{done['removed']} images removed, {size(done['bytes'])} freed")
