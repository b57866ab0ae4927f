"""LimitRanger: containers get the namespace's default requests and limits; what asks for less or
more than its LimitRanges say is refused, with every violation in one answer.

As plugin/pkg/admission/limitranger. Looks at new pods, resizes of pods, and claims.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from operator import gt, lt

from edgek.api.meta import Obj, get_path, is_deleting
from edgek.api.quantity import canonical, parse_quantity
from edgek.kinds.limit_range import LIMIT_RANGE
from edgek.kinds.persistent_volume_claim import PERSISTENT_VOLUME_CLAIM
from edgek.kinds.pod import POD
from edgek.kinds.pods import containers, init_containers
from edgek.kinds.quota_usage import Usage, pod_amounts
from edgek.kinds.strategy import ensure
from server.admission.chain import Attributes
from server.admission.refusal import aggregate, forbidden
from server.request.reader import Reader

ANNOTATION = "kubernetes.io/limit-ranger"


class LimitRanger:
    kinds = (POD, PERSISTENT_VOLUME_CLAIM)

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def admit(self, attributes: Attributes) -> None:
        a = attributes
        if a.kind == POD and a.operation == "CREATE" and not a.subresource:
            for limit_range in self._reader.list(LIMIT_RANGE, a.namespace):
                set_defaults(a.obj, _items(limit_range, "Container"))

    async def validate(self, attributes: Attributes) -> None:
        if not _is_limited(attributes):
            return
        violations = _of_pod if attributes.kind == POD else _of_claim
        for limit_range in self._reader.list(LIMIT_RANGE, attributes.namespace):
            problems = list(violations(limit_range, attributes.obj))
            if problems:
                raise forbidden(attributes, aggregate(problems))


def _is_limited(a: Attributes) -> bool:
    """A pod's containers are what they are once it is there, unless it is resized."""
    if a.operation == "CREATE":
        return not a.subresource
    if a.operation != "UPDATE" or (a.old is not None and is_deleting(a.old)):
        return False
    return a.subresource == "resize" if a.kind == POD else not a.subresource


def _items(limit_range: Obj, kind: str) -> list[Obj]:
    items = get_path(limit_range, "spec", "limits", default=[])
    return [item for item in items if item.get("type") == kind]


def set_defaults(pod: Obj, items: Iterable[Obj]) -> None:
    """Fills in what containers do not say, and notes it in an annotation."""
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    for item in items:
        requests.update(item.get("defaultRequest") or {})
        limits.update(item.get("default") or {})
    if not requests and not limits:
        return
    notes = [n for c in containers(pod) for n in _fill(c, requests, limits, "container")]
    notes += [n for c in init_containers(pod) for n in _fill(c, requests, limits, "init container")]
    if notes:
        text = "LimitRanger plugin set: " + "; ".join(notes)
        ensure(pod, "metadata", "annotations")[ANNOTATION] = text


def _fill(
    container: Obj, requests: Mapping[str, str], limits: Mapping[str, str], what: str
) -> Iterator[str]:
    for field, defaults in (("requests", requests), ("limits", limits)):
        given = get_path(container, "resources", field, default={})
        missing = sorted(name for name in defaults if name not in given)
        if missing:
            found = ensure(container, "resources", field)
            found.update((name, defaults[name]) for name in missing)
            yield f"{', '.join(missing)} {field[:-1]} for {what} {container.get('name')}"


def _of_pod(limit_range: Obj, pod: Obj) -> Iterator[str]:
    for item in get_path(limit_range, "spec", "limits", default=[]):
        if item.get("type") == "Container":
            for container in (*containers(pod), *init_containers(pod)):
                found = container.get("resources") or {}
                yield from _bounds(item, found.get("requests") or {}, found.get("limits") or {})
        elif item.get("type") == "Pod":
            bare = {"spec": {**pod["spec"], "overhead": None}}
            yield from _bounds(item, pod_amounts(bare, "requests"), pod_amounts(bare, "limits"))


def _bounds(item: Obj, requests: Usage, limits: Usage) -> Iterator[str]:
    kind = item["type"]
    for name, bound in sorted((item.get("min") or {}).items()):
        text = f"minimum {name} usage per {kind} is {canonical(bound)}"
        yield from _problem(text, bound, (("request", requests), ("limit", limits)), name, lt)
    for name, bound in sorted((item.get("max") or {}).items()):
        text = f"maximum {name} usage per {kind} is {canonical(bound)}"
        yield from _problem(text, bound, (("limit", limits), ("request", requests)), name, gt)
    for name, bound in sorted((item.get("maxLimitRequestRatio") or {}).items()):
        text = f"{name} max limit to request ratio per {kind} is {canonical(bound)}, but"
        yield from _ratio(text, bound, requests.get(name), limits.get(name))


def _of_claim(limit_range: Obj, claim: Obj) -> Iterator[str]:
    """Claims have requests only, and no defaults: what they ask for is required anyway."""
    requests = get_path(claim, "spec", "resources", "requests", default={})
    for item in _items(limit_range, "PersistentVolumeClaim"):
        for word, field, is_beyond in (("minimum", "min", lt), ("maximum", "max", gt)):
            for name, bound in sorted((item.get(field) or {}).items()):
                text = f"{word} {name} usage per PersistentVolumeClaim is {canonical(bound)}"
                yield from _problem(text, bound, (("request", requests),), name, is_beyond)


def _problem(
    text: str,
    bound: str,
    sides: Sequence[tuple[str, Usage]],
    name: str,
    is_beyond: Callable[[Fraction, Fraction], bool],
) -> Iterator[str]:
    """One violation at most; the first side must be there, the other only be within."""
    first = sides[0][0]
    if name not in sides[0][1]:
        yield f"{text}.  No {first} is specified"
        return
    for what, amounts in sides:
        amount = amounts.get(name)
        if amount is not None and is_beyond(parse_quantity(amount), parse_quantity(bound)):
            yield f"{text}, but {what} is {canonical(amount)}"
            return


def _ratio(text: str, bound: str, request: str | None, limit: str | None) -> Iterator[str]:
    asked, most = parse_quantity(request or "0"), parse_quantity(limit or "0")
    if not asked:
        yield f"{text} no request is specified or request is 0"
    elif not most:
        yield f"{text} no limit is specified or limit is 0"
    elif most / asked > parse_quantity(bound):
        yield f"{text} provided ratio is {float(most / asked):f}"
