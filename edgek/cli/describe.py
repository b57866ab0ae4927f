"""``edgek describe``: one object with all that explains its state, its events at the end."""

from collections.abc import Sequence

import click

from edgek.api.meta import Key, Obj, uid
from edgek.cli.cluster import Cluster, Failure, cluster_command
from edgek.cli.description.events import event_table
from edgek.cli.description.generic import describe_any, describe_secret
from edgek.cli.description.layout import Fields, render
from edgek.cli.description.node import describe_node
from edgek.cli.description.pod import describe_pod
from edgek.cli.description.service import describe_service
from edgek.cli.description.workload import KINDS, describe_workload
from edgek.cli.targets import Target, find_targets
from edgek.kinds import ENDPOINT_SLICE, EVENT, NODE, POD, SECRET, SERVICE
from edgek.kinds.kind import Kind

SERVICE_NAME = "kubernetes.io/service-name"


@click.command("describe")
@click.argument("words", nargs=-1, metavar="KIND [NAME...] | KIND/NAME...")
@click.option("-l", "--selector", default="", metavar="LABELS", help="All with labels.")
@click.option("-A", "--all-namespaces", is_flag=True, help="In all namespaces.")
@cluster_command
async def command(
    cluster: Cluster, /, words: tuple[str, ...], selector: str, all_namespaces: bool
) -> None:
    """Show objects with their state and events: `describe pod web`, `describe node`."""
    namespace = "" if all_namespaces else cluster.namespace
    texts: list[str] = []
    for target in await find_targets(cluster, words):
        found = await _objects(cluster, target, namespace, selector)
        texts += [await describe(cluster, target.kind, obj) for obj in found]
    if not texts:
        raise Failure("No resources found" + (f" in {namespace} namespace." if namespace else ""))
    click.echo("\n\n\n".join(texts))


async def _objects(
    cluster: Cluster, target: Target, namespace: str, selector: str
) -> Sequence[Obj]:
    if target.names:
        keys = [Key(namespace, name) for name in target.names]
        return [await cluster.client.get(target.kind, key) for key in keys]
    listed = await cluster.client.list(target.kind, namespace=namespace, label_selector=selector)
    return listed.items


async def describe(cluster: Cluster, kind: Kind, obj: Obj) -> str:
    fields = await _fields(cluster, kind, obj)
    events = await _events(cluster, kind, obj)
    return "\n".join(render(Fields([*fields.pairs, ("Events", event_table(events))])))


async def _fields(cluster: Cluster, kind: Kind, obj: Obj) -> Fields:
    """What the kind has words for, with what they need besides the object."""
    name = obj["metadata"]["name"]
    namespace = obj["metadata"].get("namespace", "")
    if kind == POD:
        return describe_pod(obj)
    if kind == NODE:
        selector = f"spec.nodeName={name}"
        pods = await cluster.client.list(POD, field_selector=selector)
        return describe_node(obj, pods.items)
    if kind == SERVICE:
        slices = await cluster.client.list(
            ENDPOINT_SLICE, namespace=namespace, label_selector=f"{SERVICE_NAME}={name}"
        )
        return describe_service(obj, slices.items)
    if kind == SECRET:
        return describe_secret(obj)
    if kind.group == "apps" and kind.kind in KINDS:
        return describe_workload({"kind": kind.kind, **obj})
    return describe_any({"apiVersion": kind.api_version, "kind": kind.kind, **obj})


async def _events(cluster: Cluster, kind: Kind, obj: Obj) -> Sequence[Obj]:
    selector = {
        "involvedObject.name": obj["metadata"]["name"],
        "involvedObject.kind": kind.kind,
        "involvedObject.namespace": obj["metadata"].get("namespace", ""),
    }
    # The events of a node have its name as their uid: nobody can know its uid before it is there.
    if kind != NODE:
        selector["involvedObject.uid"] = uid(obj)
    text = ",".join(f"{k}={v}" for k, v in selector.items() if v)
    namespace = obj["metadata"].get("namespace", "")
    listed = await cluster.client.list(EVENT, namespace=namespace, field_selector=text)
    return listed.items
