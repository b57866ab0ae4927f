"""``edgek token``: the words that make another machine a node of this cluster.

Read from the server's own files, so it needs no credentials but root's.
"""

import os
import socket
from pathlib import Path

import click

from edgek.cli.cluster import fail
from edgek.cli.installation import installed_settings
from edgek.roles import Settings


@click.command("token")
@click.option("--data-dir", metavar="DIR", help="The server's data directory.")
@click.option("--only", is_flag=True, help="Only the token, without the command around it.")
def command(data_dir: str | None, only: bool) -> None:
    """Print how to join another machine (on the server, as root)."""
    settings = installed_settings(os.environ)
    path = Path(data_dir or settings["data_dir"]) / "server" / "node-token"
    try:
        token = path.read_text().strip()
    except FileNotFoundError:
        fail(f"there is no {path}: run this on the server's machine, or name its --data-dir")
    except OSError as err:
        fail(f"cannot read {path}: {(err.strerror or str(err)).lower()}; run this as root")
    if only:
        click.echo(token)
        return
    url = f"https://{_address(settings)}:{settings['https_listen_port']}"
    click.echo(f"On the new machine, as root:\n  EDGEK_TOKEN={token} edgek agent --server {url}")
    click.echo("or, to install it as a service:")
    click.echo(f"  curl -sfL https://.../install.sh | EDGEK_URL={url} EDGEK_TOKEN={token} sh -")


def _address(settings: Settings) -> str:
    """Where others reach this server: as told, else from where its packets leave."""
    if settings["advertise_address"]:
        return str(settings["advertise_address"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # UDP: nothing is sent
        except OSError:
            return "ADDRESS-OF-THIS-MACHINE"
        return str(probe.getsockname()[0])
