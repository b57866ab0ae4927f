"""From what the user names to pods: a pod, or the pods behind a Deployment, a Service..."""

from collections.abc import Sequence

from edgek.api.conditions import is_true
from edgek.api.meta import Key, Obj, get_path, is_deleting
from edgek.cli.cluster import Cluster, Failure, note
from edgek.cli.resources import spoken
from edgek.cli.targets import find_one
from edgek.kinds import POD
from edgek.kinds.kind import Kind

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


async def find_pod(cluster: Cluster, words: Sequence[str]) -> Obj:
    """The pod named, or the best one behind what is named, as kubectl chooses it."""
    kind, name = await find_one(cluster, words, kind="pods")
    if kind == POD:
        return await cluster.client.get(POD, Key(cluster.namespace, name))
    found = await pods_behind(cluster, kind, name)
    if not found:
        raise Failure(f"there are no pods behind {spoken(kind)}/{name}")
    if len(found) > 1:
        note(f"Found {len(found)} pods, using pod/{found[0]['metadata']['name']}")
    return found[0]


async def pods_behind(cluster: Cluster, kind: Kind, name: str) -> list[Obj]:
    """Those that its selector selects, the best first."""
    owner = await cluster.client.get(kind, Key(cluster.namespace, name))
    selector = selector_text(owner)
    if not selector:
        raise Failure(f"{spoken(kind)}/{name} selects no pods")
    found = await cluster.client.list(POD, namespace=cluster.namespace, label_selector=selector)
    return sorted(found.items, key=_rank)


def _rank(pod: Obj) -> tuple[bool, bool, bool, str]:
    ready = is_true(get_path(pod, "status", "conditions"), "Ready")
    running = get_path(pod, "status", "phase") == "Running"
    return is_deleting(pod), not ready, not running, pod["metadata"]["creationTimestamp"]


def selector_text(owner: Obj) -> str:
    """Its selector as a query: a Service's plain map, or a LabelSelector."""
    selector = get_path(owner, "spec", "selector", default={})
    if not isinstance(selector, dict):
        return ""
    plain = "matchLabels" not in selector and "matchExpressions" not in selector
    parts = [
        f"{k}={v}" for k, v in (selector if plain else selector.get("matchLabels") or {}).items()
    ]
    expressions = () if plain else selector.get("matchExpressions") or ()
    return ",".join([*parts, *map(_expression, expressions)])


def _expression(expression: Obj) -> str:
    key, operator = expression["key"], expression["operator"]
    if operator in ("Exists", "DoesNotExist"):
        return key if operator == "Exists" else f"!{key}"
    values = ",".join(expression.get("values") or ())
    return f"{key} {'in' if operator == 'In' else 'notin'} ({values})"


def container_names(pod: Obj, *, inits: bool = False) -> list[str]:
    spec = pod["spec"]
    first = spec.get("initContainers") or () if inits else ()
    return [c["name"] for c in (*first, *spec["containers"])]


def default_container(pod: Obj, chosen: str) -> str:
    """The one named, annotated or first. Raises Failure for a name that is not there."""
    names = container_names(pod, inits=True)
    if chosen and chosen not in names:
        raise Failure(
            f"pod {pod['metadata']['name']} has no container {chosen!r}; it has {', '.join(names)}"
        )
    annotated = get_path(pod, "metadata", "annotations", DEFAULT_CONTAINER, default="")
    usual = annotated if annotated in names else container_names(pod)[0]
    if not chosen and not annotated and len(pod["spec"]["containers"]) > 1:
        note(f"Defaulted container {usual!r} out of: {', '.join(names)}")
    return chosen or usual
