"""MutatingWebhooks: one after the other, each sees what the one before it has made of the object.

A patch that changes something asks for a second round of the whole chain
(server/admission/chain.py): the server's own plugins see the new object, and the webhooks that
want it (reinvocationPolicy IfNeeded) are asked once more if anything has changed since. As
pkg/admission/plugin/webhook/mutating/dispatcher.go.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from edgek.api.errors import Timeout
from edgek.api.meta import Obj
from edgek.kinds import MUTATING_WEBHOOK_CONFIGURATION
from edgek.kinds.kind import Kind
from server.admission.chain import Attributes
from server.admission.matching import is_exempt
from server.admission.webhooks.ask import Asker, Caller, internal_error
from server.admission.webhooks.hooks import Hook, HookSource
from server.admission.webhooks.match import WebhookMatcher
from server.admission.webhooks.patched import patched
from server.admission.webhooks.review import Verdict
from server.admission.webhooks.versions import as_version, converted
from server.request.reader import Reader

ALL_SECONDS = 60.0
"""For all webhooks of a request together, as upstream's --request-timeout."""
_MEMORY = "MutatingAdmissionWebhook"


@dataclass(kw_only=True)
class _Rounds:
    """What one request remembers between the rounds."""

    invoked: set[str] = field(default_factory=set)
    """Hooks that may be asked again: called, and they want it."""
    due: set[str] = field(default_factory=set)
    """Of these, the ones that a later change makes it worth to ask again."""
    last: bytes = b""
    """The object as the last round left it."""

    def changed(self) -> None:
        self.due |= self.invoked
        self.invoked.clear()


class MutatingWebhooks:
    def __init__(self, reader: Reader, caller: Caller, matcher: WebhookMatcher) -> None:
        self._source = HookSource(reader, MUTATING_WEBHOOK_CONFIGURATION)
        self._matcher = matcher
        self._asker = Asker(caller=caller, mutating=True)

    async def admit(self, attributes: Attributes) -> None:
        hooks = self._source.hooks()
        if not hooks or is_exempt(attributes):
            return
        rounds: _Rounds = attributes.memory.setdefault(_MEMORY, _Rounds())
        try:
            async with asyncio.timeout(ALL_SECONDS):
                await self._round(hooks, attributes, rounds)
        except TimeoutError as err:
            why = "request did not complete within requested timeout"
            raise Timeout(f"Timeout: {why} - context deadline exceeded") from err

    async def _round(self, hooks: Sequence[Hook], attributes: Attributes, rounds: _Rounds) -> None:
        if attributes.second_round and _frozen(attributes.obj) != rounds.last:
            rounds.changed()
        for number, hook in enumerate(hooks):
            kind = await self._matcher.kind_for(hook, attributes)
            if kind is None or (attributes.second_round and hook.uid not in rounds.due):
                continue
            rounds.due.discard(hook.uid)
            await self._one(hook, kind, attributes, number, rounds)
        rounds.last = _frozen(attributes.obj)

    async def validate(self, attributes: Attributes) -> None:
        """They have had their say."""

    async def _one(
        self, hook: Hook, kind: Kind, attributes: Attributes, number: int, rounds: _Rounds
    ) -> None:
        changed = False
        where = f"round_{int(attributes.second_round)}_index_{number}"
        verdict = await self._asker.ask(hook, kind, attributes)
        if verdict is None:
            key = f"failed-open.mutation.webhook.admission.k8s.io/{where}"
            attributes.annotations[key] = hook.name
        else:
            changed = await self._apply(hook, kind, attributes, verdict)
        said = {"configuration": hook.configuration, "webhook": hook.name, "mutated": changed}
        key = f"mutation.webhook.admission.k8s.io/{where}"
        attributes.annotations[key] = orjson.dumps(said).decode()
        if changed:
            rounds.changed()
            attributes.wants_second_round = True
        if hook.reinvoked_if_needed:
            rounds.invoked.add(hook.uid)

    async def _apply(
        self, hook: Hook, kind: Kind, attributes: Attributes, verdict: Verdict
    ) -> bool:
        if not verdict.patch:
            return False
        if attributes.obj is None:
            raise internal_error(
                f'admission webhook "{hook.name}" attempted to modify the object, which is not '
                "supported for this operation"
            )
        before: Any = await as_version(attributes.obj, attributes, kind)
        after = patched(before, verdict.patch, kind, attributes.subresource)
        if after == before:
            return False
        if kind != attributes.kind and after.get("kind") == attributes.kind.kind:
            after = await converted(after, kind, attributes.kind)
        _replace(attributes.obj, after)
        return True


def _replace(obj: Obj, new: Obj) -> None:
    """In place: whoever admits goes on with the object that it gave."""
    copied = orjson.loads(orjson.dumps(new))
    obj.clear()
    obj.update(copied)


def _frozen(obj: Obj | None) -> bytes:
    return orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)
