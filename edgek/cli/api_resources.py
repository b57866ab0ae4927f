"""``edgek api-resources``: what kinds the server has, custom ones as well."""

import click

from edgek.cli.cluster import Cluster, cluster_command
from edgek.cli.printers import aligned
from edgek.cli.resources import discover, preferred

HEADER = ("NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND")


@click.command("api-resources")
@click.option("-o", "--output", type=click.Choice(["name", "wide"]), help="Form of the output.")
@click.option("--no-headers", is_flag=True, help="No header line.")
@cluster_command
async def command(cluster: Cluster, /, output: str | None, no_headers: bool) -> None:
    """List the kinds of objects that the server knows."""
    kinds = [k for k in preferred(await discover(cluster)) if k.verbs]
    kinds.sort(key=lambda k: (k.group, k.plural))
    if output == "name":
        click.echo("\n".join(f"{k.plural}.{k.group}" if k.group else k.plural for k in kinds))
        return
    rows = [
        [k.plural, ",".join(k.short_names), k.api_version, str(k.namespaced).lower(), k.kind]
        + ([",".join(sorted(k.verbs))] if output == "wide" else [])
        for k in kinds
    ]
    header = [*HEADER, *(["VERBS"] if output == "wide" else [])]
    click.echo("\n".join(aligned(rows if no_headers else [header, *rows])))
