"""What upstream warns of in pods and templates that are valid (pkg/api/pod/warnings.go).

Sentences go to the client as Warning headers; kubectl prints them. Nothing here refuses anything.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from edgek.api.meta import Obj, generation, get_path
from edgek.api.quantity import canonical, parse_quantity
from edgek.api.validation import FieldPath, is_dns1123_label
from edgek.kinds.kind import Warn
from edgek.kinds.pod_prepare import affinity_terms

NODE_LABELS = {
    "beta.kubernetes.io/arch": ("1.14", "kubernetes.io/arch"),
    "beta.kubernetes.io/os": ("1.14", "kubernetes.io/os"),
    "failure-domain.beta.kubernetes.io/region": ("1.17", "topology.kubernetes.io/region"),
    "failure-domain.beta.kubernetes.io/zone": ("1.17", "topology.kubernetes.io/zone"),
    "beta.kubernetes.io/instance-type": ("1.17", "node.kubernetes.io/instance-type"),
}
LISTS = ("initContainers", "containers", "ephemeralContainers")
BYTES = ("memory", "ephemeral-storage")
_NULL_SELECTOR = "a null labelSelector results in matching no pod"


def warn_of_pod(pod: Obj, old: Obj | None) -> list[str]:
    """Of new pods only: people seldom update pods, nodes often do."""
    if old is not None:
        return []
    where = "the Pod's hostname"
    return [*_of_name(pod, where), *_of_template(pod, FieldPath())]


def warn_of_template(*path: str, named: bool = True) -> Warn:
    """Of a workload whose pod template is at that path, when its spec is new. ``named``: its pods
    are called after it, so its name ends up in hostnames."""

    def warn(obj: Obj, old: Obj | None) -> list[str]:
        if old is not None and generation(obj) == generation(old):
            return []
        template = get_path(obj, *path, default={})
        tell = named and old is None
        name = _of_name(obj, "Pod names and hostnames") if tell else []
        return [*name, *_of_template(template, FieldPath(".".join(path)))]

    return warn


def _of_name(obj: Obj, where: str) -> list[str]:
    problems = is_dns1123_label(obj["metadata"].get("name") or "")
    text = (
        f"metadata.name: this is used in {where}, which can result in surprising behavior; a DNS "
        "label is recommended: "
    )
    return [f"{text}[{' '.join(problems)}]"] if problems else []


def _of_template(template: Obj, path: FieldPath) -> list[str]:
    spec, where = template.get("spec") or {}, path.child("spec")
    parts = (_of_placement, _of_lists, _of_containers, _of_ports, _of_grace, _of_affinity)
    return [text for part in parts for text in part(spec, where)]


def deprecated_label(label: str) -> str:
    """Why a node label should not be used any more; "" for any other."""
    if label not in NODE_LABELS:
        return ""
    since, instead = NODE_LABELS[label]
    return f'deprecated since v{since}; use "{instead}" instead'


def _of_placement(spec: Obj, path: FieldPath) -> Iterator[str]:
    for key in spec.get("nodeSelector") or {}:
        if why := deprecated_label(key):
            yield f"{path.child('nodeSelector').key(key)}: {why}"
    for term, where in _node_terms(spec, path.child("affinity", "nodeAffinity")):
        for index, expression in enumerate(term.get("matchExpressions") or ()):
            if why := deprecated_label(expression.get("key") or ""):
                place = where.child("matchExpressions").index(index).child("key")
                yield f"{place}: {expression['key']} is {why}"
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        where = path.child("topologySpreadConstraints").index(index)
        if why := deprecated_label(constraint.get("topologyKey") or ""):
            yield f"{where.child('topologyKey')}: {constraint['topologyKey']} is {why}"
        if constraint.get("labelSelector") is None:
            yield f"{where.child('labelSelector')}: {_NULL_SELECTOR}"


def _node_terms(spec: Obj, path: FieldPath) -> Iterator[tuple[Obj, FieldPath]]:
    affinity = get_path(spec, "affinity", "nodeAffinity", default={})
    field = "requiredDuringSchedulingIgnoredDuringExecution"
    for index, term in enumerate(get_path(affinity, field, "nodeSelectorTerms", default=())):
        yield term, path.child(field, "nodeSelectorTerms").index(index)
    field = "preferredDuringSchedulingIgnoredDuringExecution"
    for index, preferred in enumerate(affinity.get(field) or ()):
        yield preferred.get("preference") or {}, path.child(field).index(index).child("preference")


def _of_lists(spec: Obj, path: FieldPath) -> Iterator[str]:
    for field, key in (("hostAliases", "ip"), ("imagePullSecrets", "name")):
        seen: set[str] = set()
        for index, item in enumerate(spec.get(field) or ()):
            value = item.get(key) or ""
            if value in seen:
                yield f'{path.child(field).index(index).child(key)}: duplicate {key} "{value}"'
            seen.add(value)
    yield from _of_bytes(spec.get("overhead"), path.child("overhead"))


def _of_bytes(amounts: Mapping[str, Any] | None, path: FieldPath) -> Iterator[str]:
    for name in BYTES:
        amount = (amounts or {}).get(name)
        if amount is not None and parse_quantity(amount).denominator != 1:
            text = f'fractional byte value "{canonical(amount)}" is invalid, must be an integer'
            yield f"{path.key(name)}: {text}"


def _containers(spec: Obj, path: FieldPath) -> Iterator[tuple[Obj, FieldPath]]:
    for field in LISTS:
        for index, container in enumerate(spec.get(field) or ()):
            yield container, path.child(field).index(index)


def _of_containers(spec: Obj, path: FieldPath) -> Iterator[str]:
    for container, where in _containers(spec, path):
        for part in ("limits", "requests"):
            amounts = get_path(container, "resources", part)
            yield from _of_bytes(amounts, where.child("resources", part))
        seen: set[str] = set()
        for index, env in enumerate(container.get("env") or ()):
            name = env.get("name") or ""
            if name in seen and _hides(env):
                place = where.child("env").index(index)
                text = f'hides previous definition of "{name}", which may be dropped'
                yield f"{place}: {text} when using apply"
            seen.add(name)


def _hides(env: Obj) -> bool:
    """X="abc" and then X="$(X)123" builds on the first and is no mistake."""
    reference, value = f"$({env.get('name')})", env.get("value") or ""
    return bool(env.get("valueFrom")) or value == reference or reference not in value


def _of_ports(spec: Obj, path: FieldPath) -> Iterator[str]:
    """Across containers: they share one network."""
    places: dict[tuple[Any, ...], FieldPath] = {}
    names: dict[str, FieldPath] = {}
    for container, where in _containers(spec, path):
        for index, port in enumerate(container.get("ports") or ()):
            place = where.child("ports").index(index)
            fields = ("containerPort", "protocol", "hostIP", "hostPort")
            same = tuple(port.get(field) or "" for field in fields)
            if same in places:
                yield f"{place}: duplicate port definition with {places[same]}"
            places.setdefault(same, place)
            name = port.get("name") or ""
            if name in names:
                other = names[name]
                use = f"services and probes that select ports by name will use {other}"
                yield f'{place}: duplicate port name "{name}" with {other}, {use}'
            if name:
                names.setdefault(name, place)


def _of_grace(spec: Obj, path: FieldPath) -> Iterator[str]:
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        text = "must be >= 0; negative values are invalid and will be treated as 1"
        yield f"{path.child('terminationGracePeriodSeconds')}: {text}"


def _of_affinity(spec: Obj, path: FieldPath) -> Iterator[str]:
    for which in ("podAffinity", "podAntiAffinity"):
        affinity = get_path(spec, "affinity", which, default={})
        if all(term.get("labelSelector") is not None for term in affinity_terms(affinity)):
            continue
        for field, inner in (
            ("requiredDuringSchedulingIgnoredDuringExecution", ()),
            ("preferredDuringSchedulingIgnoredDuringExecution", ("podAffinityTerm",)),
        ):
            for index, term in enumerate(affinity.get(field) or ()):
                if get_path(term, *inner, "labelSelector") is None:
                    place = path.child("affinity", which, field).index(index)
                    yield f"{place.child(*inner, 'labelSelector')}: {_NULL_SELECTOR}"
