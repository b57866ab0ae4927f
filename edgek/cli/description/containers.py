"""Containers of a pod, or of a pod template."""

from collections.abc import Iterable, Mapping
from typing import Any

from edgek.api.meta import Obj, get_path
from edgek.cli.description.layout import NONE, Fields, Value, pairs_text

Pair = tuple[str, Value]


def describe_containers(containers: Iterable[Obj], statuses: Iterable[Obj] = ()) -> Fields:
    by_name = {s["name"]: s for s in statuses}
    return Fields([(c["name"], _container(c, by_name.get(c["name"]))) for c in containers])


def _container(container: Obj, status: Obj | None) -> Fields:
    begin: list[Pair] = [("Container ID", status.get("containerID", ""))] if status else []
    return Fields([
        *begin,
        ("Image", container.get("image", "")),
        *([("Image ID", status.get("imageID", ""))] if status else []),
        ("Ports", [_port(p) for p in container.get("ports") or ()]),
        *[(label, list(container[key]))
          for label, key in (("Command", "command"), ("Args", "args")) if container.get(key)],
        *(_status(status) if status else []),
        *_resources(container.get("resources") or {}),
        *[(label, probe_text(container[key]))
          for label, key in (("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"),
                             ("Startup", "startupProbe")) if container.get(key)],
        ("Environment Variables from", [_env_from(e) for e in container["envFrom"]])
        if container.get("envFrom") else ("Environment", _environment(container)),
        *([("Environment", _environment(container))]
          if container.get("envFrom") and container.get("env") else []),
        ("Mounts", [_mount(m) for m in container.get("volumeMounts") or ()]),
    ])  # fmt: skip


def _port(port: Obj) -> str:
    name = f" ({port['name']})" if port.get("name") else ""
    host = f", host port {port['hostPort']}" if port.get("hostPort") else ""
    return f"{port['containerPort']}/{port.get('protocol', 'TCP')}{name}{host}"


def _status(status: Obj) -> list[Pair]:
    last = status.get("lastState") or {}
    return [
        ("State", state_text(status.get("state") or {})),
        *([("Last State", state_text(last))] if last else []),
        ("Ready", str(bool(status.get("ready")))),
        ("Restart Count", str(status.get("restartCount", 0))),
    ]


def state_text(state: Obj) -> list[str]:
    for name, of in (state or {"waiting": {}}).items():
        details = [
            (label, of[key])
            for label, key in (
                ("Reason", "reason"), ("Message", "message"), ("Exit Code", "exitCode"),
                ("Signal", "signal"), ("Started", "startedAt"), ("Finished", "finishedAt"),
            )
            if of.get(key) not in (None, "")
        ]  # fmt: skip
        return [name.capitalize(), *(f"{label}: {value}" for label, value in details)]
    return []


def _resources(resources: Mapping[str, Any]) -> list[Pair]:
    return [
        (kind.capitalize(), pairs_text(resources[kind], joint=": "))
        for kind in ("limits", "requests")
        if resources.get(kind)
    ]


def probe_text(probe: Obj) -> str:
    times = (
        f"delay={probe.get('initialDelaySeconds', 0)}s timeout={probe.get('timeoutSeconds', 1)}s "
        f"period={probe.get('periodSeconds', 10)}s #success={probe.get('successThreshold', 1)} "
        f"#failure={probe.get('failureThreshold', 3)}"
    )
    return f"{_probe_action(probe)} {times}"


def _probe_action(probe: Obj) -> str:
    if "exec" in probe:
        return f"exec {probe['exec'].get('command', [])}"
    if "httpGet" in probe:
        get = probe["httpGet"]
        scheme, host = get.get("scheme", "HTTP").lower(), get.get("host", "")
        return f"http-get {scheme}://{host}:{get['port']}{get.get('path', '/')}"
    if "tcpSocket" in probe:
        return f"tcp-socket {probe['tcpSocket'].get('host', '')}:{probe['tcpSocket']['port']}"
    return f"grpc {get_path(probe, 'grpc', 'port', default='')}"


def _environment(container: Obj) -> list[str]:
    return [f"{e['name']}: {_env_value(e)}" for e in container.get("env") or ()]


def _env_value(env: Obj) -> str:
    source = env.get("valueFrom")
    if not source:
        return str(env.get("value", ""))
    for key, words in (("configMapKeyRef", "config map"), ("secretKeyRef", "secret")):
        if ref := source.get(key):
            return f"<set to the key '{ref.get('key')}' in {words} '{ref.get('name')}'>"
    path = get_path(source, "fieldRef", "fieldPath") or get_path(
        source, "resourceFieldRef", "resource", default=NONE
    )
    return f"({path})"


def _env_from(source: Obj) -> str:
    for key, words in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
        if ref := source.get(key):
            prefix = f" with prefix '{source['prefix']}'" if source.get("prefix") else ""
            return f"{ref.get('name')} {words}{prefix}"
    return NONE


def _mount(mount: Obj) -> str:
    mode = "ro" if mount.get("readOnly") else "rw"
    sub = f',path="{mount["subPath"]}"' if mount.get("subPath") else ""
    return f"{mount['mountPath']} from {mount['name']} ({mode}{sub})"
