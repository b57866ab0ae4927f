"""The agent's settings: k3s's names where the meaning is the same.

Cluster-wide values (networks, DNS) are not asked for here: an agent learns them from the server
when it joins, so that they cannot differ between nodes.
"""

import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent import kubelet_args, shutdown_args
from agent.kubelet_args import KubeletArgs, parse_kubelet_args, with_kubelet_args
from agent.shutdown_args import Period, parse_shutdown
from agent.sysctl_names import dotted, namespace_of
from edgek.api.meta import Obj
from edgek.api.quantity import parse_quantity
from edgek.api.validation import is_label_value, is_qualified_name
from edgek.pki.tokens import JoinToken, parse_join_token
from edgek.roles import Option, Settings, UsageError

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
MIN_LOG_BYTES = 64 * 1024
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")

OPTIONS = (
    Option(name="server", metavar="URL", help="The server to join, https://HOST:6443."),
    Option(name="token", secret=True, metavar="TOKEN", help="The cluster's join token."),
    Option(name="token-file", metavar="FILE", help="Read --token from this file."),
    Option(name="data-dir", default="/var/lib/edgek", metavar="DIR", help="Where all state is."),
    Option(name="node-name", metavar="NAME", help="Name of the node; by default the host's."),
    Option(name="node-ip", multiple=True, metavar="IP",
           help="Address of the node, one a family; else found from the route to the server "
           "and followed as it changes."),
    Option(name="node-external-ip", multiple=True, metavar="IP",
           help="Address that the node is reached at from outside."),
    Option(name="node-label", multiple=True, metavar="KEY=VALUE",
           help="Label for the node, given when it first registers."),
    Option(name="node-taint", multiple=True, metavar="KEY=VALUE:EFFECT",
           help="Taint for the node, given when it first registers."),
    Option(name="max-pods", type=int, default=110, metavar="N", help="Pods that may run here."),
    Option(name="pod-max-pids", type=int, default=-1, metavar="N",
           help="Processes that a pod may have; -1: as many as the node has."),
    Option(name="cgroup-root", default="/edgek", metavar="PATH", help="Cgroup above all pods."),
    Option(name="log-dir", default="/var/log/pods", metavar="DIR", help="Where pod logs are."),
    Option(name="container-log-max-size", default="10Mi", metavar="SIZE",
           help="At this size a container's log goes on in a new file."),
    Option(name="container-log-max-files", type=int, default=5, metavar="N",
           help="Files that are kept of a container's log; at least 2."),
    Option(name="kubelet-dir", default="/var/lib/kubelet", metavar="DIR",
           help="Where storage (CSI) drivers find the kubelet's directories."),
    Option(name="run-dir", default="/run/edgek", metavar="DIR",
           help="Where sockets and namespaces are."),
    Option(name="allowed-unsafe-sysctls", multiple=True, metavar="NAME",
           help="A sysctl beyond the safe ones that pods may set; may end in *."),
    Option(name="seccomp-default", type=bool, default=False,
           help="RuntimeDefault, not Unconfined, for containers that name no seccomp profile."),
    Option(name="devices-file", default="/etc/edgek/devices.yaml", metavar="FILE",
           help="Which devices of the board pods may ask for."),
    Option(name="pod-manifest-path", default="/etc/edgek/manifests", metavar="DIR",
           help="Manifests of static pods, which run without a server."),
    *shutdown_args.OPTIONS,
    *kubelet_args.OPTIONS,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class AgentConfig:
    server: str
    token: JoinToken | None
    data_dir: Path
    run_dir: Path
    log_dir: Path
    kubelet_dir: Path
    node_name: str
    node_ips: tuple[str, ...]
    external_ips: tuple[str, ...]
    labels: tuple[tuple[str, str], ...]
    taints: tuple[tuple[str, str, str], ...]
    max_pods: int
    cgroup_root: str
    pod_max_pids: int = 0
    log_max_bytes: int
    log_max_files: int
    unsafe_sysctls: tuple[str, ...] = ()
    seccomp_default: bool = False
    devices_file: Path
    kubelet: KubeletArgs
    manifests: Path
    shutdown: tuple[Period, ...]
    beside_server: bool
    """In the server's process, which holds the cluster in memory."""

    @property
    def home(self) -> Path:
        """What the agent keeps over a reboot."""
        return self.data_dir / "agent"

    @property
    def pod_root(self) -> Path:
        """A directory for each pod, with its volumes."""
        return self.home / "pods"

    @property
    def storage_root(self) -> Path:
        """Volumes of the class local-path, which outlive pods."""
        return self.data_dir / "storage"

    def taint_objects(self) -> list[Obj]:
        return [{"key": k, "effect": e} | ({"value": v} if v else {}) for k, v, e in self.taints]


def parse_config(settings: Settings) -> AgentConfig:
    """Raises UsageError with one line for the first setting that cannot be."""
    settings = with_kubelet_args(settings, OPTIONS)
    server = str(settings.get("server") or "").rstrip("/")
    if not re.fullmatch(r"https://[^/\s]+", server):
        raise UsageError("--server must be the URL of a server, such as https://192.0.2.1:6443")
    if settings["max_pods"] < 1:
        raise UsageError("--max-pods must be at least 1")
    return AgentConfig(
        server=server,
        token=_token(settings),
        data_dir=Path(settings["data_dir"]).absolute(),
        run_dir=Path(settings["run_dir"]).absolute(),
        log_dir=Path(settings["log_dir"]).absolute(),
        kubelet_dir=Path(settings["kubelet_dir"]).absolute(),
        node_name=_node_name(settings),
        node_ips=one_a_family(_addresses("node-ip", settings)),
        external_ips=_addresses("node-external-ip", settings),
        labels=tuple(_label(text) for text in settings.get("node_label") or ()),
        taints=tuple(_taint(text) for text in settings.get("node_taint") or ()),
        max_pods=settings["max_pods"],
        cgroup_root=_cgroup(settings["cgroup_root"]),
        pod_max_pids=max(settings.get("pod_max_pids", -1), 0),
        log_max_bytes=_log_size(settings),
        log_max_files=_log_files(settings),
        unsafe_sysctls=_sysctls(settings),
        seccomp_default=bool(settings.get("seccomp_default")),
        devices_file=Path(settings.get("devices_file") or "/etc/edgek/devices.yaml").absolute(),
        kubelet=parse_kubelet_args(settings),
        manifests=Path(settings.get("pod_manifest_path") or "/etc/edgek/manifests").absolute(),
        shutdown=parse_shutdown(settings),
        beside_server=settings.get("beside_server", False),
    )


def _token(settings: Settings) -> JoinToken | None:
    text, option = settings.get("token") or "", "token"
    if not text and settings.get("token_file"):
        path, option = settings["token_file"], "token-file"
        try:
            text = Path(path).read_text()
        except (OSError, UnicodeDecodeError) as err:
            raise UsageError(f"--token-file: cannot read {path}: {err}") from None
    try:
        return parse_join_token(text) if text else None
    except ValueError as err:
        raise UsageError(f"--{option} {err}") from None


def _node_name(settings: Settings) -> str:
    found = str(settings.get("node_name") or socket.gethostname().lower())
    if len(found) > 253 or not _NAME.fullmatch(found):
        raise UsageError(
            f"--node-name {found!r}: a name has lower case letters, digits, '-' and '.' only"
        )
    return found


def _addresses(option: str, settings: Settings) -> tuple[str, ...]:
    given: Any = settings.get(option.replace("-", "_")) or ()
    given = (given,) if isinstance(given, str) else tuple(str(text) for text in given)
    for text in given:
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise UsageError(f"--{option} {text!r} is not an IP address") from None
    return tuple(given)


def one_a_family(addresses: Sequence[str]) -> tuple[str, ...]:
    """The first of IPv4 and of IPv6, in the order given: a node is known by one of each."""
    seen: dict[int, str] = {}
    for text in addresses:
        seen.setdefault(ipaddress.ip_address(text).version, text)
    return tuple(seen.values())


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    problems = [*is_qualified_name(key), *is_label_value(value)]
    if not equals or problems:
        raise UsageError(
            f"--node-label {text!r} is not KEY=VALUE: {'; '.join(problems)}".rstrip(": ")
        )
    return key, value


def _taint(text: str) -> tuple[str, str, str]:
    rest, colon, effect = text.rpartition(":")
    key, _, value = rest.partition("=")
    if not colon or effect not in EFFECTS or is_qualified_name(key):
        raise UsageError(
            f"--node-taint {text!r} is not KEY=VALUE:EFFECT with one of {', '.join(EFFECTS)}"
        )
    return key, value, effect


def _log_size(settings: Settings) -> int:
    text = str(settings.get("container_log_max_size") or "10Mi")
    try:
        size = int(parse_quantity(text))
    except ValueError:
        size = 0
    if size < MIN_LOG_BYTES:
        raise UsageError(f"--container-log-max-size {text!r} must be a size of at least 64Ki")
    return size


def _log_files(settings: Settings) -> int:
    files = int(settings.get("container_log_max_files") or 5)
    if not 2 <= files <= 100:
        raise UsageError("--container-log-max-files must be from 2 to 100")
    return files


def _sysctls(settings: Settings) -> tuple[str, ...]:
    found: tuple[str, ...] = tuple(
        dotted(str(part)) for text in settings.get("allowed_unsafe_sysctls") or ()
        for part in text.split(",")
    )  # fmt: skip
    for pattern in found:
        if not namespace_of(pattern):
            raise UsageError(
                f"--allowed-unsafe-sysctls: the sysctl {pattern!r} is not known to be namespaced"
            )
    return found


def _cgroup(path: str) -> str:
    if not path.startswith("/") or path == "/":
        raise UsageError(f"--cgroup-root {path!r} must be an absolute path below /")
    return path.rstrip("/")


def route_address(server: str) -> str:
    """The address that packets to the server leave from; nothing is sent. "" without a route."""
    host = server.split("://")[-1].rpartition(":")[0] or server.split("://")[-1]
    host = host.strip("[]")
    for target in (host, "192.0.2.1"):  # a local server: any route's address, TEST-NET-1 is fine
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.connect((target, 9))
                found = str(probe.getsockname()[0])
        except OSError:
            continue
        if not found.startswith("127."):
            return found
    return ""
