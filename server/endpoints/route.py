"""From RequestInfo to a kind and a handler: the last step before a verb.

A resource URL names a kind that is served and a verb (or subresource) that it has; everything
else is 404 or 405 in upstream's words.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from edgek.api import errors
from edgek.api.meta import Key
from edgek.kinds.kind import Kind
from server.endpoints.env import Env
from server.request.info import RequestInfo
from server.request.model import Request, Response

NOT_ALLOWED = "the server does not allow this method on the requested resource"
_NAMED = {"create": False, "update": True, "patch": True}


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a request is about. ``key.name`` is "" for a collection."""

    kind: Kind
    key: Key
    subresource: str = ""


Verb = Callable[[Env, Request, Target], Awaitable[Response]]


def _check_scope(kind: Kind, info: RequestInfo) -> None:
    """A path must be of the kind's own scope. NB: rights were checked in the path's namespace,
    so a cluster-wide object reached through one would be had with that namespace's rights."""
    if kind.namespaced:
        if info.namespace or info.verb in ("list", "watch"):
            return
        if info.name:
            raise errors.NotFound.path()
        raise errors.MethodNotAllowed(NOT_ALLOWED)
    own = kind.kind == "Namespace" and info.name == info.namespace
    if info.namespace and not own:
        raise errors.NotFound.path()


@dataclass(frozen=True, kw_only=True)
class Routes:
    """``verbs`` by verb; ``subresources`` by (plural or "*", subresource), then by verb;
    ``virtual`` by (group, plural) of virtual kinds, then by verb."""

    env: Env
    verbs: Mapping[str, Verb]
    subresources: Mapping[tuple[str, str], Mapping[str, Verb]] = field(default_factory=dict)
    virtual: Mapping[tuple[str, str], Mapping[str, Verb]] = field(default_factory=dict)

    async def handle(self, request: Request) -> Response:
        info = request.info
        kind = self.env.kinds.find(info.group, info.version, info.resource)
        if kind is None or (len(info.parts) > 3 and not info.subresource):
            raise errors.NotFound.path()
        _check_scope(kind, info)
        namespace = info.namespace if kind.namespaced else ""
        target = Target(kind=kind, key=Key(namespace, info.name), subresource=info.subresource)
        verb = self._verb(target, info.verb)
        if kind.warning:
            request.warnings.append(kind.warning)
        return await verb(self.env, request, target)

    def _verb(self, target: Target, verb: str) -> Verb:
        if not target.subresource:
            # Collections take POST, objects PUT and PATCH; other verbs follow from the path.
            fits = verb not in _NAMED or _NAMED[verb] == bool(target.key.name)
            offered = self._verbs_of(target.kind)
            found = offered.get(verb) if fits and verb in target.kind.verbs else None
        else:
            found = self._subresource(target, verb)
        if found is None:
            raise errors.MethodNotAllowed(NOT_ALLOWED)
        return found

    def _verbs_of(self, kind: Kind) -> Mapping[str, Verb]:
        return self.virtual.get((kind.group, kind.plural), {}) if kind.virtual else self.verbs

    def _subresource(self, target: Target, verb: str) -> Verb | None:
        names = {s.name: s for s in target.kind.subresources}
        offered = names.get(target.subresource)
        if offered is None:
            raise errors.NotFound.path()
        table = self.subresources.get((target.kind.plural, offered.name))
        table = table or self.subresources.get(("*", offered.name))
        return table.get(verb) if table and verb in offered.verbs else None
