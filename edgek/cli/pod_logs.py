"""``edgek logs``: what containers wrote, once or for as long as they write."""

import asyncio
import math
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from edgek.api.meta import Obj
from edgek.cli.cluster import Cluster, Failure, cluster_command
from edgek.cli.pods import container_names, default_container, find_pod
from edgek.cli.words import DURATION
from edgek.client.transport import Call
from edgek.kinds import POD

MAX_FOLLOWED = 5
"""As kubectl's --max-log-requests: each is a connection through server and agent."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One container's log."""

    pod: str
    container: str
    path: str


@click.command("logs")
@click.argument("words", nargs=-1, metavar="POD | KIND/NAME")
@click.option("-c", "--container", default="", metavar="NAME", help="Of this container.")
@click.option("--all-containers", is_flag=True, help="Of all containers of the pod.")
@click.option("-l", "--selector", default="", metavar="LABELS", help="Of all pods with labels.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written next.")
@click.option("-p", "--previous", is_flag=True, help="Of the container before its restart.")
@click.option("--tail", type=int, metavar="N", help="Only the last lines; with -l 10.")
@click.option("--since", type=DURATION, metavar="5m", help="Only what is younger.")
@click.option("--since-time", metavar="TIME", help="Only what is younger (RFC 3339).")
@click.option("--timestamps", is_flag=True, help="Each line with its time.")
@click.option("--prefix", is_flag=True, help="Each line with its pod and container.")
@cluster_command
async def command(cluster: Cluster, /, words: tuple[str, ...], **options: Any) -> None:
    """Show the logs of a pod, or of the best pod of a Deployment (`logs deployment/web`)."""
    sources = await find_sources(cluster, words, options)
    if options["follow"] and len(sources) > MAX_FOLLOWED:
        raise Failure(f"{len(sources)} logs are too many to follow; name fewer")
    query = log_query(options)
    write = _prefixed if options["prefix"] else _plain
    if options["follow"] and len(sources) > 1:
        async with asyncio.TaskGroup() as group:
            for source in sources:
                group.create_task(write(cluster, source, query, lines=True))
    else:
        for source in sources:
            await write(cluster, source, query, lines=False)


async def find_sources(
    cluster: Cluster, words: Sequence[str], options: dict[str, Any]
) -> list[Source]:
    if bool(words) == bool(options["selector"]):
        raise Failure("name a pod, or choose pods with -l")
    if not words:
        selector = options["selector"]
        found = await cluster.client.list(POD, namespace=cluster.namespace, label_selector=selector)
        if not found.items:
            raise Failure(f"no pods with {selector} in {cluster.namespace} namespace")
        return [s for pod in found.items for s in _sources(cluster, pod, options)]
    if len(words) == 2 and not options["container"] and "/" not in words[1]:
        words, options = words[:1], {**options, "container": words[1]}  # kubectl logs POD CONTAINER
    return _sources(cluster, await find_pod(cluster, words), options)


def _sources(cluster: Cluster, pod: Obj, options: dict[str, Any]) -> list[Source]:
    name = pod["metadata"]["name"]
    names = (
        container_names(pod, inits=True)
        if options["all_containers"]
        else [default_container(pod, options["container"])]
    )
    path = POD.path(cluster.namespace, name, "log")
    return [Source(pod=name, container=c, path=path) for c in names]


def log_query(options: dict[str, Any]) -> dict[str, str]:
    tail = options["tail"]
    if tail is None and options["selector"] and not options["follow"]:
        tail = 10
    found: dict[str, Any] = {
        **{n: "true" for n in ("follow", "previous", "timestamps") if options[n]},
        "tailLines": tail if tail is not None and tail >= 0 else None,
        # Rounded up, as kubectl: no second is lost.
        "sinceSeconds": math.ceil(options["since"]) if options["since"] else None,
        "sinceTime": options["since_time"],
    }
    return {
        k: str(int(v) if isinstance(v, float) else v) for k, v in found.items() if v is not None
    }


async def _plain(cluster: Cluster, source: Source, query: dict[str, str], *, lines: bool) -> None:
    async for data in _read(cluster, source, query, lines=lines):
        _write(data)


async def _prefixed(
    cluster: Cluster, source: Source, query: dict[str, str], *, lines: bool
) -> None:
    prefix = f"[pod/{source.pod}/{source.container}] ".encode()
    async for line in _read(cluster, source, query, lines=True):
        _write(prefix + line)


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


async def _read(
    cluster: Cluster, source: Source, query: dict[str, str], *, lines: bool
) -> AsyncIterator[bytes]:
    """Chunks as they come; whole lines where several logs are mixed."""
    query = {**query, "container": source.container}
    rest = b""
    async with cluster.transport.stream(
        Call(method="GET", path=source.path, query=query)
    ) as chunks:
        async for chunk in chunks:
            if not lines:
                yield chunk
                continue
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line + b"\n"
    if rest:
        yield rest + b"\n"
