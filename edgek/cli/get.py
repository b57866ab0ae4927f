"""``edgek get``: one or many objects, as tables for people or as data, once or for as long as
they change."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import click

from edgek.api.errors import NotFound
from edgek.api.meta import Key, Obj
from edgek.cli import printers
from edgek.cli.cluster import Cluster, Failure, cluster_command
from edgek.cli.printers import Look
from edgek.cli.resources import spoken
from edgek.cli.targets import Target, find_targets
from edgek.client.transport import Call
from edgek.kinds.kind import Kind

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
OUTPUTS = ("json", "yaml", "name", "wide")


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Which of the objects: namespace "" is all of them."""

    namespace: str
    labels: str = ""
    fields: str = ""

    def query(self, **more: str) -> dict[str, str]:
        found = {"labelSelector": self.labels, "fieldSelector": self.fields, **more}
        return {k: v for k, v in found.items() if v}


@click.command("get")
@click.argument("words", nargs=-1, metavar="KIND[,KIND] [NAME...] | KIND/NAME...")
@click.option("-o", "--output", type=click.Choice(OUTPUTS), help="Form of the output.")
@click.option("-l", "--selector", default="", metavar="LABELS", help="Only those with labels.")
@click.option("--field-selector", default="", metavar="FIELDS", help="Only those with fields.")
@click.option("-A", "--all-namespaces", is_flag=True, help="From all namespaces.")
@click.option("-w", "--watch", is_flag=True, help="Go on and show what changes.")
@click.option("--no-headers", is_flag=True, help="No header line.")
@click.option("--show-labels", is_flag=True, help="A last column with the labels.")
@click.option("--ignore-not-found", is_flag=True, help="Nothing found is no error.")
@cluster_command
async def command(cluster: Cluster, /, words: tuple[str, ...], **options: Any) -> None:
    """Show objects: `get pods`, `get deployment web -o yaml`, `get po,svc -A`, `get all`."""
    targets = await find_targets(cluster, words)
    ask = Ask(
        namespace="" if options["all_namespaces"] else cluster.namespace,
        labels=options["selector"],
        fields=options["field_selector"],
    )
    check(targets, ask, options)
    if options["output"] in (None, "wide"):
        await show_tables(cluster, targets, ask, options)
    else:
        await show_objects(cluster, targets, ask, options)


def check(targets: Sequence[Target], ask: Ask, options: dict[str, Any]) -> None:
    named = any(t.names for t in targets)
    if named and options["all_namespaces"]:
        raise Failure("an object cannot be named in all namespaces; leave -A out")
    if named and (ask.labels or ask.fields):
        raise Failure("names and selectors cannot be given together")
    if options["watch"] and (len(targets) != 1 or len(targets[0].names) > 1):
        raise Failure("only one kind, or one object, can be watched")


async def show_objects(
    cluster: Cluster, targets: Sequence[Target], ask: Ask, options: dict[str, Any]
) -> None:
    found: list[tuple[Kind, Obj]] = []
    version = ""
    for target in targets:
        objects, version = await fetch(cluster, target, ask, missing_ok=options["ignore_not_found"])
        found += [(target.kind, o) for o in objects]
    one = len(targets) == 1 and len(targets[0].names) == 1
    _print_objects(found, options["output"], one=one)
    if options["watch"]:
        call = _watch_call(targets[0], ask, version)
        async with cluster.transport.watch(call) as events:
            async for event in events:
                if event.type != "BOOKMARK":
                    _print_objects([(targets[0].kind, event.obj)], options["output"], one=True)


def _print_objects(found: Sequence[tuple[Kind, Obj]], output: str, *, one: bool) -> None:
    if output == "name":
        for kind, obj in found:
            click.echo(printers.names_of(kind, [obj])[0])
        return
    show = printers.as_json if output == "json" else printers.as_yaml
    objects = [_without_managed_fields(obj) for _, obj in found]
    if not one or objects:
        click.echo(show(objects[0] if one else printers.as_list(objects)))


def _without_managed_fields(obj: Obj) -> Obj:
    kept = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    return obj | {"metadata": kept}


async def fetch(
    cluster: Cluster, target: Target, ask: Ask, *, missing_ok: bool = False
) -> tuple[list[Obj], str]:
    """The objects and the resource version a watch can go on from."""
    kind = target.kind
    if not target.names:
        listed = await cluster.client.list(
            kind, namespace=ask.namespace, label_selector=ask.labels, field_selector=ask.fields
        )
        return listed.items, listed.resource_version
    found: list[Obj] = []
    for name in target.names:
        try:
            found.append(await cluster.client.get(kind, Key(ask.namespace, name)))
        except NotFound:
            if not missing_ok:
                raise
    return found, found[0]["metadata"]["resourceVersion"] if found else ""


async def show_tables(
    cluster: Cluster, targets: Sequence[Target], ask: Ask, options: dict[str, Any]
) -> None:
    look = Look(
        wide=options["output"] == "wide",
        headers=not options["no_headers"],
        show_labels=options["show_labels"],
    )
    blocks: list[str] = []
    for target in targets:
        tables = await _tables(cluster, target, ask, missing_ok=options["ignore_not_found"])
        mine = _look(look, target, ask, several=len(targets) > 1)
        widths: list[int] = []
        if lines := _lines(tables, mine, widths):
            blocks.append("\n".join(lines))
        if options["watch"]:
            if blocks:
                click.echo(blocks[0])
            await _follow(cluster, target, ask, tables[-1], look=mine, widths=widths)
    if blocks:
        click.echo("\n\n".join(blocks))
    elif not any(t.names for t in targets) and not options["ignore_not_found"]:
        click.echo(_nothing(targets, ask), err=True)


def _look(look: Look, target: Target, ask: Ask, *, several: bool) -> Look:
    return replace(
        look,
        namespaces=target.kind.namespaced and not ask.namespace,
        prefix=f"{spoken(target.kind)}/" if several else "",
    )


def _nothing(targets: Sequence[Target], ask: Ask) -> str:
    where = any(t.kind.namespaced for t in targets) and ask.namespace
    return "No resources found" + (f" in {ask.namespace} namespace." if where else "")


def _lines(tables: Sequence[Obj], look: Look, widths: list[int]) -> list[str]:
    """The tables of several names as one."""
    rows: list[list[str]] = []
    for table in tables:
        header, *body = printers.table_rows(table, look)
        rows += body if rows or not body or not look.headers else [header, *body]
    return printers.aligned(rows, widths)


async def _tables(cluster: Cluster, target: Target, ask: Ask, *, missing_ok: bool) -> list[Obj]:
    paths = [target.kind.path(ask.namespace, name) for name in target.names or ("",)]
    found: list[Obj] = []
    for path in paths:
        call = Call(method="GET", path=path, query=ask.query(), accept=TABLE)
        try:
            found.append(await cluster.transport.call(call))
        except NotFound:
            if not missing_ok or not target.names:
                raise
    return found


async def _follow(
    cluster: Cluster, target: Target, ask: Ask, table: Obj, *, look: Look, widths: list[int]
) -> None:
    """New rows under the old ones; the server names the columns only in the first event."""
    call = _watch_call(target, ask, table["metadata"].get("resourceVersion", ""), accept=TABLE)
    columns = table["columnDefinitions"]
    async with cluster.transport.watch(call) as events:
        async for event in events:
            if event.type == "BOOKMARK":
                continue
            columns = event.obj.get("columnDefinitions") or columns
            header, *rows = printers.table_rows(event.obj | {"columnDefinitions": columns}, look)
            new = [header, *rows] if not widths and look.headers else rows
            click.echo("\n".join(printers.aligned(new, widths)))


def _watch_call(target: Target, ask: Ask, version: str, accept: str = "application/json") -> Call:
    if target.names:
        ask = replace(ask, fields=f"metadata.name={target.names[0]}")
    query = ask.query(watch="true", resourceVersion=version)
    path = target.kind.path(ask.namespace)
    return Call(method="GET", path=path, query=query, accept=accept)
