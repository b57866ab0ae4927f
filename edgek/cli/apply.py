"""``edgek apply``: makes the server's objects what the manifests say.

Each object is created, or patched with the difference of three: what was applied last, what the
manifest says, what is live. One object that fails does not keep the others from being applied.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import click

from edgek.api.errors import ApiError, NotFound, ServiceUnavailable, Timeout, Unauthorized
from edgek.api.meta import Key, Obj, name
from edgek.cli.cluster import Cluster, Failure, cluster_command, warn
from edgek.cli.manifests import Manifest, read_manifests
from edgek.cli.resources import kind_of, spoken
from edgek.cli.three_way import last_applied, plan_patch, with_last_applied
from edgek.kinds.kind import Kind

_HOPELESS = (ServiceUnavailable, Timeout, Unauthorized)
"""What would fail again with the next object."""


@dataclass(frozen=True, kw_only=True)
class How:
    dry_run: bool
    validation: str


@click.command("apply")
@click.option("-f", "--filename", "files", multiple=True, required=True, metavar="FILE",
              help="File or folder with manifests, or - for standard input.")  # fmt: skip
@click.option("-R", "--recursive", is_flag=True, help="Look into the folders of a folder.")
@click.option("--dry-run", type=click.Choice(["none", "server"]), default="none",
              help="server: check all, change nothing.")  # fmt: skip
@click.option("--validate", type=click.Choice(["strict", "warn", "ignore"]), default="strict",
              help="What to do about fields that the server does not know.")  # fmt: skip
@cluster_command
async def command(
    cluster: Cluster, /, files: tuple[str, ...], recursive: bool, dry_run: str, validate: str
) -> None:
    """Create objects from manifests, or change them to what the manifests say."""
    how = How(dry_run=dry_run == "server", validation=validate.capitalize())
    await apply_all(cluster, read_manifests(files, recursive=recursive), how)


async def apply_all(cluster: Cluster, manifests: Sequence[Manifest], how: How) -> None:
    failed: list[str] = []
    for manifest in manifests:
        try:
            click.echo(await apply_one(cluster, manifest, how))
        except _HOPELESS:
            raise
        except (ApiError, Failure) as err:
            failed.append(f"{manifest.where(str(err))}: {err}")
    for line in failed[:-1]:
        click.echo(f"error: {' '.join(line.split())}", err=True)
    if failed:
        raise Failure(failed[-1])


async def apply_one(cluster: Cluster, manifest: Manifest, how: How) -> str:
    """Says what was done, as ``deployment.apps/web created``."""
    kind = await kind_of(cluster, manifest.obj)
    obj = placed(cluster, kind, manifest.obj)
    if not name(obj):
        raise Failure("cannot apply an object that has generateName and no name")
    done = await _create_or_patch(cluster, kind, with_last_applied(obj), how)
    return f"{spoken(kind)}/{name(obj)} {done}{' (server dry run)' if how.dry_run else ''}"


async def _create_or_patch(cluster: Cluster, kind: Kind, wanted: Obj, how: How) -> str:
    key = Key(wanted["metadata"].get("namespace", ""), name(wanted))
    client = cluster.client
    try:
        live = await client.get(kind, key)
    except NotFound:
        await client.create(kind, wanted, dry_run=how.dry_run, field_validation=how.validation)
        return "created"
    patch, patch_type = plan(kind, wanted, live)
    if not patch:
        return "unchanged"
    await client.patch(
        kind, key, patch,
        patch_type=patch_type, dry_run=how.dry_run, field_validation=how.validation,
    )  # fmt: skip
    return "configured"


def plan(kind: Kind, wanted: Obj, live: Obj) -> tuple[Obj, str]:
    """The patch and its type."""
    from edgek.schema.schema import schema_of

    last = last_applied(live)
    if last is None:
        warn(
            f"{spoken(kind)}/{name(live)} was not made by apply; what this manifest "
            "leaves out stays as it is"
        )
    try:
        return plan_patch(last or {}, wanted, live, schema_of(kind)), "strategic"
    except KeyError:
        return plan_patch(last or {}, wanted, live, None), "merge"


def placed(cluster: Cluster, kind: Kind, obj: Obj) -> Obj:
    """The object with its namespace: its own, else the chosen one."""
    meta = obj["metadata"]
    own = meta.get("namespace", "")
    if not kind.namespaced:
        return obj
    if own and cluster.namespace_given and own != cluster.namespace:
        raise Failure(f'its namespace is "{own}", but the command line says "{cluster.namespace}"')
    return obj | {"metadata": meta | {"namespace": own or cluster.namespace}}
