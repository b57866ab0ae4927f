"""Pod + container -> ContainerSpec: resources, security, mounts, names. Pure.

As kuberuntime_container.go generateContainerConfig, qos/policy.go and cm/helpers_linux.go.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from agent.pods.environment import ConfigError, expand
from agent.pods.state import (
    ATTEMPT,
    CONTAINER_NAME,
    GRACE,
    POD_NAME,
    POD_NAMESPACE,
    POD_UID,
    SPEC_HASH,
    spec_hash,
)
from agent.pods.termination import DEFAULT_PATH, message_file
from agent.runtime.runtime import ContainerSpec, Image, Mount, Namespaces, Resources, Security
from edgek.api.meta import Obj, get_path, name, namespace, uid
from edgek.api.quantity import milli, parse_quantity, value
from edgek.kinds.pods import containers, pod_limits, pod_requests, qos_class

PERIOD_US = 100_000
MIN_SHARES, MAX_SHARES = 2, 262_144
MIN_QUOTA_US = 1000
PROPAGATION = {"None": "rprivate", "HostToContainer": "rslave", "Bidirectional": "rshared"}
ETC = {"/etc/hosts": "hosts", "/etc/hostname": "hostname", "/etc/resolv.conf": "resolv.conf"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a container is put. ``volume_path(volume)`` and ``sub_path(dir, relative)`` find
    the host's directories; ``pod_dir`` has the pod's own /etc files, /dev/shm and messages."""

    namespaces: Namespaces
    cgroup_parent: str
    log_root: Path
    pod_dir: Path
    seccomp_root: Path
    node_memory: Fraction
    volume_path: Callable[[Obj], Path]
    sub_path: Callable[[Path, str], Path]


def make_spec(
    pod: Obj, container: Obj, *, attempt: int, image: Image, env: Mapping[str, str], place: Place
) -> ContainerSpec:
    """Raises ConfigError or VolumeError where the pod asks for what cannot be."""
    own = container["name"]
    command, args = container.get("command"), container.get("args")
    return ContainerSpec(
        name=f"edgek_{own}_{name(pod)}_{namespace(pod)}_{uid(pod)}_{attempt}",
        image=container["image"],
        namespaces=place.namespaces,
        cgroup_parent=place.cgroup_parent,
        log_path=str(log_path(place.log_root, pod, own, attempt)),
        entrypoint=tuple(expand(part, env) for part in command) if command else None,
        args=tuple(expand(part, env) for part in args) if args else None,
        env=env,
        work_dir=container.get("workingDir") or "",
        mounts=_mounts(pod, container, attempt=attempt, env=env, place=place),
        resources=container_resources(pod, container, node_memory=place.node_memory),
        security=make_security(pod, container, image=image, seccomp_root=place.seccomp_root),
        stdin=bool(container.get("stdin")),
        stdin_once=bool(container.get("stdinOnce")),
        tty=bool(container.get("tty")),
        labels=_labels(pod, container, attempt),
        stop_signal=get_path(container, "lifecycle", "stopSignal", default=""),
    )


def _labels(pod: Obj, container: Obj, attempt: int) -> dict[str, str]:
    grace = get_path(pod, "spec", "terminationGracePeriodSeconds", default=30)
    return {
        POD_UID: uid(pod),
        POD_NAME: name(pod),
        POD_NAMESPACE: namespace(pod),
        CONTAINER_NAME: container["name"],
        ATTEMPT: str(attempt),
        SPEC_HASH: spec_hash(container),
        GRACE: str(grace),
    }


def pod_log_dir(root: Path, pod: Obj) -> Path:
    return root / f"{namespace(pod)}_{name(pod)}_{uid(pod)}"


def log_path(root: Path, pod: Obj, container: str, attempt: int) -> Path:
    return pod_log_dir(root, pod) / container / f"{attempt}.log"


# -- resources ---------------------------------------------------------------------------------


def _shares(milli_cpu: int) -> int:
    return min(max(milli_cpu * 1024 // 1000, MIN_SHARES), MAX_SHARES)


def _quota(milli_cpu: int) -> int:
    return max(milli_cpu * PERIOD_US // 1000, MIN_QUOTA_US) if milli_cpu else 0


def container_resources(pod: Obj, container: Obj, *, node_memory: Fraction) -> Resources:
    limits = get_path(container, "resources", "limits", default={})
    requests = limits | get_path(container, "resources", "requests", default={})
    return Resources(
        cpu_shares=_shares(milli(requests.get("cpu", 0))),
        cpu_quota_us=_quota(milli(limits.get("cpu", 0))),
        cpu_period_us=PERIOD_US,
        memory_limit_bytes=value(limits.get("memory", 0)),
        oom_score_adj=oom_score(pod, container, node_memory=node_memory),
    )


def pod_resources(pod: Obj) -> Resources:
    """As ResourceConfigForPod: limits only where every container has one."""
    requests, limits = pod_requests(pod), pod_limits(pod)

    def bounded(resource: str) -> bool:
        return all(get_path(c, "resources", "limits", resource) for c in containers(pod))

    cpu = requests.get("cpu", Fraction(0))
    return Resources(
        cpu_shares=_shares(milli_of(cpu)),
        cpu_quota_us=_quota(milli_of(limits.get("cpu", Fraction(0)))) if bounded("cpu") else 0,
        cpu_period_us=PERIOD_US,
        memory_limit_bytes=int(limits.get("memory", 0)) if bounded("memory") else 0,
    )


def milli_of(amount: Fraction) -> int:
    return -(-amount * 1000 // 1)


def oom_score(pod: Obj, container: Obj, *, node_memory: Fraction) -> int:
    """As qos.GetContainerOOMScoreAdjust."""
    qos = qos_class(pod)
    if get_path(pod, "spec", "priority", default=0) >= 2_000_000_000 or qos == "Guaranteed":
        return -997
    if qos == "BestEffort":
        return 1000
    asked = parse_quantity(get_path(container, "resources", "requests", "memory", default=0))
    score = 1000 - int(1000 * asked / node_memory) if node_memory else 999
    return min(max(score, 3), 999)


# -- security ----------------------------------------------------------------------------------


def make_security(pod: Obj, container: Obj, *, image: Image, seccomp_root: Path) -> Security:
    """The container's security context over the pod's."""
    whole = get_path(pod, "spec", "securityContext", default={})
    own = whole | (container.get("securityContext") or {})
    capabilities = own.get("capabilities") or {}
    groups = [*(whole.get("supplementalGroups") or ())]
    if whole.get("fsGroup") is not None:
        groups.append(whole["fsGroup"])
    return Security(
        user=_user(own, image),
        supplemental_groups=tuple(groups),
        privileged=bool(own.get("privileged")),
        read_only_root=bool(own.get("readOnlyRootFilesystem")),
        no_new_privileges=own.get("allowPrivilegeEscalation") is False,
        cap_add=tuple(c.removeprefix("CAP_") for c in capabilities.get("add") or ()),
        cap_drop=tuple(c.removeprefix("CAP_") for c in capabilities.get("drop") or ()),
        seccomp_profile=_seccomp(own.get("seccompProfile") or {}, seccomp_root),
        sysctls={s["name"]: s["value"] for s in whole.get("sysctls") or ()},
    )


def _user(context: Obj, image: Image) -> str:
    user, group = context.get("runAsUser"), context.get("runAsGroup")
    if context.get("runAsNonRoot"):
        _must_not_be_root(user, image)
    if user is None and group is None:
        return ""
    who = str(user) if user is not None else (image.user.partition(":")[0] or "0")
    return who if group is None else f"{who}:{group}"


def _must_not_be_root(user: int | None, image: Image) -> None:
    """As verifyRunAsNonRoot."""
    if user == 0:
        raise ConfigError("container's runAsUser breaks non-root policy")
    if user is not None:
        return
    own = image.user.partition(":")[0]
    if own in ("", "0", "root"):
        raise ConfigError("container has runAsNonRoot and image will run as root")
    if not own.isdecimal():
        raise ConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({own}), "
            "cannot verify user is non-root"
        )


def _seccomp(profile: Obj, root: Path) -> str:
    match profile.get("type"):
        case "RuntimeDefault":
            return "runtime/default"
        case "Localhost":
            return str(root / profile.get("localhostProfile", ""))
    return "unconfined"


# -- mounts ------------------------------------------------------------------------------------


def _mounts(
    pod: Obj, container: Obj, *, attempt: int, env: Mapping[str, str], place: Place
) -> tuple[Mount, ...]:
    wanted = container.get("volumeMounts") or ()
    mounts = [_mount(pod, m, env=env, place=place) for m in wanted]
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


def _mount(pod: Obj, mount: Obj, *, env: Mapping[str, str], place: Place) -> Mount:
    volumes = get_path(pod, "spec", "volumes", default=[])
    volume = next((v for v in volumes if v["name"] == mount["name"]), None)
    if volume is None:
        raise ConfigError(f"volumeMount {mount['name']!r} names no volume of the pod")
    source = place.volume_path(volume)
    relative = mount.get("subPath") or ""
    if mount.get("subPathExpr"):
        relative = expand(mount["subPathExpr"], env)
    if relative:
        source = place.sub_path(source, relative)
    made_of_objects = {"configMap", "secret", "downwardAPI", "projected"} & volume.keys()
    return Mount(
        target=mount["mountPath"],
        source=str(source),
        read_only=bool(mount.get("readOnly") or made_of_objects),
        propagation=PROPAGATION[mount.get("mountPropagation") or "None"],
    )
