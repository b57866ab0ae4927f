"""``edgek node``: this device's own pods, asked of its agent, with no server in reach.

The agent answers on a socket that only root may open (``node_socket.py``), so what is shown is
what the node itself knows, also of pods whose statuses no server has heard of yet.
"""

import functools
import os
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import click

from edgek.api.meta import Obj, uid
from edgek.cli.cluster import Failure, run
from edgek.cli.exec import converse, exit_code
from edgek.cli.node_socket import ask, stream
from edgek.cli.pods import default_container
from edgek.cli.printers import aligned, as_json
from edgek.cli.words import DURATION
from edgek.kinds import POD
from edgek.kinds.kind import Ago, Column
from edgek.kinds.pod_containers import logged_container_id, running_container_id

COLUMNS = ("Name", "Ready", "Status", "Restarts", "Age", "IP")
SHUTDOWN_SECONDS = 3600.0


@click.group("node")
def command() -> None:
    """Look after the pods of this device, also while no server is in reach (as root)."""


def node_command(function: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Gives ``function`` the directory of the agent's socket and runs it."""

    @click.option("--run-dir", metavar="DIR", help="The agent's --run-dir, where it is not found.")
    @functools.wraps(function)
    def wrapped(*args: Any, run_dir: str | None, **kwargs: Any) -> None:
        run(function(run_dir or _run_dir(), *args, **kwargs))

    return wrapped


def _run_dir() -> str:
    from edgek.cli.installation import installed_settings

    return str(installed_settings(os.environ)["run_dir"])


@command.command("pods")
@click.option("-n", "--namespace", default="", metavar="NAME", help="Only of this namespace.")
@click.option("-o", "--output", type=click.Choice(["json"]), help="The whole objects.")
@node_command
async def pods(run_dir: str, /, namespace: str, output: str | None) -> None:
    """List the pods of this node as its agent sees them."""
    found = await _pods(run_dir, namespace)
    if output:
        click.echo(as_json({"apiVersion": "v1", "kind": "List", "items": found}))
    elif not found:
        click.echo("No pods on this node", err=True)
    else:
        click.echo("\n".join(aligned(pod_rows(found, now=datetime.now(UTC)))))


def pod_rows(found: list[Obj], *, now: datetime) -> list[list[str]]:
    """The table, with its header. Pure."""
    columns = [next(c for c in POD.columns if c.name == name) for name in COLUMNS]
    head = ["NAMESPACE", *(c.name.upper() for c in columns)]
    rows = [
        [pod["metadata"].get("namespace", ""), *(_cell(c, pod, now) for c in columns)]
        for pod in found
    ]
    return [head, *sorted(rows)]


def _cell(column: Column, pod: Obj, now: datetime) -> str:
    value = column.read(pod)
    if column.type == "date" and not isinstance(value, Ago):
        value = Ago(value)
    return value.render(now) if isinstance(value, Ago) else str(value)


@command.command("logs")
@click.argument("pod", metavar="POD | NAMESPACE/POD")
@click.option("-c", "--container", default="", metavar="NAME", help="Of this container.")
@click.option("-n", "--namespace", default="", metavar="NAME", help="The pod's namespace.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written next.")
@click.option("-p", "--previous", is_flag=True, help="Of the container before its restart.")
@click.option("--tail", type=int, metavar="N", help="Only the last lines.")
@click.option("--since", type=DURATION, metavar="5m", help="Only what is younger.")
@click.option("--timestamps", is_flag=True, help="Each line with its time.")
@node_command
async def logs(run_dir: str, /, pod: str, container: str, namespace: str, **options: Any) -> None:
    """Show the logs of a pod of this node."""
    found = await _pod(run_dir, pod, namespace)
    chosen = default_container(found, container)
    previous = options["previous"]
    params: dict[str, Any] = {
        "podUID": uid(found),
        "containerID": logged_container_id(found, chosen, previous=previous),
        "follow": options["follow"] and not previous,
        "timestamps": options["timestamps"],
    }
    if options["tail"] is not None and options["tail"] >= 0:
        params["tailLines"] = options["tail"]
    if options["since"]:
        params["sinceSeconds"] = options["since"]
    async with stream(run_dir, "log", **params) as opened:
        async for data in opened.messages():
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()


@command.command("exec")
@click.argument("words", nargs=-1, metavar="POD -- COMMAND [ARGS...]")
@click.option("-c", "--container", default="", metavar="NAME", help="In this container.")
@click.option("-n", "--namespace", default="", metavar="NAME", help="The pod's namespace.")
@click.option("-i", "--stdin", is_flag=True, help="Pass standard input on.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
@node_command
async def execute(
    run_dir: str, /, words: tuple[str, ...], container: str, namespace: str, stdin: bool, tty: bool
) -> None:
    """Run a command in a container of this node: `node exec -it web-0 -- sh`."""
    if len(words) < 2:
        raise Failure("name a pod and a command: edgek node exec POD -- COMMAND")
    found = await _pod(run_dir, words[0], namespace)
    params: dict[str, Any] = {
        "podUID": uid(found),
        "containerID": running_container_id(found, default_container(found, container)),
        "command": list(words[1:]),
        "stdin": stdin,
        "stdout": True,
        "stderr": not tty,  # a terminal has one output
        "tty": tty,
    }
    async with stream(run_dir, "exec", **params) as opened:
        status = await converse(opened, stdin=stdin, tty=tty)
    if code := exit_code(status):
        raise SystemExit(code)


@command.command("status")
@click.option("-o", "--output", type=click.Choice(["json"]), help="The whole answer.")
@node_command
async def status(run_dir: str, /, output: str | None) -> None:
    """Tell how this node is: server, certificate, what is kept for a start without a server."""
    found = await ask(run_dir, "status")
    click.echo(as_json(found) if output else "\n".join(f"{k:<14}{v}" for k, v in said_of(found)))


def said_of(status: Obj) -> list[tuple[str, str]]:
    """The lines of ``edgek node status``. Pure."""
    server = status.get("server") or {}
    reach = "reachable" if server.get("reachable") else "not reachable"
    since = f" since {server['since']}" if server.get("since") else ""
    lines = [
        ("Node:", f"{status.get('node')} ({status.get('address')})"),
        ("Version:", str(status.get("version"))),
        ("Server:", f"{server.get('url')}, {reach}{since}"),
        ("Certificate:", f"expires {status.get('certificateExpires') or 'unknown'}"),
        ("Checkpoint:", _checkpoint(status.get("checkpoint") or {})),
        ("Pods:", str(status.get("pods"))),
    ]
    lines += [
        ("Condition:", f"{c['type']}={c['status']} {c.get('reason', '')}".rstrip())
        for c in status.get("conditions") or ()
    ]
    lines += [("Missing:", text) for text in status.get("shortcomings") or ()]
    return lines + [("Problem:", text) for text in status.get("problems") or ()]


def _checkpoint(checkpoint: Obj) -> str:
    if not checkpoint.get("written"):
        return "none yet: this node needs its server to start"
    kept = f"written {checkpoint['written']}, {checkpoint.get('bytes', 0)} bytes"
    return kept + (f"; {checkpoint['problem']}" if checkpoint.get("problem") else "")


@command.command("shutdown")
@node_command
async def shutdown(run_dir: str, /) -> None:
    """End all pods in good order, as when the machine shuts down, and wait for it.

    Under systemd this happens by itself; call it where another init stops the machine. New pods
    are refused until the agent starts again."""
    done = await ask(run_dir, "shutdown", wait=SHUTDOWN_SECONDS)
    click.echo(f"{done['ended']} pods ended, {done['left']} still running")


async def _pods(run_dir: str, namespace: str) -> list[Obj]:
    found: list[Obj] = await ask(run_dir, "pods")
    return [p for p in found if namespace in ("", p["metadata"].get("namespace"))]


async def _pod(run_dir: str, word: str, namespace: str) -> Obj:
    """The one pod of that name. Raises Failure."""
    before, slash, name = word.rpartition("/")
    if slash:
        namespace = before
    found = [p for p in await _pods(run_dir, namespace) if p["metadata"]["name"] == name]
    if not found:
        raise Failure(f"there is no pod {word} on this node; see: edgek node pods")
    if len(found) > 1:
        spaces = ", ".join(sorted(p["metadata"]["namespace"] for p in found))
        raise Failure(f"there are pods {name} in several namespaces, name one: {spaces}")
    return found[0]
