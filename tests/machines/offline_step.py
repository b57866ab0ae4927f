"""What a device does on its own: its agent's machine reboots while no server is in reach."""

import json
import time
from typing import Any

from lab import Lab, expect, since, until
from machine import Machine, MachineError
from objects import BUSYBOX, fetch, pod, service

STATIC = "/etc/edgek/manifests/still.json"
STARTED = "echo begun >>/data/starts; echo brain is up; exec httpd -f -p 8080 -h /data"
READ = {
    "cat /config/mode": "careful",
    "cat /secret/key": "swordfish",
    "cat /token/token | cut -c1-3": "eyJ",
    "cat /kept/word": "from-the-disk",
}
"""What is in the files of the pod that has all kinds of volumes."""


def offline(lab: Lab) -> str:
    """Pods, static ones too, are back with volumes, services and names; ``edgek node`` looks after
    them; and when the server is in reach again, nothing of it is started anew."""
    one, two = lab.one, lab.two
    _prepare(lab)
    one.cable(plugged=False)
    try:
        begun = time.monotonic()
        two.reboot()
        until(lambda: _ready(two) >= {"brain", "asker", "still-two"}, "pods are back", timeout=300)
        took = since(begun)
        _look(two)
        before = _ours(two)
    finally:
        one.cable(plugged=True)
    lab.wait_for_node("two")
    two.wait_until(
        "edgek node status | grep -q ', reachable'", timeout=120, what="the server is seen"
    )
    for name in ("brain", "asker", "still-two"):
        until(lambda name=name: _container(lab, name) in before, f"the API knows of {name}")
    lab.edgek("exec asker -- true")
    expect("containers once the server is back", _ours(two), before)
    expect("starts of the pod", two.run("edgek node exec brain -- cat /data/starts").split(),
           ["begun"] * 2)  # fmt: skip
    two.run(f"rm {STATIC}")
    lab.edgek("delete pod brain asker --grace-period=1", timeout=180)
    lab.edgek("delete service/brain configmap/brain secret/brain pvc/brain", timeout=180)
    until(lambda: "still-two" not in _ready(two), "the static pod is gone")
    return f"pods were back {took} after the reboot began"


def _prepare(lab: Lab) -> None:
    two = lab.two
    two.run("mkdir -p /srv/kept; echo from-the-disk >/srv/kept/word")
    metadata = {"name": "brain", "namespace": "default"}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    token = {"serviceAccountToken": {"path": "token"}}
    volumes = {
        "config": {"configMap": {"name": "brain"}},
        "secret": {"secret": {"secretName": "brain"}},
        "data": {"persistentVolumeClaim": {"claimName": "brain"}},
        "kept": {"hostPath": {"path": "/srv/kept"}},
        "token": {"projected": {"sources": [token]}},
    }
    lab.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata,
         "data": {"mode": "careful"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata,
         "stringData": {"key": "swordfish"}},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim},
        service("brain", port=8080),
        pod("brain", node="two", script=STARTED, volumes=volumes),
        pod("asker", node="two", script="exec sleep 36000"),
    )  # fmt: skip
    still = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "still"},
        "spec": {"containers": [{"name": "main", "image": BUSYBOX, "command": ["sleep", "36000"]}]},
    }
    two.run(f"mkdir -p $(dirname {STATIC}); cat >{STATIC} <<'END'\n{json.dumps(still)}\nEND")
    for name in ("brain", "asker", "still-two"):
        lab.wait_for_pod(name)
    ask = f"edgek node exec asker -- {fetch('brain', 'starts')}"
    two.wait_until(ask, timeout=60, what="the service answers")


def _look(two: Machine) -> None:
    for command, said in READ.items():
        expect(command, two.run(f"edgek node exec brain -- sh -c '{command}'").strip(), said)
    ask = f"edgek node exec asker -- {fetch('brain', 'starts')}"
    two.wait_until(ask, timeout=60, what="the service answers, by its name")
    expect("the log", two.run("edgek node logs brain").strip(), "brain is up")
    expect("the static pod", two.run("edgek node exec still-two -- hostname").strip(), "still-two")


def _node_pods(two: Machine) -> list[dict[str, Any]]:
    code, said = two.try_run("edgek node pods -o json")
    if code:
        return []
    found: list[dict[str, Any]] = json.loads(said)["items"]
    return found


def _ready(two: Machine) -> set[str]:
    """Names of the pods that are ready, as the device itself has them."""
    return {
        p["metadata"]["name"]
        for p in _node_pods(two)
        for c in p.get("status", {}).get("conditions", ())
        if (c["type"], c["status"]) == ("Ready", "True")
    }


def _ours(two: Machine) -> list[str]:
    """The ids of containers that run, but those of other steps."""
    names = " ".join(f"--filter name=edgek_main_{name}" for name in ("brain", "asker", "still"))
    return sorted(two.run(f"podman ps --quiet --no-trunc {names}").split())


def _container(lab: Lab, name: str) -> str:
    """Its id, as the API has it."""
    try:
        found = lab.get(f"pod {name}")["status"]["containerStatuses"][0]["containerID"]
    except (MachineError, KeyError):
        return ""
    return str(found).rpartition("/")[2]
