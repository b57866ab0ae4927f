"""Should it be: plugins mutate in order, then, on the final object, validate in order.

The order is the tuple in server/parts.py; a plugin may do either or both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from edgek.api.meta import Obj
from edgek.kinds.kind import Kind
from server.request.model import User


@dataclass(kw_only=True)
class Attributes:
    """One operation under admission.

    ``obj`` is the request's own copy, free to mutate while admitting, and None on DELETE and
    CONNECT; ``old`` is shared and must not be mutated (None on CREATE). ``operation`` is CREATE,
    UPDATE, DELETE or CONNECT. ``options`` is the CreateOptions, UpdateOptions... of the request
    (never mutated); ``warnings`` go to the client, ``annotations`` into the audit log.
    """

    operation: str
    kind: Kind
    namespace: str
    name: str
    user: User
    subresource: str = ""
    obj: Any = None
    old: Obj | None = None
    dry_run: bool = False
    options: Obj = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)


class Plugin(Protocol):
    async def admit(self, attributes: Attributes) -> None:
        """May change ``attributes.obj``. Raises Forbidden, Invalid... to refuse."""

    async def validate(self, attributes: Attributes) -> None:
        """Must change nothing. Raises to refuse."""


@dataclass(frozen=True)
class Chain:
    plugins: Sequence[Plugin] = ()

    async def admit(self, attributes: Attributes) -> None:
        for plugin in self.plugins:
            await plugin.admit(attributes)

    async def validate(self, attributes: Attributes) -> None:
        for plugin in self.plugins:
            await plugin.validate(attributes)
