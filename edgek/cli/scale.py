"""``edgek scale``: sets how many replicas there are to be."""

import click

from edgek.api.meta import Key
from edgek.cli.cluster import Cluster, Failure, cluster_command
from edgek.cli.resources import spoken
from edgek.cli.targets import find_targets


@click.command("scale")
@click.argument("words", nargs=-1, metavar="KIND NAME | KIND/NAME...")
@click.option("--replicas", type=click.IntRange(min=0), required=True, metavar="N", help="So many.")
@cluster_command
async def command(cluster: Cluster, /, words: tuple[str, ...], replicas: int) -> None:
    """Set the number of replicas: `scale deployment/web --replicas=5`."""
    for target in await find_targets(cluster, words):
        if not target.names:
            raise Failure(f"name the {target.kind.singular} to scale")
        if not any(s.name == "scale" for s in target.kind.subresources):
            raise Failure(f"a {target.kind.singular} cannot be scaled")
        for name in target.names:
            key = Key(cluster.namespace, name)
            body = {"spec": {"replicas": replicas}}
            await cluster.client.patch(target.kind, key, body, subresource="scale")
            click.echo(f"{spoken(target.kind)}/{name} scaled")
