"""``edgek version``: of this program and of the server."""

import click

from edgek import __version__
from edgek.cli.cluster import Cluster, cluster_command
from edgek.client.transport import Call


@click.command("version")
@cluster_command
async def command(cluster: Cluster, /) -> None:
    """Show the versions of this program and of the server."""
    click.echo(f"Client Version: {__version__}")
    answer = await cluster.transport.call(Call(method="GET", path="/version", timeout=5.0))
    click.echo(f"Server Version: {answer['gitVersion']}")
