"""What is mounted into a container: its volumes, and the pod's own /etc files, /dev/shm and
termination message; and which of its volumes are devices. Pure but for subPath, which is looked up
on the disk.
"""

from collections.abc import Mapping
from pathlib import Path

from agent.pods.environment import ConfigError, expand
from agent.pods.place import Place
from agent.pods.termination import DEFAULT_PATH, message_file
from agent.runtime.runtime import Device, Mount
from edgek.api.meta import Obj, get_path

PROPAGATION = {"None": "rprivate", "HostToContainer": "rslave", "Bidirectional": "rshared"}
ETC = {"/etc/hosts": "hosts", "/etc/hostname": "hostname", "/etc/resolv.conf": "resolv.conf"}


def make_mounts(
    pod: Obj, container: Obj, *, attempt: int, env: Mapping[str, str], place: Place
) -> tuple[Mount, ...]:
    wanted = container.get("volumeMounts") or ()
    mounts = [
        _mount(pod, m, env=env, place=place, label=f"{container['name']}-{i}")
        for i, m in enumerate(wanted)
    ]
    taken = {m.target for m in mounts}
    own = {target: place.pod_dir / "etc" / file for target, file in ETC.items()}
    own["/dev/shm"] = Path("/dev/shm") if place.namespaces.ipc == "host" else shm_dir(place.pod_dir)
    message = container.get("terminationMessagePath") or DEFAULT_PATH
    own[message] = message_file(place.pod_dir, container["name"], attempt)
    ours = [Mount(target=t, source=str(path)) for t, path in own.items() if t not in taken]
    return (*mounts, *ours)


def shm_dir(pod_dir: Path) -> Path:
    """One for all containers of the pod: they share memory as they share an address."""
    return pod_dir / "shm"


def _mount(pod: Obj, mount: Obj, *, env: Mapping[str, str], place: Place, label: str) -> Mount:
    volumes = get_path(pod, "spec", "volumes", default=[])
    if mount["name"] not in (v["name"] for v in volumes):
        raise ConfigError(f"volumeMount {mount['name']!r} names no volume of the pod")
    whole = recursive_read_only(mount, can=place.security.recursive_read_only)
    volume = place.volume(mount["name"])
    source = volume.path
    relative = mount.get("subPath") or ""
    if mount.get("subPathExpr"):
        relative = expand(mount["subPathExpr"], env)
    if whole:  # Podman's API knows no such mount: it gets one that is so already
        source = place.read_only_tree(mount["name"], relative, label)
    elif relative:
        source = place.sub_path(mount["name"], relative, label)
    propagation = PROPAGATION[mount.get("mountPropagation") or "None"]
    if propagation != "rprivate":
        place.check_shared(source, propagation)
    return Mount(
        target=mount["mountPath"],
        source=str(source),
        read_only=bool(mount.get("readOnly") or volume.read_only),
        no_exec=volume.no_exec,
        propagation=propagation,
    )


def recursive_read_only(mount: Obj, *, can: bool) -> bool:
    """Whether what is mounted below is read-only too. As resolveRecursiveReadOnly; ``can``: the
    kernel. Raises ConfigError."""
    mode = mount.get("recursiveReadOnly") or "Disabled"
    if mode == "Disabled":
        return False
    said = f'volume "{mount["name"]}" requested recursive read-only mode, but it is not '
    if not mount.get("readOnly"):
        raise ConfigError(f"{said}read-only")
    propagation = mount.get("mountPropagation") or "None"
    if propagation != "None":
        raise ConfigError(f'{said}compatible with propagation "{propagation}"')
    if mode == "Enabled" and not can:
        raise ConfigError(f"{said}supported by the runtime")
    return can


def volume_devices(container: Obj, *, place: Place) -> tuple[Device, ...]:
    """Block volumes, as makeBlockVolumes."""
    found = []
    for wanted in container.get("volumeDevices") or ():
        volume = place.volume(wanted["name"])
        if not volume.device:
            raise ConfigError(f"volume {wanted['name']} is no block device")
        permissions = "mr" if volume.read_only else "mrw"
        found.append(
            Device(path=str(volume.path), target=wanted["devicePath"], permissions=permissions)
        )
    return tuple(found)
