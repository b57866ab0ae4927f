"""Reinvocation: what a plugin that changes objects remembers of a request between the rounds.

A change asks for a second round of the whole chain (server/admission/chain.py). In it only those
have another turn who want one, and for whom something has changed since their first. As apiserver
pkg/admission/plugin/webhook/mutating/reinvocationcontext.go.
"""

from dataclasses import dataclass, field

import orjson

from edgek.api.meta import Obj
from edgek.kinds.kind import Kind
from server.admission.chain import Attributes
from server.admission.webhooks.versions import converted


@dataclass(kw_only=True)
class Rounds:
    """``invoked``: who had a turn and wants another one if something changes; ``due``: of these,
    for whom something has; ``last``: the object as the last round left it."""

    invoked: set[str] = field(default_factory=set)
    due: set[str] = field(default_factory=set)
    last: bytes = b""

    @classmethod
    def begun(cls, attributes: Attributes, *, plugin: str) -> "Rounds":
        rounds: Rounds = attributes.memory.setdefault(plugin, cls())
        if attributes.second_round and _frozen(attributes.obj) != rounds.last:
            rounds._changed()
        return rounds

    def take_turn(self, who: str, attributes: Attributes) -> bool:
        """Whether it is to be asked in this round."""
        if attributes.second_round and who not in self.due:
            return False
        self.due.discard(who)
        return True

    def had_turn(self, who: str, attributes: Attributes, *, changed: bool, again: bool) -> None:
        """``again``: it wants to be asked once more if others change something."""
        if changed:
            self._changed()
            attributes.wants_second_round = True
        if again:
            self.invoked.add(who)

    def end(self, attributes: Attributes) -> None:
        self.last = _frozen(attributes.obj)

    def _changed(self) -> None:
        self.due |= self.invoked
        self.invoked.clear()


async def put_back(attributes: Attributes, obj: Obj, *, kind: Kind) -> None:
    """What was made of the object, in the version of ``kind``, takes its place: whoever admits
    goes on with the object that it gave."""
    if kind != attributes.kind and obj.get("kind") == kind.kind:
        obj = await converted(obj, kind, attributes.kind)
    copied = orjson.loads(orjson.dumps(obj))
    attributes.obj.clear()
    attributes.obj.update(copied)


def _frozen(obj: Obj | None) -> bytes:
    return orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)
