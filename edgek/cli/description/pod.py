"""Pod: where it is, how each container is, what it waits for."""

from edgek.api.meta import Obj, get_path, is_deleting
from edgek.cli.description.containers import describe_containers
from edgek.cli.description.generic import controlled_by, head
from edgek.cli.description.layout import NONE, Fields, Table, Value, pairs_text


def describe_pod(pod: Obj) -> Fields:
    spec, status = pod["spec"], pod.get("status") or {}
    name_and_namespace, labels = head(pod)[:2], head(pod)[2:]
    inits = spec.get("initContainers") or ()
    return Fields([
        *name_and_namespace,
        ("Priority", str(spec.get("priority", 0))),
        ("Service Account", spec.get("serviceAccountName") or NONE),
        ("Node", _node(pod)),
        ("Start Time", status.get("startTime") or NONE),
        *labels,
        ("Status", _status(pod)),
        *[(label, status[key]) for label, key in (("Reason", "reason"), ("Message", "message"))
          if status.get(key)],
        ("IP", status.get("podIP") or NONE),
        *controlled_by(pod),
        *([("Init Containers",
            describe_containers(inits, status.get("initContainerStatuses") or ()))]
          if inits else []),
        ("Containers",
         describe_containers(spec["containers"], status.get("containerStatuses") or ())),
        ("Conditions", conditions_table(pod)),
        ("Volumes", describe_volumes(spec)),
        ("QoS Class", status.get("qosClass") or NONE),
        ("Node-Selectors", pairs_text(spec.get("nodeSelector"))),
        ("Tolerations", [toleration_text(t) for t in spec.get("tolerations") or ()]),
    ])  # fmt: skip


def _node(pod: Obj) -> str:
    name = pod["spec"].get("nodeName")
    ip = get_path(pod, "status", "hostIP", default="")
    return f"{name}/{ip}" if name else NONE


def _status(pod: Obj) -> str:
    if is_deleting(pod):
        meta = pod["metadata"]
        grace = meta.get("deletionGracePeriodSeconds", 0)
        return f"Terminating (by {meta['deletionTimestamp']}, grace period {grace}s)"
    return str(get_path(pod, "status", "phase", default="Unknown"))


def conditions_table(obj: Obj) -> Value:
    found = get_path(obj, "status", "conditions", default=[])
    rows = [[c["type"], c["status"], c.get("reason", ""), c.get("message", "")] for c in found]
    return Table(("Type", "Status", "Reason", "Message"), rows)


def describe_volumes(spec: Obj) -> Fields | str:
    volumes = spec.get("volumes") or ()
    return Fields([(v["name"], _volume(v)) for v in volumes]) if volumes else NONE


def _volume(volume: Obj) -> Fields:
    kind = next((k for k in volume if k != "name"), "emptyDir")
    source = volume.get(kind) or {}
    simple = [(k, str(v)) for k, v in sorted(source.items()) if not isinstance(v, dict | list)]
    return Fields([("Type", kind[0].upper() + kind[1:]), *simple])


def toleration_text(toleration: Obj) -> str:
    value = f"={toleration['value']}" if toleration.get("value") else ""
    effect = f":{toleration['effect']}" if toleration.get("effect") else ""
    operator = " op=Exists" if toleration.get("operator") == "Exists" else ""
    seconds = toleration.get("tolerationSeconds")
    for_ = f" for {seconds}s" if seconds is not None else ""
    return f"{toleration.get('key', '')}{value}{effect}{operator}{for_}".strip()
