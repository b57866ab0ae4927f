"""What Kubernetes 1.37 serves, resource by resource, and what edgek does: docs/api-coverage.md.

Upstream's side is read from lightkube's generated resources (what clients can call), with the
streams and proxies beside them, which no generated client has. edgek's side are the kinds
themselves. ``BEYOND`` says why something of a stable version is not there.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from edgek.kinds import ALL
from edgek.kinds.kind import CONNECT, Kind

_VERBS = {
    "post": "create", "put": "update", "global_list": "list", "global_watch": "watch",
}  # fmt: skip
STREAMS = (
    ("", "v1", "pods", "exec", ("create", "get")),
    ("", "v1", "pods", "attach", ("create", "get")),
    ("", "v1", "pods", "portforward", ("create", "get")),
    ("", "v1", "pods", "proxy", CONNECT),
    ("", "v1", "services", "proxy", CONNECT),
    ("", "v1", "nodes", "proxy", CONNECT),
)
BEYOND: Mapping[tuple[str, str, str, str], str] = {
    ("", "v1", "bindings", ""): "use pods/NAME/binding",
    ("", "v1", "componentstatuses", ""): "get and list, as upstream",
}


@dataclass(frozen=True, order=True)
class Resource:
    """One resource or subresource, with its verbs in RBAC's words."""

    group: str
    version: str
    plural: str
    subresource: str
    verbs: tuple[str, ...]

    @property
    def place(self) -> tuple[str, str, str, str]:
        return self.group, self.version, self.plural, self.subresource

    @property
    def is_stable(self) -> bool:
        return "alpha" not in self.version and "beta" not in self.version


def upstream() -> list[Resource]:
    return sorted({*_generated(), *(Resource(*stream) for stream in STREAMS)})


def _generated() -> Iterator[Resource]:
    import lightkube.resources as generated

    for module in pkgutil.iter_modules(generated.__path__):
        for value in vars(importlib.import_module(f"{generated.__name__}.{module.name}")).values():
            info = getattr(value, "_api_info", None)
            if info is None:
                continue
            # A subresource of another group's type (Scale) hangs on its parent's version.
            owner = info.parent or info.resource
            verbs = sorted({_VERBS.get(verb, verb) for verb in info.verbs})
            action = getattr(info, "action", "") or ""
            yield Resource(owner.group, owner.version, info.plural, action, tuple(verbs))


def ours(kinds: Iterable[Kind] = ALL) -> dict[tuple[str, str, str, str], tuple[str, ...]]:
    found = {}
    for kind in kinds:
        place = (kind.group, kind.version, kind.plural)
        found[(*place, "")] = tuple(kind.verbs)
        for sub in kind.subresources:
            found[(*place, sub.name)] = tuple(sub.verbs)
    return found


def verdict(resource: Resource, served: Mapping[tuple[str, str, str, str], tuple[str, ...]]) -> str:
    """ "yes", "missing: VERBS", or why there is nothing."""
    verbs = served.get(resource.place)
    if verbs is None:
        return BEYOND.get(resource.place) or ("no" if resource.is_stable else "off, as upstream")
    missing = [verb for verb in resource.verbs if verb not in verbs]
    why = BEYOND.get(resource.place) or f"missing: {', '.join(missing)}"
    return why if missing else "yes"


def rows() -> list[tuple[str, ...]]:
    served = ours()
    return [
        (
            f"`{r.group}/{r.version}`" if r.group else f"`{r.version}`",
            f"`{r.plural}/{r.subresource}`" if r.subresource else f"`{r.plural}`",
            ", ".join(r.verbs),
            verdict(r, served),
        )
        for r in upstream()
    ]
