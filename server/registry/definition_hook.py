"""With each write of a CustomResourceDefinition goes what the server says of it.

So a definition is established by the commit that creates it, and there is nothing to catch up
with after a crash. What changes without a write of its own (another definition's names become
free) is the matter of server/controllers/definitions.py.
"""

from collections.abc import Mapping
from typing import Any

from edgek.aio.clock import Clock
from edgek.api.meta import Obj
from edgek.api.time import format_time
from edgek.kinds import CUSTOM_RESOURCE_DEFINITION as CRD
from edgek.kinds.built_in import built_in_names
from edgek.kinds.crd_status import Taken, plan_status
from server.registry.definitions import Definitions
from server.registry.hooks import Undo
from server.request.model import User


class DefinitionHook:
    """Names are held from before the commit on: of two definitions that want the same one, one
    gets it."""

    def __init__(self, definitions: Definitions, clock: Clock) -> None:
        self.kind = CRD
        self._definitions = definitions
        self._clock = clock
        self._held: dict[str, tuple[str, Mapping[str, Any]]] = {}

    def reserve(self, obj: Obj, old: Obj | None, user: User) -> Undo:
        name = obj["metadata"].get("name") or ""
        group = obj["spec"].get("group") or ""
        others = [*built_in_names(group)]
        others += self._definitions.accepted_names(group, besides=name)
        others += [names for n, (g, names) in self._held.items() if g == group and n != name]
        now = format_time(self._clock.now())
        obj["status"] = plan_status(obj, Taken.by(others), now=now)
        self._held[name] = group, obj["status"]["acceptedNames"]
        return lambda: self._release(name)

    def written(self, obj: Obj, old: Obj | None) -> None:
        self._release(obj["metadata"]["name"])

    def removed(self, obj: Obj) -> None:
        self._release(obj["metadata"]["name"])

    def _release(self, name: str) -> None:
        self._held.pop(name, None)
