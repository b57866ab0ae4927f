"""Ingress before v1: backends in two flat fields, and a path type that may be left out.

As pkg/apis/networking/v1beta1/conversion.go.
"""

from collections.abc import Callable
from dataclasses import replace

from edgek.api.meta import Obj, get_path
from edgek.kinds.betas.beta_of import beta_of
from edgek.kinds.ingress import INGRESS
from edgek.kinds.kind import Default, Kind

Turn = Callable[[Obj], Obj]


def _new_backend(backend: Obj) -> Obj:
    name, port = backend.get("serviceName"), backend.get("servicePort")
    made = {f: v for f, v in backend.items() if f not in ("serviceName", "servicePort")}
    if name is None and port is None:
        return made
    field = "name" if isinstance(port, str) else "number"
    return {**made, "service": {"name": name or "", "port": {field: port} if port else {}}}


def _old_backend(backend: Obj) -> Obj:
    service = backend.get("service")
    made = {f: v for f, v in backend.items() if f != "service"}
    if service is None:
        return made
    port = service.get("port") or {}
    number = port.get("name") or port.get("number") or 0
    return {**made, "serviceName": service.get("name") or "", "servicePort": number}


def _paths(rule: Obj, turn: Turn) -> Obj:
    http = rule.get("http")
    if http is None:
        return rule
    paths = [
        {**path, "backend": turn(path["backend"])} if path.get("backend") is not None else path
        for path in http.get("paths") or ()
    ]
    return {**rule, "http": {**http, "paths": paths}}


def _turned(obj: Obj, turn: Turn, names: tuple[str, str]) -> Obj:
    spec = obj.get("spec")
    if spec is None:
        return dict(obj)
    old, new = names
    made = {f: v for f, v in spec.items() if f != old}
    if spec.get(old) is not None:
        made[new] = turn(spec[old])
    if spec.get("rules") is not None:
        made["rules"] = [_paths(rule, turn) for rule in spec["rules"]]
    return {**obj, "spec": made}


def to_v1(obj: Obj) -> Obj:
    return _turned(obj, _new_backend, ("backend", "defaultBackend"))


def to_beta(obj: Obj) -> Obj:
    return _turned(obj, _old_backend, ("defaultBackend", "backend"))


def _with_path_type(default: Default) -> Default:
    def run(obj: Obj) -> None:
        default(obj)
        for rule in get_path(obj, "spec", "rules", default=()):
            for path in get_path(rule, "http", "paths", default=()):
                path["pathType"] = path.get("pathType") or "ImplementationSpecific"

    return run


def _beta(group: str, since: str) -> Kind:
    made = beta_of(
        INGRESS, group=group, version="v1beta1", since=since, until="1.22", serving=to_beta,
        storing=to_v1,
    )  # fmt: skip
    return replace(made, default=_with_path_type(made.default))


NETWORKING_INGRESS = _beta("networking.k8s.io", "1.19")
EXTENSIONS_INGRESS = _beta("extensions", "1.14")
