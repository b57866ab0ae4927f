"""A container's security context, merged from the pod's and its own. Pure but for a look at the
seccomp profile's file.

As pkg/kubelet/kuberuntime/security_context.go and pkg/security/apparmor. Where Podman differs
from containerd is said in docs/security.md.
"""

from collections.abc import Iterator
from pathlib import Path

from agent.pods.environment import ConfigError
from agent.pods.etc import host_network
from agent.pods.isolation import NodeSecurity
from agent.pods.state import Failure
from agent.pods.sysctls import pod_sysctls
from agent.runtime.runtime import IdRange, Image, Security
from edgek.api.meta import Obj, annotations, get_path, name, namespace, uid
from edgek.kinds.pods import containers, init_containers

APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/"
_OLD_APPARMOR = {"runtime/default": "RuntimeDefault", "unconfined": "Unconfined"}


def make_security(
    pod: Obj,
    container: Obj,
    *,
    image: Image,
    node: NodeSecurity,
    id_range: IdRange | None = None,
) -> Security:
    """The container's security context over the pod's. Raises ConfigError."""
    whole = get_path(pod, "spec", "securityContext", default={})
    own = whole | (container.get("securityContext") or {})
    capabilities = own.get("capabilities") or {}
    default = "RuntimeDefault" if node.seccomp_default else "Unconfined"
    try:
        user = _user(own, image)
    except ConfigError as err:
        pod_name = f"{name(pod)}_{namespace(pod)}({uid(pod)})"
        raise ConfigError(f'{err} (pod: "{pod_name}", container: {container["name"]})') from None
    return Security(
        user=user,
        supplemental_groups=tuple(_groups(whole)),
        privileged=bool(own.get("privileged")),
        read_only_root=bool(own.get("readOnlyRootFilesystem")),
        no_new_privileges=own.get("allowPrivilegeEscalation") is False,
        cap_add=_capabilities(capabilities.get("add")),
        cap_drop=_capabilities(capabilities.get("drop")),
        seccomp_profile=_seccomp(own.get("seccompProfile") or {"type": default}, node.seccomp_root),
        apparmor_profile=_apparmor(pod, container),
        selinux=own.get("seLinuxOptions") or {},
        unmasked_proc=own.get("procMount") == "Unmasked",
        # A pod with namespaces of its own was given them when those were made.
        sysctls=pod_sysctls(pod) if host_network(pod) else {},
        id_range=id_range,
    )


def _groups(context: Obj) -> Iterator[int]:
    yield from context.get("supplementalGroups") or ()
    if context.get("fsGroup") is not None:
        yield context["fsGroup"]


def _capabilities(names: list[str] | None) -> tuple[str, ...]:
    return tuple(c.upper().removeprefix("CAP_") for c in names or ())


def _user(context: Obj, image: Image) -> str:
    user, group = context.get("runAsUser"), context.get("runAsGroup")
    if context.get("runAsNonRoot"):
        _must_not_be_root(user, image)
    own = image.user.partition(":")[0] or "0"
    if user is None and group is None:
        return ""
    who = str(user) if user is not None else own
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
            return str(_profile_file(profile.get("localhostProfile") or "", root))
    return "unconfined"


def _profile_file(given: str, root: Path) -> Path:
    """Where the profile is; links count as what they lead to, so that none leads out."""
    if not given:
        raise ConfigError("localhostProfile must be set if seccompProfile type is Localhost.")
    path = (root / given).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ConfigError(f'seccomp profile "{given}" is not below {root}')
    if not path.is_file():
        raise ConfigError(f'cannot load seccomp profile "{root / given}": no such file')
    return path


def _apparmor(pod: Obj, container: Obj) -> str:
    """As GetProfile: the container's, the pod's, the old annotation; "" for the default."""
    profile = (
        get_path(container, "securityContext", "appArmorProfile")
        or _annotated(pod, container)
        or get_path(pod, "spec", "securityContext", "appArmorProfile")
        or {}
    )
    if profile.get("type") == "Unconfined":
        return "unconfined"
    return profile.get("localhostProfile") or "" if profile.get("type") == "Localhost" else ""


def _annotated(pod: Obj, container: Obj) -> Obj | None:
    value = annotations(pod).get(APPARMOR_ANNOTATION + container["name"])
    if value is None:
        return None
    if value in _OLD_APPARMOR:
        return {"type": _OLD_APPARMOR[value]}
    return {"type": "Localhost", "localhostProfile": value.removeprefix("localhost/")}


def apparmor_problem(pod: Obj, *, enabled: bool) -> Failure | None:
    """As the kubelet's AppArmor admission: a profile that cannot be kept refuses the pod."""
    asked = [get_path(pod, "spec", "securityContext", "appArmorProfile")]
    for container in (*containers(pod), *init_containers(pod)):
        asked.append(get_path(container, "securityContext", "appArmorProfile"))
        asked.append(_annotated(pod, container))
    if enabled or not any(p and p.get("type") != "Unconfined" for p in asked):
        return None
    text = "Cannot enforce AppArmor: AppArmor is not enabled on the host"
    return Failure(reason="AppArmor", message=text)
