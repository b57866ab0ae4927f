"""IngressClass: which controller serves the Ingresses that name it."""

from edgek.api.meta import Obj, get_path
from edgek.api.validation import FieldErrors, FieldPath, is_dns1123_label
from edgek.kinds.checks import check_enum
from edgek.kinds.columns import NONE, cell
from edgek.kinds.ingress_validation import validate_local_reference
from edgek.kinds.kind import AGE, NAME, Column, Kind
from edgek.kinds.metadata import immutable
from edgek.kinds.network_checks import check_domain_path
from edgek.kinds.strategy import set_default

SPEC = FieldPath("spec")
MAX_CONTROLLER = 250
SCOPES = ("Cluster", "Namespace")


def _default(obj: Obj) -> None:
    if (parameters := get_path(obj, "spec", "parameters")) is not None:
        set_default(parameters, "scope", "Cluster")


def _validate(obj: Obj, errors: FieldErrors) -> None:
    spec = obj.get("spec") or {}
    path, controller = SPEC.child("controller"), spec.get("controller") or ""
    if len(controller) > MAX_CONTROLLER:
        errors.too_long(path, MAX_CONTROLLER)
    check_domain_path(controller, path, errors)
    if (parameters := spec.get("parameters")) is not None:
        _validate_parameters(parameters, SPEC.child("parameters"), errors)


def _validate_parameters(ref: Obj, path: FieldPath, errors: FieldErrors) -> None:
    validate_local_reference(ref, path, errors)
    scope, namespace = ref.get("scope"), ref.get("namespace")
    check_enum(scope, SCOPES, path.child("scope"), errors)
    where = path.child("namespace")
    if scope == "Namespace" and namespace is None:
        errors.required(where, "`parameters.scope` is set to 'Namespace'")
    elif scope == "Namespace" and namespace is not None:
        for problem in is_dns1123_label(namespace):
            errors.invalid(where, namespace, problem)
    elif scope == "Cluster" and namespace is not None:
        errors.forbidden(where, "`parameters.scope` is set to 'Cluster'")


def _validate_update(new: Obj, old: Obj, errors: FieldErrors) -> None:
    had, has = (get_path(o, "spec", "controller", default="") for o in (old, new))
    immutable(has, had, SPEC.child("controller"), errors)


def _parameters(obj: Obj) -> str:
    """``Kind.group/name``."""
    ref = get_path(obj, "spec", "parameters")
    if ref is None:
        return NONE
    group = f".{ref['apiGroup']}" if ref.get("apiGroup") is not None else ""
    return f"{ref.get('kind')}{group}/{ref.get('name')}"


INGRESS_CLASS = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="IngressClass",
    plural="ingressclasses",
    namespaced=False,
    columns=(
        NAME,
        Column(name="Controller", read=cell("spec", "controller"), description="Who serves it."),
        Column(name="Parameters", read=_parameters, description="Where its settings are."),
        AGE,
    ),
    generation=True,
    default=_default,
    validate=_validate,
    validate_update=_validate_update,
    example={
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": "proxy"},
        "spec": {"controller": "example.com/proxy"},
    },
)
