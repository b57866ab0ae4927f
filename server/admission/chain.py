"""Should it be: plugins mutate in order, then, on the final object, validate in order.

The order is the tuple in server/parts.py; a plugin may do either or both. A plugin that looks at
few kinds names them in ``kinds``, and costs the others nothing.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from edgek.api.meta import Obj
from edgek.kinds.kind import Kind
from server.request.model import User


@dataclass(kw_only=True)
class Attributes:
    """One operation under admission.

    ``obj`` is the request's own copy, free to mutate while admitting, and None on DELETE; ``old``
    is shared and must not be mutated (None on CREATE). ``operation`` is CREATE, UPDATE, DELETE or
    CONNECT. ``options`` is the CreateOptions, UpdateOptions... of the request (never mutated);
    ``warnings`` go to the client, ``annotations`` into the audit log. ``ended`` is called when
    the write that was admitted is done, with whether it was committed: a plugin
    that keeps an account learns there that nothing came of it.

    A webhook or policy that changes the object asks for a ``second_round`` of all that mutate,
    because those before it have not seen the change; ``memory`` is what a plugin keeps between
    the rounds, by its name. On CONNECT ``obj`` is PodExecOptions or the like.
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
    ended: list[Callable[[bool], Awaitable[None]]] = field(default_factory=list)
    second_round: bool = False
    wants_second_round: bool = False
    memory: dict[str, Any] = field(default_factory=dict)

    async def end(self, *, committed: bool) -> None:
        for ended in self.ended:
            await ended(committed)


class Plugin(Protocol):
    """May have ``kinds``, a collection of those it looks at; without, it is asked of all."""

    async def admit(self, attributes: Attributes) -> None:
        """May change ``attributes.obj``. Raises Forbidden, Invalid... to refuse."""

    async def validate(self, attributes: Attributes) -> None:
        """Must change nothing. Raises to refuse."""


def _looks_at(plugin: Plugin, kind: Kind) -> bool:
    """Also at other versions of its kinds, which hold the same objects."""
    kinds = getattr(plugin, "kinds", (kind,))
    return kind.storage_prefix in {known.storage_prefix for known in kinds}


_MAX_KINDS = 1000
"""Kinds come and go with CustomResourceDefinitions."""


@dataclass(frozen=True)
class Chain:
    plugins: Sequence[Plugin] = ()
    _by_kind: dict[Kind, Sequence[Plugin]] = field(default_factory=dict, init=False, repr=False)

    def of(self, kind: Kind) -> Sequence[Plugin]:
        """The plugins that look at a kind, in order."""
        found = self._by_kind.get(kind)
        if found is None:
            if len(self._by_kind) >= _MAX_KINDS:
                self._by_kind.clear()
            found = tuple(p for p in self.plugins if _looks_at(p, kind))
            self._by_kind[kind] = found
        return found

    async def admit(self, attributes: Attributes) -> None:
        """As admission.NewReinvocationHandler: a second round where one is asked for, no third."""
        plugins = self.of(attributes.kind)
        for plugin in plugins:
            await plugin.admit(attributes)
        if attributes.wants_second_round:
            attributes.second_round = True
            for plugin in plugins:
                await plugin.admit(attributes)

    async def validate(self, attributes: Attributes) -> None:
        for plugin in self.of(attributes.kind):
            await plugin.validate(attributes)

    async def run(self, attributes: Attributes) -> None:
        """Both, of what is not stored: a Binding, a TokenRequest, the opening of a stream."""
        await self.admit(attributes)
        await self.validate(attributes)
