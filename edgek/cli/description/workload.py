"""Deployment, ReplicaSet and DaemonSet: how many there should be, how many there are, of what."""

from typing import Any

from edgek.api.meta import Obj, get_path
from edgek.cli.description.containers import describe_containers
from edgek.cli.description.generic import controlled_by, head
from edgek.cli.description.layout import NONE, Fields, Value, pairs_text
from edgek.cli.description.pod import conditions_table, describe_volumes
from edgek.cli.pods import selector_text


def describe_workload(obj: Obj) -> Fields:
    name_and_namespace, labels = head(obj)[:2], head(obj)[2:]
    return Fields([
        *name_and_namespace,
        ("CreationTimestamp", obj["metadata"].get("creationTimestamp", "")),
        *labels,
        ("Selector", selector_text(obj) or NONE),
        *controlled_by(obj),
        *_NUMBERS[obj["kind"]](obj["spec"], obj.get("status") or {}),
        ("Pod Template", _template(obj["spec"]["template"])),
        ("Conditions", conditions_table(obj)),
    ])  # fmt: skip


def _deployment(spec: Obj, status: Obj) -> list[tuple[str, Value]]:
    counts = ", ".join(
        f"{count} {word}"
        for word, count in (
            ("desired", spec.get("replicas", 1)),
            ("updated", status.get("updatedReplicas", 0)),
            ("total", status.get("replicas", 0)),
            ("available", status.get("availableReplicas", 0)),
            ("unavailable", status.get("unavailableReplicas", 0)),
        )
    )
    rolling = get_path(spec, "strategy", "rollingUpdate", default={})
    steps = f"{rolling.get('maxUnavailable')} max unavailable, {rolling.get('maxSurge')} max surge"
    return [
        ("Replicas", counts),
        ("StrategyType", get_path(spec, "strategy", "type", default="RollingUpdate")),
        ("MinReadySeconds", str(spec.get("minReadySeconds", 0))),
        *([("RollingUpdateStrategy", steps)] if rolling else []),
    ]


def _replica_set(spec: Obj, status: Obj) -> list[tuple[str, Value]]:
    ready = status.get("readyReplicas", 0)
    counts = f"{status.get('replicas', 0)} current / {spec.get('replicas', 1)} desired"
    return [("Replicas", f"{counts}, {ready} ready")]


def _daemon_set(spec: Obj, status: Obj) -> list[tuple[str, Value]]:
    fields = (
        ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
        ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
        ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
        ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
        ("Number of Nodes Misscheduled", "numberMisscheduled"),
    )
    return [(label, str(status.get(key, 0))) for label, key in fields]


_NUMBERS: dict[str, Any] = {
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "DaemonSet": _daemon_set,
}
KINDS = tuple(_NUMBERS)


def _template(template: Obj) -> Fields:
    meta, spec = template.get("metadata") or {}, template["spec"]
    return Fields([
        ("Labels", pairs_text(meta.get("labels"))),
        *([("Annotations", pairs_text(meta["annotations"], joint=": "))]
          if meta.get("annotations") else []),
        *([("Init Containers", describe_containers(spec["initContainers"]))]
          if spec.get("initContainers") else []),
        ("Containers", describe_containers(spec["containers"])),
        ("Volumes", describe_volumes(spec)),
    ])  # fmt: skip
