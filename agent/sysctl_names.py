"""Names of kernel settings: which are safe, which a pod can have of its own. Pure.

As pkg/kubelet/sysctl/safe_sysctls.go and component-helpers node/util/sysctl.
"""

SAFE = (
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
)
IPC_PREFIXES = ("kernel.shm", "kernel.msg", "fs.mqueue.")
IPC_NAMES = ("kernel.sem",)


def dotted(name: str) -> str:
    """With dots between the words. As ConvertSysctlVariableToDotsSeparator: where the first
    separator is a slash, dots and slashes change places."""
    first = next((c for c in name if c in "./"), ".")
    return name if first == "." else name.translate(str.maketrans("./", "/."))


def namespace_of(name: str) -> str:
    """``ipc``, ``net``, or "" for a setting that all of the machine shares."""
    if name.startswith("net."):
        return "net"
    return "ipc" if name in IPC_NAMES or name.startswith(IPC_PREFIXES) else ""
