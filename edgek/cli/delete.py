"""``edgek delete``: by name, by label, by manifest; and waits until they are gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from edgek.api.errors import NotFound
from edgek.api.meta import Key, Obj, uid
from edgek.cli.apply import placed
from edgek.cli.cluster import Cluster, Failure, cluster_command, warn
from edgek.cli.manifests import read_manifests
from edgek.cli.resources import kind_of, spoken
from edgek.cli.targets import find_targets
from edgek.cli.waiting import wait_for
from edgek.cli.words import DURATION, switch
from edgek.kinds.kind import Kind

FORCED = (
    "Immediate deletion does not wait for confirmation that the running resource has been "
    "terminated. The resource may continue to run on the cluster indefinitely."
)


@dataclass(frozen=True, kw_only=True)
class How:
    grace: int | None
    cascade: str
    wait: bool
    seconds: float | None
    missing_ok: bool
    short: bool


@click.command("delete")
@click.argument("words", nargs=-1, metavar="KIND[,KIND] NAME... | KIND/NAME...")
@click.option("-f", "--filename", "files", multiple=True, metavar="FILE",
              help="What this file or folder has, or - for standard input.")  # fmt: skip
@click.option("-R", "--recursive", is_flag=True, help="Look into the folders of a folder.")
@click.option("-l", "--selector", default="", metavar="LABELS", help="All with labels.")
@click.option("--field-selector", default="", metavar="FIELDS", help="All with fields.")
@click.option("--all", "everything", is_flag=True, help="All of the kind in the namespace.")
@click.option("--grace-period", type=int, default=-1, metavar="SECONDS",
              help="Time for pods to end; -1 is their own.")  # fmt: skip
@click.option("--now", is_flag=True, help="The same as --grace-period=1.")
@click.option("--force", is_flag=True, help="With --grace-period=0: do not wait for the node.")
@click.option("--cascade", type=click.Choice(["background", "foreground", "orphan"]),
              default="background", help="What becomes of what they own.")  # fmt: skip
@switch("--wait", default=True, help="Return when they are gone.  [default: true]")
@click.option("--timeout", type=DURATION, default="0", metavar="60s", help="Wait no longer.")
@switch("--ignore-not-found", default=False, help="Nothing to delete is no error.")
@click.option("-o", "--output", type=click.Choice(["name"]), help="Print names only.")
@cluster_command
async def command(cluster: Cluster, /, words: tuple[str, ...], **options: Any) -> None:
    """Delete objects: `delete pod web`, `delete -f app.yaml`, `delete svc -l app=web`."""
    how = _how(options)
    victims = await _victims(cluster, words, options)
    if not victims:
        click.echo("No resources found", err=True)
    if how.grace == 0 and options["force"]:
        warn(FORCED)
    failed: list[str] = []
    gone: list[tuple[Kind, Key, str]] = []
    for kind, key in victims:
        try:
            gone.append((kind, key, await _delete(cluster, kind, key, how)))
        except NotFound as err:
            failed += [] if how.missing_ok else [str(err)]
    if how.wait:
        await _wait(cluster, gone, how)
    for line in failed[:-1]:
        click.echo(f"error: {line}", err=True)
    if failed:
        raise Failure(failed[-1])


def _how(options: dict[str, Any]) -> How:
    grace = 1 if options["now"] else options["grace_period"]
    if grace == 0 and not options["force"]:
        grace = 1  # As kubectl: only --force leaves a pod to itself
    if grace < 0 and options["force"]:
        grace = 0
    several = bool(options["selector"] or options["everything"])
    return How(
        grace=grace if grace >= 0 else None,
        cascade=options["cascade"].capitalize(),
        wait=options["wait"],
        seconds=options["timeout"] or None,
        missing_ok=options["ignore_not_found"] or several,
        short=options["output"] == "name",
    )


async def _victims(
    cluster: Cluster, words: Sequence[str], options: dict[str, Any]
) -> list[tuple[Kind, Key]]:
    if options["files"]:
        if words:
            raise Failure("name objects or files, not both")
        return await _from_files(cluster, options["files"], recursive=options["recursive"])
    targets = await find_targets(cluster, words)
    chosen = options["selector"] or options["field_selector"] or options["everything"]
    if any(t.names for t in targets) == bool(chosen):
        raise Failure("name the objects, or choose them with -l or --all")
    found: list[tuple[Kind, Key]] = []
    for target in targets:
        kind = target.kind
        namespace = cluster.namespace if kind.namespaced else ""
        names: Sequence[str] = target.names
        if chosen:
            listed = await cluster.client.list(
                kind,
                namespace=namespace,
                label_selector=options["selector"],
                field_selector=options["field_selector"],
            )
            names = [o["metadata"]["name"] for o in listed.items]
        found += [(kind, Key(namespace, name)) for name in names]
    return found


async def _from_files(
    cluster: Cluster, files: Sequence[str], *, recursive: bool
) -> list[tuple[Kind, Key]]:
    found: list[tuple[Kind, Key]] = []
    for manifest in read_manifests(files, recursive=recursive):
        kind = await kind_of(cluster, manifest.obj)
        meta = placed(cluster, kind, manifest.obj)["metadata"]
        if not meta.get("name"):
            raise Failure(f"{manifest.where()}: cannot delete what has no name")
        found.append((kind, Key(meta.get("namespace", ""), meta["name"])))
    return found


async def _delete(cluster: Cluster, kind: Kind, key: Key, how: How) -> str:
    """The uid of what was deleted, where the answer tells it."""
    answer = await cluster.client.delete(
        kind, key, grace_period_seconds=how.grace, propagation_policy=how.cascade
    )
    name, where = key.name, f" from {key.namespace} namespace" if key.namespace else ""
    forced = "force " if how.grace == 0 else ""
    click.echo(f"{spoken(kind)}/{name}" if how.short else
               f'{spoken(kind)} "{name}" {forced}deleted{where}')  # fmt: skip
    return str((answer.get("details") or {}).get("uid", "")) or uid_of(answer)


def uid_of(answer: Obj) -> str:
    return "" if answer.get("kind") == "Status" else uid(answer)


async def _wait(cluster: Cluster, gone: Sequence[tuple[Kind, Key, str]], how: How) -> None:
    for kind, key, was in gone:

        def left(obj: Obj | None, was: str = was) -> bool:
            # Another one of the same name (a StatefulSet's next pod) is not ours to wait for.
            return obj is None or bool(was and uid(obj) != was)

        try:
            await wait_for(cluster, kind, key, done=left, seconds=how.seconds)
        except TimeoutError:
            raise Failure(
                f"timed out waiting for {spoken(kind)}/{key.name} to go; it is deleted, and what "
                "holds it is in: edgek get -o yaml (metadata.finalizers)"
            ) from None
