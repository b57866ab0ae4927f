"""ContainerSpec -> the body of Podman's container create. Pure.

Namespaces are joined by path, so there is no pause container. Everything Podman would add of
its own accord and Kubernetes does not (proxy variables, hosts entries, systemd mode, a limit of
processes) is switched off by name.
"""

from typing import Any

from agent.runtime.machine import Machine
from agent.runtime.reference import normalize_reference
from agent.runtime.runtime import ContainerSpec, IdRange, Mount, Namespaces, Resources, Security

BOOT_LABEL = "io.edgek.boot"
"""Which boot a container belongs to: Podman forgets after a reboot that one had run."""
HANDLER_LABEL = "io.edgek.handler"
"""Which OCI runtime a container belongs to, where not to the default one."""
LOG_LABEL = "io.edgek.log-path"
LOG_BYTES = 10 * 1024 * 1024
"""As the kubelet's containerLogMaxSize."""
STDIN_OPEN = "io.edgek.stdin-open"
"""An annotation, for conmon's wrapper (service.py)."""


def plan_spec(
    spec: ContainerSpec, *, machine: Machine, boot: str, log_bytes: int = LOG_BYTES
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "name": spec.name,
        "image": normalize_reference(spec.image),
        "env": dict(spec.env),
        "unsetenv": _not_wanted(spec),
        "httpproxy": False,
        "labels": {**spec.labels, BOOT_LABEL: boot, LOG_LABEL: spec.log_path},
        "cgroup_parent": spec.cgroup_parent,
        "mounts": [_mount(m, mapped=spec.security.id_range is not None) for m in spec.mounts],
        # Podman reads its command line's notation here, and gives the rights with the node.
        "devices": [{"path": f"{d.path}:{d.target}:{d.permissions}"} for d in spec.devices],
        "use_image_resolve_conf": True,
        "use_image_hosts": True,
        "systemd": "false",
        "restart_policy": "no",
        "stdin": spec.stdin,
        "terminal": spec.tty,
        "log_configuration": {"driver": "k8s-file", "path": spec.log_path, "size": log_bytes},
        "resource_limits": plan_resources(spec.resources, machine=machine),
        "oom_score_adj": max(spec.resources.oom_score_adj, machine.oom_score_floor),
    }
    if spec.stdin and not spec.stdin_once:
        body["annotations"] = {STDIN_OPEN: "true"}
    body |= _command(spec) | _namespaces(spec.namespaces) | _security(spec.security)
    return body


def _not_wanted(spec: ContainerSpec) -> list[str]:
    """Variables that Podman sets of itself. No other runtime says ``container``, and ``TERM`` has a
    terminal alone. But what the image sets would be taken away with them."""
    own = {"container"} if spec.tty else {"container", "TERM"}
    return sorted(own - spec.image_env)


def _command(spec: ContainerSpec) -> dict[str, Any]:
    """As Kubernetes' command and args: a command of one's own drops the image's arguments."""
    out: dict[str, Any] = {}
    if spec.entrypoint:
        out["entrypoint"] = list(spec.entrypoint)
    if spec.args:
        out["command"] = list(spec.args)
    if spec.work_dir:
        out["work_dir"] = spec.work_dir
        out["create_working_dir"] = True
    if spec.stop_signal:
        out["stop_signal"] = signal_number(spec.stop_signal)
    return out


def signal_number(name: str) -> int:
    import signal

    if name.isdecimal():
        return int(name)
    return int(signal.Signals["SIG" + name.removeprefix("SIG")])


def _namespaces(namespaces: Namespaces) -> dict[str, Any]:
    return {
        "netns": _namespace(namespaces.net),
        "ipcns": _namespace(namespaces.ipc),
        "utsns": _namespace(namespaces.uts),
        "pidns": _namespace(namespaces.pid),
    }


def _namespace(where: str) -> dict[str, str]:
    if where in ("host", "private"):
        return {"nsmode": where}
    if where.startswith("/"):
        return {"nsmode": "path", "value": where}
    return {"nsmode": "container", "value": where}


def _mount(mount: Mount, *, mapped: bool) -> dict[str, Any]:
    mode = "ro" if mount.read_only else "rw"
    if mount.tmpfs:
        size = [f"size={mount.size_bytes}"] if mount.size_bytes else []
        return {"type": "tmpfs", "destination": mount.target, "options": [mode, *size]}
    # In a user namespace the pod owns what root owns, and nothing of the host's changes hands.
    more = [*(["noexec"] if mount.no_exec else []), *(["idmap"] if mapped else [])]
    options = ["rbind", mode, mount.propagation, *more]
    return {
        "type": "bind", "source": mount.source, "destination": mount.target, "options": options,
    }  # fmt: skip


def plan_resources(resources: Resources, *, machine: Machine) -> dict[str, Any]:
    """cgroup limits, less those whose controller the kernel does not offer."""
    out: dict[str, Any] = {}
    cpu = {
        "shares": resources.cpu_shares,
        "quota": resources.cpu_quota_us,
        "period": resources.cpu_period_us if resources.cpu_quota_us else 0,
    }
    if machine.has("cpu") and any(cpu.values()):
        out["cpu"] = {k: v for k, v in cpu.items() if v}
    if machine.has("memory") and resources.memory_limit_bytes:
        limit = resources.memory_limit_bytes
        # Equal: no swap, as Kubernetes. Unset, Podman would allow as much again.
        swap = {"swap": limit} if machine.swap_accounting else {}
        out["memory"] = {"limit": limit} | swap
        if machine.cgroup_v2:
            # As the kubelet (singleProcessOOMKill: false): a process killed for want of memory
            # takes its container with it. v1 cannot; there the container may go on without it.
            out["unified"] = {"memory.oom.group": "1"}
    if machine.has("pids") and resources.pids_limit:
        out["pids"] = {"limit": resources.pids_limit}
    if machine.has("hugetlb") and (sizes := {*machine.huge_pages, *resources.huge_pages}):
        # As generateLinuxContainerResources: who asks for none gets none.
        out["hugepageLimits"] = [
            {"pageSize": _page_size(size), "limit": resources.huge_pages.get(size, 0)}
            for size in sorted(sizes)
        ]
    return out


def _page_size(size: int) -> str:
    """As the kernel names the files of its hugetlb controller: 64KB, 2MB, 1GB."""
    for unit, bits in (("GB", 30), ("MB", 20)):
        if size >= 1 << bits:
            return f"{size >> bits}{unit}"
    return f"{size >> 10}KB"


def plan_update(resources: Resources, *, machine: Machine) -> dict[str, Any]:
    """The body of a container update: cpu and memory, which can be changed while it runs."""
    planned = plan_resources(resources, machine=machine)
    return {kind: planned[kind] for kind in ("cpu", "memory") if kind in planned}


def _security(security: Security) -> dict[str, Any]:
    out: dict[str, Any] = {
        "privileged": security.privileged,
        "read_only_filesystem": security.read_only_root,
        "no_new_privileges": security.no_new_privileges,
        "cap_add": list(security.cap_add),
        "cap_drop": list(security.cap_drop),
        "sysctl": dict(security.sysctls),
        "seccomp_policy": "default",
    }
    if security.read_only_root:
        out["read_write_tmpfs"] = False  # Podman would make /tmp and /run writable again
    if security.user:
        out["user"] = security.user
    if security.supplemental_groups:
        out["groups"] = [str(g) for g in security.supplemental_groups]
    if security.privileged or security.seccomp_profile == "unconfined":
        out["seccomp_profile_path"] = "unconfined"
    elif security.seccomp_profile != "runtime/default":
        out["seccomp_profile_path"] = security.seccomp_profile
    if security.apparmor_profile:
        out["apparmor_profile"] = security.apparmor_profile
    if security.selinux:
        out["selinux_opts"] = [f"{key}:{value}" for key, value in security.selinux.items()]
    if security.unmasked_proc:
        out["unmask"] = ["ALL"]
    if security.id_range is not None:
        out |= _user_namespace(security.id_range)
    return out


def _user_namespace(ids: IdRange) -> dict[str, Any]:
    """Each container has one of its own; those of a pod map alike."""
    mapping = [{"container_id": 0, "host_id": ids.first, "size": ids.size}]
    return {
        "userns": {"nsmode": "private"},
        "idmappings": {"UIDMap": mapping, "GIDMap": mapping},
    }
