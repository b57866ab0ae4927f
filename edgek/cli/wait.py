"""``edgek wait``: until objects have a condition, or are gone."""

import asyncio
from collections.abc import Sequence
from typing import Any

import click

from edgek.api.errors import NotFound
from edgek.api.meta import Key, Obj, get_path, uid
from edgek.cli.cluster import Cluster, Failure, cluster_command
from edgek.cli.resources import spoken
from edgek.cli.targets import find_targets
from edgek.cli.waiting import Test, wait_for
from edgek.cli.words import DURATION
from edgek.kinds.kind import Kind


@click.command("wait")
@click.argument("words", nargs=-1, metavar="KIND NAME... | KIND/NAME...")
@click.option("--for", "what", required=True, metavar="delete|create|condition=NAME[=VALUE]",
              help="What to wait for.")  # fmt: skip
@click.option("-l", "--selector", default="", metavar="LABELS", help="For all with labels.")
@click.option("--all", "everything", is_flag=True, help="For all of the kind in the namespace.")
@click.option("--timeout", type=DURATION, default="30s", metavar="30s", help="And no longer.")
@cluster_command
async def command(cluster: Cluster, /, words: tuple[str, ...], **options: Any) -> None:
    """Wait until objects are ready or gone: `wait --for=condition=Ready pod/web`."""
    what = options["what"]
    found = await _objects(cluster, words, options)
    deadline = options["timeout"] if options["timeout"] >= 0 else None
    try:
        async with asyncio.timeout(deadline):
            for kind, key, was in found:
                await wait_for(cluster, kind, key, done=test_of(what, was, key), seconds=None)
                done = {"delete": "deleted", "create": "created"}.get(what, "condition met")
                click.echo(f"{spoken(kind)}/{key.name} {done}")
    except TimeoutError:
        raise Failure(f"timed out waiting for the condition on {kind.plural}/{key.name}") from None


async def _objects(
    cluster: Cluster, words: Sequence[str], options: dict[str, Any]
) -> list[tuple[Kind, Key, str]]:
    """With their uids now, so that a successor of the same name is told apart."""
    found: list[tuple[Kind, Key, str]] = []
    for target in await find_targets(cluster, words):
        namespace = cluster.namespace if target.kind.namespaced else ""
        if not target.names:
            if not options["selector"] and not options["everything"]:
                raise Failure("name the objects, or choose them with -l or --all")
            listed = await cluster.client.list(
                target.kind, namespace=namespace, label_selector=options["selector"]
            )
            keys = [(Key(namespace, o["metadata"]["name"]), uid(o)) for o in listed.items]
            found += [(target.kind, key, was) for key, was in keys]
        for name in target.names:
            key = Key(namespace, name)
            found.append((target.kind, key, await _uid(cluster, target.kind, key)))
    if not found and options["what"] != "delete":
        raise Failure("no matching resources found")
    return found


async def _uid(cluster: Cluster, kind: Kind, key: Key) -> str:
    try:
        return uid(await cluster.client.get(kind, key))
    except NotFound:
        return ""


def test_of(what: str, was: str, key: Key) -> Test:
    if what == "delete":
        return lambda obj: obj is None or uid(obj) != was
    if what == "create":
        return lambda obj: obj is not None
    kind, _, condition = what.partition("=")
    if kind != "condition" or not condition:
        raise Failure(f"--for={what}: wait for delete, create or condition=NAME")
    name, _, value = condition.partition("=")

    def met(obj: Obj | None) -> bool:
        if obj is None:
            raise Failure(f"{key.name} is not there (any more)")
        return has_condition(obj, name, value or "True")

    return met


def has_condition(obj: Obj, name: str, value: str) -> bool:
    """Of the newest spec: a condition that has not seen it says nothing of it."""
    generation = obj["metadata"].get("generation", 0)
    if get_path(obj, "status", "observedGeneration", default=generation) < generation:
        return False
    return any(
        c["type"].lower() == name.lower()
        and c.get("status", "").lower() == value.lower()
        and c.get("observedGeneration", generation) >= generation
        for c in get_path(obj, "status", "conditions", default=[])
    )
