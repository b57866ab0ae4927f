"""/scale of any kind: what a controller's reference leads to, be it built in, custom or served
by another server.

Built-in kinds are known; the others are looked up in discovery, as upstream's polymorphic scale
client does, each time anew: they come and go, and who asks here asks seldom.
"""

from dataclasses import dataclass

from edgek.api.errors import InternalError, NotFound
from edgek.api.meta import Key, Obj
from edgek.client.client import Client
from edgek.client.transport import Call
from edgek.kinds import ALL
from edgek.kinds.conversion import each_once
from edgek.kinds.kind import Kind, Subresource


class NoScale(Exception):
    """The kind is served, and has no /scale."""


@dataclass(frozen=True)
class Scales:
    client: Client

    async def kind_of(self, api_version: str, kind: str) -> Kind | None:
        """The kind a reference means, with its /scale if it has one. For built-in kinds the
        group counts, not the version."""
        group = api_version.rpartition("/")[0]
        for known in each_once(ALL):
            if (known.group, known.kind) == (group, kind):
                return known
        return await self._discovered(api_version, kind)

    async def _discovered(self, api_version: str, kind: str) -> Kind | None:
        group, _, version = api_version.rpartition("/")
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            listed = await self.client.transport.call(Call(method="GET", path=path))
            resources = {r["name"]: r for r in listed.get("resources") or ()}
        except NotFound:
            return None
        except (ValueError, TypeError, KeyError, AttributeError) as err:  # another's server
            raise InternalError(f"bad discovery of {api_version}: {err!r}") from err
        for plural, resource in resources.items():
            if "/" in plural or resource.get("kind") != kind:
                continue
            has_scale = f"{plural}/scale" in resources
            return Kind(
                group=group, version=version, kind=kind, plural=plural,
                namespaced=bool(resource.get("namespaced")), custom=True,
                subresources=(Subresource(name="scale"),) if has_scale else (),
            )  # fmt: skip
        return None

    async def get(self, kind: Kind, key: Key) -> Obj:
        """The Scale. Raises NotFound where the object is not there, NoScale."""
        if not any(sub.name == "scale" for sub in kind.subresources):
            raise NoScale(f"{resource_name(kind)} does not implement the scale subresource")
        return await self.client.get(kind, key, subresource="scale")

    async def set(self, kind: Kind, scale: Obj) -> Obj:
        """Writes the Scale; conditional on its resourceVersion."""
        return await self.client.update(kind, scale, subresource="scale")


def resource_name(kind: Kind) -> str:
    """``deployments.apps``, as schema.GroupResource writes it."""
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural
