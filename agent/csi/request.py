"""What a driver is asked for a pod's volume. Pure: from the volume, its CSIDriver and the pod.

As pkg/volume/csi/csi_mounter.go, csi_attacher.go, csi_block.go.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from agent.csi.places import Places, Record
from agent.grpc.messages import Message
from agent.pods.volumes.plugin import VolumeError, Wanted
from edgek.api.meta import Key, Obj, get_path, name, namespace, uid

PREFIX = "csi.storage.k8s.io/"
# AccessMode.Mode
WRITER, MULTI_READER, MULTI_WRITER, SINGLE_WRITER, SINGLE_MULTI_WRITER = 1, 3, 5, 6, 7


@dataclass(frozen=True, kw_only=True)
class Volume:
    """``driver`` is the CSIDriver's spec, {} without one; ``source`` the csi part of the volume."""

    record: Record
    source: Obj
    driver: Obj
    modes: tuple[str, ...]
    mount_options: tuple[str, ...]
    read_only: bool

    @property
    def fs_type(self) -> str:
        return str(self.source.get("fsType") or "")

    @property
    def republish(self) -> bool:
        return bool(self.driver.get("requiresRepublish"))


def plan_volume(wanted: Wanted, driver: Obj | None, places: Places, *, node: str) -> Volume:
    """``driver``: the CSIDriver object. Raises VolumeError for what cannot be."""
    source, pod = wanted.source, wanted.pod
    ephemeral = wanted.volume is None
    spec = (driver or {}).get("spec") or {}
    own = str(source["driver"])
    _check(own, driver, pod, ephemeral=ephemeral)
    spec_name = wanted.name if wanted.volume is None else name(wanted.volume)
    handle = ephemeral_handle(uid(pod), wanted.name) if ephemeral else str(source["volumeHandle"])
    block = wanted.block
    staging = places.block_staging(spec_name) if block else places.staging(own, handle)
    target = places.block_target if block else places.target
    attach = not ephemeral and spec.get("attachRequired", True)
    record = Record(
        driver=own,
        handle=handle,
        spec_name=spec_name,
        target=str(target(uid(pod), spec_name)),
        staging="" if ephemeral else str(staging),
        ephemeral=ephemeral,
        block=block,
        attached=f"kubernetes.io/csi/{own}^{handle}" if attach else "",
        pod_name=name(pod),
        pod_namespace=namespace(pod),
        pod_uid=uid(pod),
    )
    persistent = get_path(wanted.volume, "spec", default={}) if wanted.volume else {}
    return Volume(
        record=record,
        source=source,
        driver=spec,
        modes=tuple(persistent.get("accessModes") or ("ReadWriteOnce",)),
        mount_options=tuple(persistent.get("mountOptions") or ()),
        read_only=wanted.read_only,
    )


def _check(own: str, driver: Obj | None, pod: Obj, *, ephemeral: bool) -> None:
    modes = get_path(driver, "spec", "volumeLifecycleModes", default=["Persistent"])
    if ephemeral and driver is None:
        text = f'volume mode "Ephemeral" not supported by driver {own} (no CSIDriver object)'
        raise VolumeError(text)
    mode = "Ephemeral" if ephemeral else "Persistent"
    if driver is not None and mode not in modes:
        only = " ".join(f'"{m}"' for m in modes)
        raise VolumeError(
            f'volume mode "{mode}" not supported by driver {own} (only supports [{only}])'
        )
    asks = get_path(pod, "spec", "securityContext", "seLinuxOptions", default=None)
    if asks and get_path(driver, "spec", "seLinuxMount", default=False):
        raise VolumeError("CSIDriver.spec.seLinuxMount with seLinuxOptions is not supported")


def ephemeral_handle(pod_uid: str, volume: str) -> str:
    """As makeVolumeHandle."""
    return f"csi-{hashlib.sha256(f'{pod_uid}{volume}'.encode()).hexdigest()}"


def attachment_name(record: Record, node: str) -> str:
    """As getAttachmentName."""
    text = f"{record.handle}{record.driver}{node}"
    return f"csi-{hashlib.sha256(text.encode()).hexdigest()}"


def capability(volume: Volume, *, single: bool, mount_group: int | None) -> Message:
    """``single``: the driver tells apart who may write on one node; ``mount_group``: the fsGroup,
    where the driver applies it itself."""
    writer, alone = (SINGLE_MULTI_WRITER, SINGLE_WRITER) if single else (WRITER, WRITER)
    modes = {
        "ReadWriteOnce": writer, "ReadWriteOncePod": alone, "ReadOnlyMany": MULTI_READER,
        "ReadWriteMany": MULTI_WRITER,
    }  # fmt: skip
    access = {"access_mode": {"mode": modes.get(volume.modes[0], 0)}}
    if volume.record.block:
        return {"block": {}, **access}
    mount: Message = {"mount_flags": list(volume.mount_options)}
    if volume.fs_type:
        mount["fs_type"] = volume.fs_type
    if mount_group is not None:
        mount["volume_mount_group"] = str(mount_group)
    return {"mount": mount, **access}


def pod_attributes(volume: Volume, pod: Obj) -> dict[str, str]:
    """What podInfoOnMount adds to a volume's context."""
    if not volume.driver.get("podInfoOnMount"):
        return {}
    return {
        f"{PREFIX}pod.name": name(pod),
        f"{PREFIX}pod.namespace": namespace(pod),
        f"{PREFIX}pod.uid": uid(pod),
        f"{PREFIX}serviceAccount.name": get_path(pod, "spec", "serviceAccountName", default=""),
        f"{PREFIX}ephemeral": "true" if volume.record.ephemeral else "false",
    }


def secret_key(volume: Volume, field: str, pod: Obj) -> Key | None:
    """``field``: nodeStageSecretRef and its like; an inline volume's is of the pod's namespace."""
    ref = volume.source.get(field) or {}
    if not ref.get("name"):
        return None
    space = namespace(pod) if volume.record.ephemeral else ref.get("namespace") or ""
    return Key(space, ref["name"])


def secret_values(secret: Obj) -> dict[str, str]:
    try:
        data: Mapping[str, str] = secret.get("data") or {}
        return {k: base64.b64decode(v).decode() for k, v in data.items()}
    except ValueError:
        raise VolumeError(
            f"secret {namespace(secret)}/{name(secret)} holds no UTF-8 text"
        ) from None


def owned_by_group(volume: Volume) -> bool:
    """Whether the node is to apply fsGroup; as supportsFSGroup."""
    policy = volume.driver.get("fsGroupPolicy") or "ReadWriteOnceWithFSType"
    if policy == "None" or volume.read_only or volume.record.block:
        return False
    if policy == "File":
        return True
    once = {"ReadWriteOnce", "ReadWriteOncePod"} & set(volume.modes)
    return bool(volume.fs_type and once and not volume.record.ephemeral)
