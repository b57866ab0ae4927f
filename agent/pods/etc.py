"""/etc/hosts, /etc/hostname and /etc/resolv.conf of a pod. Pure but for ``write_etc``.

As kubelet_pods.go ensureHostsFile and pkg/kubelet/network/dns. The files are written in place,
because containers bind the file itself and would keep an old one that was replaced.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

from agent.pods.state import SandboxError
from edgek.api.meta import Obj, get_path, name, namespace

HOST_RESOLV = Path("/etc/resolv.conf")
RESOLVED = Path("/run/systemd/resolve/resolv.conf")
"""Whom systemd-resolved asks itself."""
MAX_NAMESERVERS, MAX_SEARCHES, MAX_SEARCH, MAX_SEARCH_LINE = 3, 32, 253, 2048
MAX_HOSTNAME = 63
MAX_KERNEL_HOSTNAME = 64


@dataclass(frozen=True, kw_only=True)
class DnsSettings:
    cluster_dns: str
    cluster_domain: str


@dataclass(frozen=True, kw_only=True)
class Resolv:
    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def text(self) -> str:
        lines = [f"nameserver {n}" for n in self.nameservers]
        if self.searches:
            lines.insert(0, "search " + " ".join(self.searches))
        if self.options:
            lines.append("options " + " ".join(self.options))
        return "".join(f"{line}\n" for line in lines)


def hostname(pod: Obj) -> str:
    """As GeneratePodHostNameAndDomain."""
    spec = pod["spec"]
    full = str(spec.get("hostnameOverride") or spec.get("hostname") or name(pod))
    return full if len(full) <= MAX_HOSTNAME else full[:MAX_HOSTNAME].rstrip("-.")


def kernel_hostname(pod: Obj, domain: str) -> str:
    """What ``uname -n`` says in the pod. As GetNodenameForKernel; raises SandboxError."""
    own = hostname(pod)
    if not get_path(pod, "spec", "setHostnameAsFQDN") or not host_domain(pod, domain):
        return own
    full = f"{own}.{host_domain(pod, domain)}"
    if len(full) > MAX_KERNEL_HOSTNAME:
        raise SandboxError(
            "failed to construct FQDN from Pod hostname and cluster domain, FQDN "
            f"{full} is too long ({MAX_KERNEL_HOSTNAME} characters is the max, "
            f"{len(full)} characters requested)"
        )
    return full


def host_domain(pod: Obj, domain: str) -> str:
    """What follows the pod's hostname in its full name; "" where it has none."""
    subdomain = get_path(pod, "spec", "subdomain")
    if not subdomain or get_path(pod, "spec", "hostnameOverride"):
        return ""
    return f"{subdomain}.{namespace(pod)}.svc.{domain}"


def host_network(pod: Obj) -> bool:
    return bool(get_path(pod, "spec", "hostNetwork"))


def hosts_text(pod: Obj, *, pod_ip: str, domain: str, host_hosts: str) -> str:
    aliases = get_path(pod, "spec", "hostAliases", default=[])
    lines = ("\t".join((a["ip"], *(a.get("hostnames") or ()))) for a in aliases)
    extra = "".join(f"{line}\n" for line in lines)
    if extra:
        extra = f"\n# Entries added by HostAliases.\n{extra}"
    if host_network(pod):
        return f"# Kubernetes-managed hosts file (host network).\n{host_hosts}{extra}"
    own = hostname(pod)
    if of := host_domain(pod, domain):
        own = f"{own}.{of}\t{own}"
    return (
        "# Kubernetes-managed hosts file.\n"
        "127.0.0.1\tlocalhost\n"
        "::1\tlocalhost ip6-localhost ip6-loopback\n"
        "fe00::0\tip6-localnet\n"
        "fe00::0\tip6-mcastprefix\n"
        "fe00::1\tip6-allnodes\n"
        "fe00::2\tip6-allrouters\n"
        f"{pod_ip}\t{own}\n{extra}"
    )


def parse_resolv(text: str) -> Resolv:
    found: dict[str, list[str]] = {"nameserver": [], "search": [], "options": []}
    for line in text.splitlines():
        word, *rest = line.split() or [""]
        if word == "search":
            found["search"] = rest
        elif word in found:
            found[word] += rest
    return Resolv(
        nameservers=tuple(found["nameserver"]),
        searches=tuple(found["search"]),
        options=tuple(found["options"]),
    )


def pod_resolv(pod: Obj, *, dns: DnsSettings, host: Resolv) -> Resolv:
    policy = get_path(pod, "spec", "dnsPolicy", default="ClusterFirst")
    if policy == "ClusterFirst" and host_network(pod):
        policy = "Default"
    base = host
    if policy == "None":
        base = Resolv()
    elif policy != "Default" and dns.cluster_dns:
        domain = dns.cluster_domain
        own = (f"{namespace(pod)}.svc.{domain}", f"svc.{domain}", domain)
        base = Resolv(
            nameservers=(dns.cluster_dns,),
            searches=(*own, *(s for s in host.searches if s not in own)),
            options=("ndots:5",),
        )
    config = get_path(pod, "spec", "dnsConfig", default={})
    return Resolv(
        nameservers=_merged(base.nameservers, config.get("nameservers")),
        searches=_merged(base.searches, config.get("searches")),
        options=_options(base.options, config.get("options") or ()),
    )


def within_limits(resolv: Resolv) -> tuple[Resolv, tuple[str, ...]]:
    """What resolvers can read of it, and what to say of the rest. As dns.go
    formDNSSearchFitsLimits and formDNSNameserversFitsLimits."""
    fits = replace(
        resolv,
        nameservers=resolv.nameservers[:MAX_NAMESERVERS],
        searches=_short_enough(resolv.searches),
    )
    said = []
    if fits.nameservers != resolv.nameservers:
        said.append(
            "Nameserver limits were exceeded, some nameservers have been omitted, "
            f"the applied nameserver line is: {' '.join(fits.nameservers)}"
        )
    if fits.searches != resolv.searches:
        said.append(
            "Search Line limits were exceeded, some search paths have been omitted, "
            f"the applied search line is: {' '.join(fits.searches)}"
        )
    return fits, tuple(said)


def _short_enough(searches: Sequence[str]) -> tuple[str, ...]:
    kept = [s for s in searches[:MAX_SEARCHES] if len(s) <= MAX_SEARCH]
    while len(" ".join(kept)) > MAX_SEARCH_LINE:
        kept.pop()
    return tuple(kept)


def _merged(first: Sequence[str], more: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *(more or ()))))


def _options(base: Sequence[str], more: Sequence[Obj]) -> tuple[str, ...]:
    """dnsConfig's values win over those of the same name."""
    found = dict.fromkeys(base, "")
    named = {o.partition(":")[0]: o for o in found}
    for option in more:
        text = option["name"] + (f":{option['value']}" if option.get("value") else "")
        named[option["name"]] = text
    return tuple(named.values())


def host_resolv(host: str, resolved: str) -> Resolv:
    """The texts of both files -> what a pod can use of them: a resolver that listens on the host's
    loopback alone is out of its reach."""
    found = parse_resolv(host)
    behind = parse_resolv(resolved)
    local = all(_is_loopback(n) for n in found.nameservers)
    return behind if local and behind.nameservers else found


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def write_etc(
    directory: Path, pod: Obj, *, pod_ip: str, dns: DnsSettings, host_name: str
) -> tuple[str, ...]:
    """Blocking: call it in a thread. Writes only what differs. What cannot be as it was asked
    for is said."""
    host_hosts = _read(Path("/etc/hosts"))
    host = host_resolv(_read(HOST_RESOLV), _read(RESOLVED))
    resolv, said = within_limits(pod_resolv(pod, dns=dns, host=host))
    own_name = host_name if host_network(pod) else kernel_hostname(pod, dns.cluster_domain)
    files = {
        "hosts": hosts_text(pod, pod_ip=pod_ip, domain=dns.cluster_domain, host_hosts=host_hosts),
        "hostname": f"{own_name}\n",
        "resolv.conf": resolv.text(),
    }
    directory.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        path = directory / file
        if _read(path) != text:
            path.write_text(text)
            path.chmod(0o644)
    return said


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
