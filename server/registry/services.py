"""Addresses and node ports of Services, given inside the write so that none is given twice.

As apiserver registry/core/service/storage/alloc.go. Only IPv4 clusters for now: ``ipFamilies``
follows the service network's family.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from edgek.api.errors import Invalid
from edgek.api.meta import Obj
from edgek.api.validation import FieldErrors, FieldPath
from edgek.kinds import SERVICE
from server.registry.allocation import AllocationError, IpAllocator, PortAllocator
from server.registry.hooks import Undo, nothing
from server.request.model import User

_SPEC = FieldPath("spec")
_WITH_NODE_PORTS = ("NodePort", "LoadBalancer")


def _cluster_ip(service: Obj | None) -> str:
    ip = ((service or {}).get("spec") or {}).get("clusterIP") or ""
    return "" if ip == "None" else ip


def _node_ports(service: Obj | None) -> dict[int, None]:
    """Those that were taken for it. What a Service of another type names is nobody's, or another
    Service's: it must not be freed with this one."""
    spec = (service or {}).get("spec") or {}
    if spec.get("type") not in _WITH_NODE_PORTS:
        return {}
    return {p["nodePort"]: None for p in spec.get("ports") or () if p.get("nodePort")}


class _Taken:
    """What one write has taken so far, to give back if it does not come about."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def add(self, undo: Callable[[], None]) -> None:
        self._undo.append(undo)

    def __call__(self) -> None:
        for undo in reversed(self._undo):
            undo()
        self._undo.clear()


class ServiceHook:
    """Owns the allocators; filled from the Services found at start."""

    kind = SERVICE

    def __init__(self, *, service_cidr: str, node_ports: str, services: Iterable[Obj]) -> None:
        found = list(services)
        # Two may hold one address or port, in a file that others have written.
        self._held: Counter[str | int] = Counter(ip for s in found if (ip := _cluster_ip(s)))
        self._held.update(p for s in found for p in _node_ports(s))
        used = {ip for s in found if (ip := _cluster_ip(s))}
        self._ips = IpAllocator(service_cidr, used)
        self._ports = PortAllocator(node_ports, {p for s in found for p in _node_ports(s)})
        self._family = "IPv6" if ":" in service_cidr else "IPv4"

    def reserve(self, obj: Obj, old: Obj | None, user: User) -> Undo:
        spec = obj.get("spec")
        if not isinstance(spec, dict):
            return nothing
        taken = _Taken()
        errors = FieldErrors()
        try:
            self._reserve_ip(spec, old, taken, errors)
            self._reserve_ports(spec, old, taken, errors)
            if errors:
                raise Invalid.of(SERVICE, obj["metadata"].get("name") or "", errors)
        except BaseException:
            taken()
            raise
        return taken

    def _reserve_ip(self, spec: Obj, old: Obj | None, taken: _Taken, errors: FieldErrors) -> None:
        if spec.get("type") == "ExternalName":
            for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                spec.pop(field, None)
            return
        had = ((old or {}).get("spec") or {}).get("clusterIP")
        listed = spec.get("clusterIPs") or [None]
        asked = spec.get("clusterIP") or listed[0] or had
        spec.setdefault("ipFamilies", [self._family])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        if asked and asked != "None" and asked != had:
            asked = self._take_ip(asked, taken, errors)
        elif not asked:
            asked = self._next_ip(taken, errors)
        if asked:
            spec["clusterIP"], spec["clusterIPs"] = asked, [asked]

    def _take_ip(self, asked: str, taken: _Taken, errors: FieldErrors) -> str:
        try:
            self._ips.allocate(asked)
            taken.add(lambda: self._ips.release(asked))
        except ValueError as err:
            errors.invalid(
                _SPEC.child("clusterIPs"), [asked], f"failed to allocate IP {asked}: {err}"
            )
        return asked

    def _next_ip(self, taken: _Taken, errors: FieldErrors) -> str:
        try:
            found = self._ips.allocate_next()
        except AllocationError as err:
            errors.invalid(_SPEC.child("clusterIPs"), [], f"failed to allocate a serviceIP: {err}")
            return ""
        taken.add(lambda: self._ips.release(found))
        return found

    def _reserve_ports(
        self, spec: Obj, old: Obj | None, taken: _Taken, errors: FieldErrors
    ) -> None:
        if spec.get("type") not in _WITH_NODE_PORTS:
            _drop_stale_ports(spec, old)
            return
        mine = dict(_node_ports(old))
        for number, port in enumerate(spec.get("ports") or ()):
            _keep_port(port, old)
            wanted = port.get("nodePort")
            if wanted in mine:
                continue
            path = _SPEC.child("ports").index(number).child("nodePort")
            given = self._port(wanted, path, taken, errors)
            if given:
                port["nodePort"] = given
                mine[given] = None

    def _port(self, wanted: Any, path: FieldPath, taken: _Taken, errors: FieldErrors) -> int | None:
        try:
            given = self._ports.allocate(wanted) if wanted else self._ports.allocate_next()
        except AllocationError as err:
            errors.invalid(path, wanted or 0, str(err))
            return None
        taken.add(lambda: self._ports.release(given))
        return given

    def written(self, obj: Obj, old: Obj | None) -> None:
        """Frees what the Service had and has no more."""
        had, has = _cluster_ip(old), _cluster_ip(obj)
        if had and had != has:
            self._release_ip(had)
        for port in _node_ports(old).keys() - _node_ports(obj).keys():
            self._release_port(port)

    def removed(self, obj: Obj) -> None:
        if ip := _cluster_ip(obj):
            self._release_ip(ip)
        for port in _node_ports(obj):
            self._release_port(port)

    def _release_ip(self, ip: str) -> None:
        if self._was_last(ip):
            self._ips.release(ip)

    def _release_port(self, port: int) -> None:
        if self._was_last(port):
            self._ports.release(port)

    def _was_last(self, held: str | int) -> bool:
        """Whether nobody has it any more, now that one Service less does."""
        self._held[held] -= 1
        if self._held[held] > 0:
            return False
        del self._held[held]
        return True


def _keep_port(port: Obj, old: Obj | None) -> None:
    """A client that does not send node ports back keeps those it had (patchAllocatedValues)."""
    if port.get("nodePort"):
        return
    for before in ((old or {}).get("spec") or {}).get("ports") or ():
        same = before.get("port") == port.get("port") and before.get("protocol") == port.get(
            "protocol"
        )
        if same and before.get("nodePort"):
            port["nodePort"] = before["nodePort"]


def _drop_stale_ports(spec: Obj, old: Obj | None) -> None:
    """Node ports sent back unchanged when the type leaves NodePort are not meant.

    As service strategy.go dropTypeDependentFields.
    """
    before = _node_ports(old)
    for port in spec.get("ports") or ():
        if port.get("nodePort") in before:
            del port["nodePort"]
