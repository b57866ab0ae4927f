"""What the user calls a kind, as a ``Kind``: ``po``, ``deployments.apps``, ``svc,pods``, ``all``.

The kinds of this build answer at once; only a name they do not know costs a look at the
server's discovery, where custom resources are. As kubectl's RESTMapper, built-in kinds win.
"""

from collections.abc import Iterable, Sequence

from edgek.api.errors import ApiError, NotFound, qualified
from edgek.api.meta import Obj
from edgek.cli.cluster import Cluster, Failure
from edgek.client.transport import Call
from edgek.kinds import ALL
from edgek.kinds.kind import Kind, Subresource

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def spoken(kind: Kind) -> str:
    """``deployment.apps``: how results name a kind, as ``deployment.apps/web created``."""
    return qualified(kind.singular, kind.group)


async def find_kinds(cluster: Cluster, words: str) -> list[Kind]:
    """The kinds of a comma-separated word. Raises Failure for one that nobody knows."""
    found: list[Kind] = []
    for word in words.split(","):
        found += [k for k in await _find(cluster, word.strip()) if k not in found]
    return found


async def find_kind(cluster: Cluster, word: str) -> Kind:
    found = await find_kinds(cluster, word)
    if len(found) != 1:
        raise Failure(f"{word!r} stands for more than one kind; name one")
    return found[0]


async def kind_of(cluster: Cluster, obj: Obj) -> Kind:
    """The kind of a manifest."""
    group, _, version = str(obj["apiVersion"]).rpartition("/")
    wanted = (group, version, obj["kind"])
    for kinds in (ALL, None):
        for kind in kinds if kinds is not None else await discover(cluster):
            if (kind.group, kind.version, kind.kind) == wanted:
                return kind
    raise Failure(f'no matches for kind "{obj["kind"]}" in version "{obj["apiVersion"]}"')


async def _find(cluster: Cluster, word: str) -> Sequence[Kind]:
    if not word:
        raise Failure("you must name the kind of resource, such as pods")
    lower = word.lower()
    if found := _named(ALL, lower):
        return found[:1]
    known = await discover(cluster)
    if found := _named(known, lower):
        return found[:1]
    listed = (k for k in preferred(known) if "list" in k.verbs)
    if found := [k for k in listed if lower in k.categories]:
        return found
    raise Failure(f'the server doesn\'t have a resource type "{word}"')


def preferred(kinds: Iterable[Kind]) -> list[Kind]:
    """Each resource once, in the version its group prefers; ``kinds`` as ``discover`` has them."""
    first: dict[tuple[str, str], Kind] = {}
    for kind in kinds:
        first.setdefault((kind.group, kind.plural), kind)
    return list(first.values())


def _named(kinds: Iterable[Kind], word: str) -> list[Kind]:
    return [k for k in kinds if word in _names(k)]


def _names(kind: Kind) -> set[str]:
    short = {kind.plural, kind.singular, *kind.short_names}
    suffixes = {kind.group, f"{kind.version}.{kind.group}"} if kind.group else set()
    return short | {f"{name}.{suffix}" for name in short for suffix in suffixes}


async def discover(cluster: Cluster) -> list[Kind]:
    """Every kind that the server serves, groups in its order, the preferred version first."""
    found: list[Kind] = []
    for path in ("/api", "/apis"):
        call = Call(method="GET", path=path, accept=AGGREGATED)
        try:
            answer = await cluster.transport.call(call)
        except NotFound as err:
            server = cluster.config.access.server
            raise Failure(f"the server {server} is no Kubernetes API") from err
        found += _kinds(answer)
    return found


def _kinds(answer: Obj) -> list[Kind]:
    if "items" not in answer:
        raise ApiError("the server has no aggregated discovery; it is older than Kubernetes 1.30")
    return [
        _kind(group["metadata"].get("name", ""), version["version"], resource)
        for group in answer["items"]
        for version in group["versions"]
        for resource in version.get("resources") or ()
    ]


def _kind(group: str, version: str, resource: Obj) -> Kind:
    speaks = resource.get("responseKind") or {}
    return Kind(
        group=group,
        version=version,
        kind=speaks.get("kind", ""),
        plural=resource["resource"],
        singular=resource.get("singularResource", ""),
        short_names=tuple(resource.get("shortNames") or ()),
        categories=tuple(resource.get("categories") or ()),
        namespaced=resource.get("scope") == "Namespaced",
        verbs=tuple(resource.get("verbs") or ()),
        subresources=tuple(
            Subresource(name=s["subresource"], verbs=tuple(s.get("verbs") or ()))
            for s in resource.get("subresources") or ()
        ),
    )
