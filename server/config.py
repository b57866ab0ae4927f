"""What the server can be told: the options, with k3s's names, and the checked result.

``parse_config`` is the only reader of the settings. It touches nothing on disk except a token
file it is told to read; ``server/identity.py`` makes the data directory.
"""

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path

from edgek.cli.checks import (
    IPNetwork,
    address,
    checked,
    dns_name,
    each,
    file_mode,
    label,
    naming,
    network,
    port,
    port_range,
    san,
    taint,
)  # fmt: skip
from edgek.pki.tokens import JoinToken, parse_join_token
from edgek.roles import COMMON, Option, Settings, UsageError
from server import config_audit, config_identity
from server.config_audit import AuditConfig, parse_audit
from server.config_identity import IdentityConfig, parse_identity

OPTIONS: tuple[Option, ...] = (
    *COMMON,
    Option(name="data-dir", default="/var/lib/edgek", metavar="DIR", help="Where all state is."),
    Option(name="bind-address", default="0.0.0.0", metavar="IP", help="Address to listen on."),
    Option(name="https-listen-port", type=int, default=6443, metavar="PORT",
           help="Port of the API."),
    Option(name="advertise-address", metavar="IP",
           help="Address the cluster reaches this server at; found from the default route."),
    Option(name="cluster-cidr", default="10.42.0.0/16", metavar="CIDR", help="Network of pods."),
    Option(name="service-cidr", default="10.43.0.0/16", metavar="CIDR",
           help="Network of services."),
    Option(name="service-node-port-range", default="30000-32767", metavar="LOW-HIGH",
           help="Ports for services of type NodePort."),
    Option(name="cluster-dns", metavar="IP",
           help="Address of cluster DNS; by default the tenth of the service network."),
    Option(name="cluster-domain", default="cluster.local", metavar="NAME",
           help="Domain of the cluster's names."),
    Option(name="token", secret=True, metavar="TOKEN",
           help="Secret that servers and agents join with; made at first start."),
    Option(name="token-file", metavar="FILE", help="Read --token from this file."),
    Option(name="agent-token", secret=True, metavar="TOKEN",
           help="Secret for agents only; by default the same as --token."),
    Option(name="node-name", metavar="NAME", help="Name of this machine's node."),
    Option(name="node-ip", multiple=True, metavar="IP", help="Address of this machine's node."),
    Option(name="node-label", multiple=True, metavar="KEY=VALUE",
           help="Label for this machine's node."),
    Option(name="node-taint", multiple=True, metavar="KEY=VALUE:EFFECT",
           help="Taint for this machine's node."),
    Option(name="tls-san", multiple=True, metavar="NAME",
           help="Further name or address in the serving certificate."),
    Option(name="write-kubeconfig", default="/etc/edgek/edgek.yaml", metavar="FILE",
           help="Where the admin kubeconfig is written."),
    Option(name="write-kubeconfig-mode", default="0600", metavar="MODE",
           help="File mode of the admin kubeconfig."),
    Option(name="disable-agent", type=bool, default=False,
           help="Run no agent on this machine."),
    Option(name="disable", multiple=True, metavar="PART",
           help="Do without a part that comes with the server: local-storage (its class)."),
    Option(name="scheduler-name", multiple=True, metavar="NAME",
           help="Place also pods whose spec.schedulerName is this."),
    Option(name="compat-betas", type=bool, default=False,
           help="Serve also API versions that Kubernetes has removed."),
    Option(name="legacy-service-account-tokens", type=bool, default=False,
           help="Make and take token Secrets of service accounts."),
    Option(name="autonomous-nodes", type=bool, default=False,
           help="Pods keep their place on nodes that fall silent, where nothing else is said."),
    *config_identity.OPTIONS,
    *config_audit.OPTIONS,
)  # fmt: skip


PARTS = ("local-storage",)
"""What --disable takes."""


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Checked settings. Tokens keep themselves out of the repr."""

    data_dir: Path
    bind_address: str
    port: int
    advertise_address: str
    cluster_cidr: IPNetwork
    service_cidr: IPNetwork
    node_ports: range
    cluster_dns: str
    cluster_domain: str
    token: JoinToken | None
    agent_token: JoinToken | None
    node_name: str
    node_ips: tuple[str, ...]
    node_labels: tuple[str, ...]
    node_taints: tuple[str, ...]
    tls_sans: tuple[str, ...]
    write_kubeconfig: Path
    write_kubeconfig_mode: int
    disable_agent: bool
    disable: tuple[str, ...]
    scheduler_names: tuple[str, ...]
    """Besides default-scheduler."""
    compat_betas: bool
    legacy_service_account_tokens: bool
    autonomous_nodes: bool
    identity: IdentityConfig
    audit: AuditConfig | None
    debug: bool

    @property
    def kubernetes_ip(self) -> str:
        """Cluster IP of the service ``kubernetes``: the first of the service network."""
        return str(self.service_cidr[1])

    @property
    def issuer(self) -> str:
        """``iss`` of service-account tokens."""
        return self.identity.issuers[0]


def parse_config(settings: Settings) -> ServerConfig:
    """Raises UsageError with one line for the first setting that cannot be."""
    s = settings
    cluster, service = checked(s, "cluster-cidr", network), checked(s, "service-cidr", network)
    _check_networks(cluster, service)
    domain = checked(s, "cluster-domain", dns_name)
    return ServerConfig(
        data_dir=Path(s["data_dir"]).absolute(),
        bind_address=checked(s, "bind-address", address),
        port=checked(s, "https-listen-port", port),
        advertise_address=_advertised(s),
        cluster_cidr=cluster,
        service_cidr=service,
        node_ports=checked(s, "service-node-port-range", port_range),
        cluster_dns=_cluster_dns(s, service),
        cluster_domain=domain,
        token=_token(s),
        agent_token=checked(s, "agent-token", parse_join_token) if s["agent_token"] else None,
        node_name=checked(s, "node-name", dns_name) if s["node_name"] else "",
        node_ips=each(s, "node-ip", address),
        node_labels=each(s, "node-label", label),
        node_taints=each(s, "node-taint", taint),
        tls_sans=each(s, "tls-san", san),
        write_kubeconfig=Path(s["write_kubeconfig"]).absolute(),
        write_kubeconfig_mode=checked(s, "write-kubeconfig-mode", file_mode),
        disable_agent=s["disable_agent"],
        disable=each(s, "disable", _disabled),
        scheduler_names=each(s, "scheduler-name", dns_name),
        compat_betas=s["compat_betas"],
        legacy_service_account_tokens=s["legacy_service_account_tokens"],
        autonomous_nodes=s["autonomous_nodes"],
        audit=parse_audit(s),
        identity=parse_identity(s, issuer=f"https://kubernetes.default.svc.{domain}"),
        debug=s["debug"],
    )


def _disabled(text: str) -> str:
    if text not in PARTS:
        raise ValueError(f"{text!r} is not a part that can be disabled; these are: "
                         + ", ".join(PARTS))  # fmt: skip
    return text


def _check_networks(cluster: IPNetwork, service: IPNetwork) -> None:
    if cluster.version == service.version and cluster.overlaps(service):
        raise UsageError(
            f"--cluster-cidr {cluster} and --service-cidr {service} overlap; "
            "pods and services need networks of their own"
        )


def _advertised(settings: Settings) -> str:
    if settings["advertise_address"]:
        return checked(settings, "advertise-address", address)
    own = each(settings, "node-ip", address)
    bound = checked(settings, "bind-address", address)
    if own:
        return own[0]
    ip = ipaddress.ip_address(bound)
    return route_address() if ip.is_unspecified or ip.is_loopback else bound


def route_address() -> str:
    """The address that packets to the world would leave from; nothing is sent. Loopback where
    there is no route, as on a board with its cable out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1: routed nowhere, only the table is asked
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def _cluster_dns(settings: Settings, service: IPNetwork) -> str:
    if not settings["cluster_dns"]:
        return str(service[10])
    chosen = checked(settings, "cluster-dns", address)
    if ipaddress.ip_address(chosen) not in service:
        raise UsageError(f"--cluster-dns: {chosen} is not in the service network {service}")
    return chosen


def _token(settings: Settings) -> JoinToken | None:
    if settings["token"]:
        return checked(settings, "token", parse_join_token)
    if not settings["token_file"]:
        return None
    path = Path(settings["token_file"])
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as err:
        raise UsageError(f"--token-file: cannot read {path}") from err
    with naming("token-file"):
        return parse_join_token(text)
