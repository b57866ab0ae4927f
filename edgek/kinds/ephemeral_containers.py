"""Ephemeral containers: added to a running pod to look into it, and never changed again.

As validateEphemeralContainers and ValidatePodEphemeralContainersUpdate. They have no place in a
new pod and are written through pods/ephemeralcontainers only.
"""

from collections.abc import Collection
from typing import Any

from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds.pod_parts import keep_all_but_spec, with_same_empties

PATH = FieldPath("spec.ephemeralContainers")
WHOLE = FieldPath("[]")
"""How upstream names an object as a whole."""
MIRROR = "kubernetes.io/config.mirror"
ALLOWED = (
    "name", "image", "command", "args", "workingDir", "envFrom", "env", "volumeMounts",
    "volumeDevices", "terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy",
    "securityContext", "stdin", "stdinOnce", "tty", "targetContainerName",
)  # fmt: skip
_TEXT = "cannot be set for an Ephemeral Container"


def validate_ephemeral(
    container: Obj, others: Collection[Any], path: FieldPath, errors: FieldErrors
) -> None:
    """What an ephemeral container may not have; ``others`` are the names of the pod's own."""
    target = container.get("targetContainerName")
    if target and target not in others:
        errors.not_found(path.child("targetContainerName"), target)
    for field, value in container.items():
        if field not in ALLOWED and with_same_empties(value) not in (None, "", [], {}, False):
            errors.forbidden(path.child(field), _TEXT)
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        for field in ("subPath", "subPathExpr"):
            if mount.get(field):
                errors.forbidden(path.child("volumeMounts").index(index).child(field), _TEXT)


def prepare_ephemeral(pod: Obj, old: Obj) -> None:
    """Of a write through the subresource only the ephemeral containers count."""
    containers = (pod.get("spec") or {}).get("ephemeralContainers") or []
    spec = {k: v for k, v in (old.get("spec") or {}).items() if k != "ephemeralContainers"}
    if containers:
        spec["ephemeralContainers"] = containers
    keep_all_but_spec(pod, old, spec)


def validate_ephemeral_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    """Order does not matter: patches do not keep it."""
    if MIRROR in (old["metadata"].get("annotations") or {}):
        errors.errors.clear()
        errors.forbidden(WHOLE, "static pods do not support ephemeral containers")
        return
    now = {c.get("name"): c for c in (new.get("spec") or {}).get("ephemeralContainers") or ()}
    for container in (old.get("spec") or {}).get("ephemeralContainers") or ():
        name = container.get("name")
        if name not in now:
            errors.forbidden(PATH, f'existing ephemeral containers "{name}" may not be removed\n')
        elif with_same_empties(now[name]) != with_same_empties(container):
            errors.forbidden(PATH, f'existing ephemeral containers "{name}" may not be changed\n')
