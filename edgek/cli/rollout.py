"""``edgek rollout``: watch an update go on, start one over, go back to an older one."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from edgek.api.conditions import find_condition
from edgek.api.meta import Key, Obj, annotations, get_path, is_controlled_by
from edgek.api.time import format_time
from edgek.cli.cluster import Cluster, Failure, cluster_command
from edgek.cli.pods import selector_text
from edgek.cli.printers import aligned
from edgek.cli.resources import spoken
from edgek.cli.targets import find_one, find_targets
from edgek.cli.waiting import states
from edgek.cli.words import DURATION
from edgek.kinds import CONTROLLER_REVISION, DAEMON_SET, DEPLOYMENT, REPLICA_SET, STATEFUL_SET
from edgek.kinds.kind import Kind

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
REVISION = "deployment.kubernetes.io/revision"
CHANGE_CAUSE = "kubernetes.io/change-cause"
TEMPLATE_HASH = "pod-template-hash"


@click.group("rollout")
def command() -> None:
    """Watch, restart and undo updates of Deployments, DaemonSets and StatefulSets."""


@command.command("status")
@click.argument("words", nargs=-1, metavar="KIND NAME | KIND/NAME")
@click.option("--timeout", type=DURATION, default="0", metavar="60s", help="Wait no longer.")
@cluster_command
async def status(cluster: Cluster, /, words: tuple[str, ...], timeout: float) -> None:
    """Wait until an update has come to its end."""
    kind, name = await find_one(cluster, words)
    _known(kind)
    said = ""
    try:
        async with asyncio.timeout(timeout or None):
            async for obj in states(cluster, kind, Key(cluster.namespace, name)):
                if obj is None:
                    raise Failure(f'{kind.plural} "{name}" not found')
                text, done = progress(kind, obj)
                if text != said:
                    click.echo(text)
                    said = text
                if done:
                    return
    except TimeoutError:
        raise Failure("timed out waiting for the condition") from None


@command.command("restart")
@click.argument("words", nargs=-1, metavar="KIND NAME | KIND/NAME...")
@cluster_command
async def restart(cluster: Cluster, /, words: tuple[str, ...]) -> None:
    """Make all pods anew, a few at a time."""
    noted = {RESTARTED_AT: format_time(datetime.now(UTC))}
    body = {"spec": {"template": {"metadata": {"annotations": noted}}}}
    for target in await find_targets(cluster, words):
        _known(target.kind)
        for name in target.names:
            await cluster.client.patch(target.kind, Key(cluster.namespace, name), body)
            click.echo(f"{spoken(target.kind)}/{name} restarted")


@command.command("undo")
@click.argument("words", nargs=-1, metavar="KIND NAME | KIND/NAME")
@click.option("--to-revision", type=click.IntRange(min=0), default=0, metavar="N",
              help="Back to this one; by default to the one before.")  # fmt: skip
@cluster_command
async def undo(cluster: Cluster, /, words: tuple[str, ...], to_revision: int) -> None:
    """Go back to the pods of an older revision."""
    kind, name = await find_one(cluster, words)
    found = await _revisions(cluster, kind, name)
    body = rollback(kind, name, found, to_revision)
    patch_type = "json" if kind == DEPLOYMENT else "strategic"
    key = Key(cluster.namespace, name)
    await cluster.client.patch(kind, key, body, patch_type=patch_type)
    click.echo(f"{spoken(kind)}/{name} rolled back")


@command.command("history")
@click.argument("words", nargs=-1, metavar="KIND NAME | KIND/NAME")
@cluster_command
async def history(cluster: Cluster, /, words: tuple[str, ...]) -> None:
    """List the revisions that an undo can go back to."""
    kind, name = await find_one(cluster, words)
    found = await _revisions(cluster, kind, name)
    rows = [[str(n), annotations(o).get(CHANGE_CAUSE, "<none>")] for n, o in found]
    click.echo(f"{spoken(kind)}/{name}")
    click.echo("\n".join(aligned([["REVISION", "CHANGE-CAUSE"], *rows])))


def _known(kind: Kind) -> None:
    if kind not in (DEPLOYMENT, DAEMON_SET, STATEFUL_SET):
        others = "Deployments, DaemonSets and StatefulSets have"
        raise Failure(f"a {kind.singular} has no rollout; {others}")


def progress(kind: Kind, obj: Obj) -> tuple[str, bool]:
    """What is still to come, and whether that is nothing. As kubectl's rollout_status.go."""
    seen = get_path(obj, "status", "observedGeneration", default=0)
    words = {DEPLOYMENT: "deployment", DAEMON_SET: "daemon set"}.get(kind, kind.singular)
    if obj["metadata"].get("generation", 0) > seen:
        return f"Waiting for {words} spec update to be observed...", False
    if kind == STATEFUL_SET:
        return _stateful_set_progress(obj)
    waiting = _deployment_waits(obj) if kind == DEPLOYMENT else _daemon_set_waits(obj)
    name = obj["metadata"]["name"]
    if waiting:
        return f'Waiting for {words} "{name}" rollout to finish: {waiting}...', False
    return f'{words} "{name}" successfully rolled out', True


def _deployment_waits(obj: Obj) -> str:
    condition = find_condition(get_path(obj, "status", "conditions"), "Progressing")
    name, counts = obj["metadata"]["name"], obj.get("status") or {}
    if condition and condition.get("reason") == "ProgressDeadlineExceeded":
        raise Failure(f'deployment "{name}" exceeded its progress deadline')
    wanted, total = obj["spec"].get("replicas", 1), counts.get("replicas", 0)
    updated, available = counts.get("updatedReplicas", 0), counts.get("availableReplicas", 0)
    if updated < wanted:
        return f"{updated} out of {wanted} new replicas have been updated"
    if total > updated:
        return f"{total - updated} old replicas are pending termination"
    if available < updated:
        return f"{available} of {updated} updated replicas are available"
    return ""


def _check_rolling(obj: Obj) -> None:
    if get_path(obj, "spec", "updateStrategy", "type") == "OnDelete":
        raise Failure("rollout status is only available for RollingUpdate strategy type")


def _stateful_set_progress(obj: Obj) -> tuple[str, bool]:
    _check_rolling(obj)
    counts, wanted = obj.get("status") or {}, obj["spec"].get("replicas", 1)
    ready, updated = counts.get("readyReplicas", 0), counts.get("updatedReplicas", 0)
    if ready < wanted:
        return f"Waiting for {wanted - ready} pods to be ready...", False
    rolling = get_path(obj, "spec", "updateStrategy", "rollingUpdate")
    if rolling is not None:
        share = wanted - rolling.get("partition", 0)
        if updated < share:
            what = f"{updated} out of {share} new pods have been updated"
            return f"Waiting for partitioned roll out to finish: {what}...", False
        return f"partitioned roll out complete: {updated} new pods have been updated...", True
    newest, current = counts.get("updateRevision"), counts.get("currentRevision")
    if newest != current:
        what = f"{updated} pods at revision {newest}"
        return f"waiting for statefulset rolling update to complete {what}...", False
    what = f"{counts.get('currentReplicas', 0)} pods at revision {current}"
    return f"statefulset rolling update complete {what}...", True


def _daemon_set_waits(obj: Obj) -> str:
    _check_rolling(obj)
    counts = obj.get("status") or {}
    wanted = counts.get("desiredNumberScheduled", 0)
    updated, available = counts.get("updatedNumberScheduled", 0), counts.get("numberAvailable", 0)
    if updated < wanted:
        return f"{updated} out of {wanted} new pods have been updated"
    if available < wanted:
        return f"{available} of {wanted} updated pods are available"
    return ""


async def _revisions(cluster: Cluster, kind: Kind, name: str) -> list[tuple[int, Obj]]:
    """ReplicaSets or ControllerRevisions with their numbers, the oldest first."""
    _known(kind)
    owner = await cluster.client.get(kind, Key(cluster.namespace, name))
    listed = await cluster.client.list(
        REPLICA_SET if kind == DEPLOYMENT else CONTROLLER_REVISION,
        namespace=cluster.namespace,
        label_selector=selector_text(owner),
    )
    own = [o for o in listed.items if is_controlled_by(o, owner)]
    return sorted(((_number(o), o) for o in own), key=lambda pair: pair[0])


def _number(obj: Obj) -> int:
    text = obj.get("revision") or annotations(obj).get(REVISION) or 0
    return int(text)


def rollback(kind: Kind, name: str, found: Sequence[tuple[int, Obj]], wanted: int) -> Any:
    """The patch that brings an older revision's pods back."""
    if not wanted and len(found) < 2:
        raise Failure(f'no rollout history found for {kind.singular} "{name}"')
    chosen = next((o for n, o in found if n == wanted), None) if wanted else found[-2][1]
    if chosen is None:
        raise Failure(f"unable to find specified revision {wanted} in history")
    if kind != DEPLOYMENT:
        return chosen["data"]
    template = chosen["spec"]["template"]
    meta = template.get("metadata") or {}
    kept = {k: v for k, v in (meta.get("labels") or {}).items() if k != TEMPLATE_HASH}
    value = {**template, "metadata": {**meta, "labels": kept}}
    return [{"op": "replace", "path": "/spec/template", "value": value}]
