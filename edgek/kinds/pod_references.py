"""Which other objects a pod's node must read for it: by (plural, name), from the pod alone.

The Node authorizer lets a node read these and no others; NodeRestriction lets it make no pod of
its own that has any.
"""

from collections.abc import Iterable, Iterator

from edgek.api.meta import Obj, get_path, name


def references(pod: Obj) -> set[tuple[str, str]]:
    """(plural, name) of the secrets, configmaps and claims that a pod's node must read.

    As pkg/api/pod VisitPodSecretNames and VisitPodConfigmapNames.
    """
    spec = pod.get("spec") or {}
    found = {("secrets", r.get("name", "")) for r in spec.get("imagePullSecrets") or ()}
    for container in _containers(spec):
        found |= set(_environment(container))
    for volume in spec.get("volumes") or ():
        found |= set(_volume(volume, name(pod)))
    found.discard(("secrets", ""))
    return found


def _containers(spec: Obj) -> Iterator[Obj]:
    for group in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(group) or ()


def _environment(container: Obj) -> Iterator[tuple[str, str]]:
    sources = [(s, "secretRef", "configMapRef") for s in container.get("envFrom") or ()]
    sources += [
        (e.get("valueFrom") or {}, "secretKeyRef", "configMapKeyRef")
        for e in container.get("env") or ()
    ]
    for source, secret, config_map in sources:
        yield from _named(source, (("secrets", secret, "name"), ("configmaps", config_map, "name")))


_VOLUME_SOURCES = (
    ("secrets", "secret", "secretName"),
    ("configmaps", "configMap", "name"),
    ("persistentvolumeclaims", "persistentVolumeClaim", "claimName"),
)
_SECRET_REFS = ("cephfs", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos")


def _volume(volume: Obj, pod_name: str) -> Iterator[tuple[str, str]]:
    yield from _named(volume, _VOLUME_SOURCES)
    for source in get_path(volume, "projected", "sources", default=()):
        yield from _named(
            source, (("secrets", "secret", "name"), ("configmaps", "configMap", "name"))
        )
    for kind in _SECRET_REFS:
        if secret := get_path(volume, kind, "secretRef", "name"):
            yield "secrets", secret
    if secret := get_path(volume, "csi", "nodePublishSecretRef", "name"):
        yield "secrets", secret
    if "ephemeral" in volume:
        yield "persistentvolumeclaims", f"{pod_name}-{volume['name']}"


_PV_SECRETS = {
    "csi": ("controllerExpandSecretRef", "nodeStageSecretRef", "nodePublishSecretRef",
            "nodeExpandSecretRef"),
    "cephfs": ("secretRef",),
    "flexVolume": ("secretRef",),
    "iscsi": ("secretRef",),
    "rbd": ("secretRef",),
    "scaleIO": ("secretRef",),
}  # fmt: skip


def volume_secrets(volume: Obj) -> Iterator[tuple[str, str]]:
    """(namespace, name) of the secrets by which a node mounts a PersistentVolume; as
    pkg/api/persistentvolume VisitPVSecretNames, which has its claim's namespace as the default."""
    claims = get_path(volume, "spec", "claimRef", "namespace", default="")
    for source, fields in _PV_SECRETS.items():
        for field in fields:
            ref = get_path(volume, "spec", source, field, default=None) or {}
            if ref.get("name"):
                yield ref.get("namespace") or claims, ref["name"]


def _named(source: Obj, fields: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, str]]:
    for plural, field, key in fields:
        if found := get_path(source, field, key):
            yield plural, found
