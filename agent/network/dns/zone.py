"""What a name in the cluster's zone means, after the Kubernetes DNS specification 1.1.

Pure and lazy: building a zone only indexes services and slices, an answer is worked out when it
is asked for. Names are lower case without a trailing dot. Where the specification is silent
this does as CoreDNS: NXDOMAIN for a headless service without ready endpoints, and a pod's
name is answered from its own digits (pods are not looked up).
"""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

from agent.network.translate import cluster_ips, is_ipv4, is_ready, slice_port, slices_by_service
from edgek.api.meta import Key, Obj, key_of

Type: TypeAlias = Literal["A", "CNAME", "SRV", "PTR", "TXT", "NS", "SOA"]
REVERSE = ".in-addr.arpa"
SPEC_VERSION = "1.1.0"


@dataclass(frozen=True, kw_only=True)
class Record:
    name: str
    type: Type
    value: str
    port: int = 0
    """Of an SRV record, whose ``value`` is the target."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """``records`` of the type asked for (or one CNAME); none and not ``exists``: NXDOMAIN."""

    exists: bool
    records: tuple[Record, ...] = ()
    extra: tuple[Record, ...] = ()


MISSING = Found(exists=False)
EMPTY = Found(exists=True)


@dataclass(frozen=True, kw_only=True)
class Zone:
    domain: str
    dns_ip: str
    networks: tuple[str, ...] = ()
    """Ranges whose reverse names are ours alone: pods and services."""
    services: Sequence[Obj] = ()
    slices: Sequence[Obj] = ()

    def owns(self, name: str) -> bool:
        if name == self.domain or name.endswith("." + self.domain):
            return True
        ip = reverse_ip(name)
        return ip is not None and any(ip in network for network in self._networks)

    def lookup(self, name: str, type_: str) -> Found:
        if name.endswith(REVERSE):
            return self._reverse(name, type_)
        labels = name.removesuffix(self.domain).rstrip(".").split(".")
        match labels:
            case [""]:
                return _of_type(type_, Record(name=name, type="NS", value=f"ns.dns.{name}"))
            case ["dns-version"]:
                return _of_type(type_, Record(name=name, type="TXT", value=SPEC_VERSION))
            case ["ns", "dns"]:
                return _of_type(type_, Record(name=name, type="A", value=self.dns_ip))
            case ["dns"] | ["svc"] | ["pod"]:
                return EMPTY
            case [digits, _namespace, "pod"]:
                return _of_type(type_, *_dashed(name, digits))
            case [*rest, "svc"]:
                return self._in_services(name, rest, type_)
        return MISSING

    # -- services ------------------------------------------------------------------------

    def _in_services(self, name: str, labels: list[str], type_: str) -> Found:
        match labels:
            case [namespace]:
                return EMPTY if namespace in self._namespaces else MISSING
            case [service, namespace]:
                return self._service(name, Key(namespace, service), type_)
            case [host, service, namespace]:
                return self._host(name, host, Key(namespace, service), type_)
            case [port, protocol, service, namespace]:
                return self._srv(name, port, protocol, Key(namespace, service), type_)
        return MISSING

    def _service(self, name: str, key: Key, type_: str) -> Found:
        service = self._services.get(key)
        if service is None:
            return MISSING
        spec = service.get("spec") or {}
        if spec.get("type") == "ExternalName":
            target = str(spec.get("externalName") or "").rstrip(".").lower()
            return Found(exists=True, records=(Record(name=name, type="CNAME", value=target),))
        if type_ == "SRV":
            ports = spec.get("ports") or []
            return self._srv_records(name, key, service, ports)
        ips = cluster_ips(service) or sorted({ip for _, _, ip in self._ready(key)})
        return _of_type(type_, *(Record(name=name, type="A", value=ip) for ip in ips))

    def _host(self, name: str, host: str, key: Key, type_: str) -> Found:
        if key not in self._services:
            return MISSING
        ips = sorted({ip for _, endpoint, ip in self._ready(key) if host_of(endpoint, ip) == host})
        return _of_type(type_, *(Record(name=name, type="A", value=ip) for ip in ips))

    def _srv(self, name: str, port: str, protocol: str, key: Key, type_: str) -> Found:
        service = self._services.get(key)
        if service is None or port[:1] != "_" or protocol[:1] != "_":
            return MISSING
        wanted = [
            each
            for each in (service.get("spec") or {}).get("ports") or []
            if (each.get("name") or "") == port[1:]
            and (each.get("protocol") or "TCP").lower() == protocol[1:]
        ]
        found = self._srv_records(name, key, service, wanted)
        return found if type_ == "SRV" or not found.exists else EMPTY

    def _srv_records(self, name: str, key: Key, service: Obj, ports: Sequence[Obj]) -> Found:
        base = f"{key.name}.{key.namespace}.svc.{self.domain}"
        records: dict[Record, None] = {}
        extra: dict[Record, None] = {}
        for port in ports:
            for target, ip, number in self._targets(key, service, port, base):
                records[Record(name=name, type="SRV", value=target, port=number)] = None
                extra[Record(name=target, type="A", value=ip)] = None
        return Found(exists=bool(records), records=tuple(records), extra=tuple(extra))

    def _targets(
        self, key: Key, service: Obj, port: Obj, base: str
    ) -> Iterator[tuple[str, str, int]]:
        """(target name, its address, port number): the service, or each endpoint if headless."""
        virtual_ips = cluster_ips(service)
        for ip in virtual_ips:
            yield base, ip, int(port["port"])
        if not virtual_ips:
            for slice_, endpoint, ip in self._ready(key):
                if number := slice_port(slice_, port):
                    yield f"{host_of(endpoint, ip)}.{base}", ip, number

    def _ready(self, key: Key) -> Iterator[tuple[Obj, Obj, str]]:
        for slice_ in self._slices.get(key, ()):
            for endpoint in slice_.get("endpoints") or []:
                if is_ready(endpoint):
                    for ip in filter(is_ipv4, endpoint.get("addresses") or []):
                        yield slice_, endpoint, str(ip)

    # -- reverse -------------------------------------------------------------------------

    def _reverse(self, name: str, type_: str) -> Found:
        targets = self._names_of.get(str(reverse_ip(name)), ())
        return _of_type(type_, *(Record(name=name, type="PTR", value=t) for t in targets))

    @cached_property
    def _names_of(self) -> dict[str, list[str]]:
        """Address -> names: services by their own address, endpoints of headless ones."""
        found: dict[str, list[str]] = {}
        for key, service in self._services.items():
            base = f"{key.name}.{key.namespace}.svc.{self.domain}"
            own = cluster_ips(service)
            for ip in own:
                found.setdefault(ip, []).append(base)
            if not own:
                for _, endpoint, ip in self._ready(key):
                    names = found.setdefault(ip, [])
                    if (target := f"{host_of(endpoint, ip)}.{base}") not in names:
                        names.append(target)
        return found

    # -- indexes -------------------------------------------------------------------------

    @cached_property
    def _networks(self) -> list[ipaddress.IPv4Network]:
        return [ipaddress.IPv4Network(network) for network in self.networks]

    @cached_property
    def _services(self) -> dict[Key, Obj]:
        return {key_of(service): service for service in self.services}

    @cached_property
    def _namespaces(self) -> set[str]:
        return {key.namespace for key in self._services}

    @cached_property
    def _slices(self) -> dict[Key, list[Obj]]:
        return slices_by_service(self.slices)


def host_of(endpoint: Obj, ip: str) -> str:
    """The endpoint's label below its service: its hostname, else its address with dashes."""
    return str(endpoint.get("hostname") or ip.replace(".", "-")).lower()


def reverse_ip(name: str) -> ipaddress.IPv4Address | None:
    """The address a full reverse name stands for."""
    if not name.endswith(REVERSE):
        return None
    try:
        return ipaddress.IPv4Address(".".join(reversed(name.removesuffix(REVERSE).split("."))))
    except ValueError:
        return None


def _dashed(name: str, digits: str) -> Iterable[Record]:
    ip = digits.replace("-", ".")
    return [Record(name=name, type="A", value=ip)] if is_ipv4(ip) else []


def _of_type(type_: str, *records: Record) -> Found:
    """The name exists if it has records at all; of them, those of the type asked for."""
    if not records:
        return MISSING
    wanted = tuple(record for record in records if type_ in (record.type, "ANY"))
    return Found(exists=True, records=wanted)
