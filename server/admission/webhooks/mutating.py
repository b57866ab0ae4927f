"""MutatingWebhooks: one after the other, each sees what the one before it has made of the object.

A patch that changes something asks for a second round of the whole chain
(server/admission/chain.py): the server's own plugins see the new object, and the webhooks that
want it (reinvocationPolicy IfNeeded) are asked once more if anything has changed since. As
pkg/admission/plugin/webhook/mutating/dispatcher.go.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from edgek.api.errors import Timeout
from edgek.kinds import MUTATING_WEBHOOK_CONFIGURATION
from edgek.kinds.kind import Kind
from server.admission.chain import Attributes
from server.admission.matching import is_exempt
from server.admission.reinvocation import Rounds, put_back
from server.admission.webhooks.ask import Asker, Caller, internal_error
from server.admission.webhooks.hooks import Hook, HookSource
from server.admission.webhooks.match import WebhookMatcher
from server.admission.webhooks.patched import patched
from server.admission.webhooks.review import Verdict
from server.admission.webhooks.versions import as_version
from server.request.reader import Reader

ALL_SECONDS = 60.0
"""For all webhooks of a request together, as upstream's --request-timeout."""


class MutatingWebhooks:
    def __init__(self, reader: Reader, caller: Caller, matcher: WebhookMatcher) -> None:
        self._source = HookSource(reader, MUTATING_WEBHOOK_CONFIGURATION)
        self._matcher = matcher
        self._asker = Asker(caller=caller, mutating=True)

    async def admit(self, attributes: Attributes) -> None:
        hooks = self._source.hooks()
        if not hooks or is_exempt(attributes):
            return
        try:
            async with asyncio.timeout(ALL_SECONDS):
                await self._round(hooks, attributes)
        except TimeoutError as err:
            why = "request did not complete within requested timeout"
            raise Timeout(f"Timeout: {why} - context deadline exceeded") from err

    async def _round(self, hooks: Sequence[Hook], attributes: Attributes) -> None:
        rounds = Rounds.begun(attributes, plugin="MutatingAdmissionWebhook")
        for number, hook in enumerate(hooks):
            kind = await self._matcher.kind_for(hook, attributes)
            if kind is not None and rounds.take_turn(hook.uid, attributes):
                changed = await self._one(hook, kind, attributes, number)
                again = hook.reinvoked_if_needed
                rounds.had_turn(hook.uid, attributes, changed=changed, again=again)
        rounds.end(attributes)

    async def validate(self, attributes: Attributes) -> None:
        """They have had their say."""

    async def _one(self, hook: Hook, kind: Kind, attributes: Attributes, number: int) -> bool:
        """Whether it changed something."""
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
        return changed

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
        await put_back(attributes, after, kind=kind)
        return True
