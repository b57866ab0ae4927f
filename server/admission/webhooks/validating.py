"""ValidatingWebhooks: all at once, about the object as it will be stored; the first in order that
refuses is answered. As pkg/admission/plugin/webhook/validating/dispatcher.go.
"""

import asyncio

from edgek.kinds import VALIDATING_WEBHOOK_CONFIGURATION
from server.admission.chain import Attributes
from server.admission.matching import is_exempt
from server.admission.webhooks.ask import Asker, Caller
from server.admission.webhooks.hooks import HookSource
from server.admission.webhooks.match import WebhookMatcher
from server.request.reader import Reader


class ValidatingWebhooks:
    def __init__(self, reader: Reader, caller: Caller, matcher: WebhookMatcher) -> None:
        self._source = HookSource(reader, VALIDATING_WEBHOOK_CONFIGURATION)
        self._matcher = matcher
        self._asker = Asker(caller=caller, mutating=False)

    async def admit(self, attributes: Attributes) -> None:
        """Changes nothing."""

    async def validate(self, attributes: Attributes) -> None:
        hooks = self._source.hooks()
        if not hooks or is_exempt(attributes):
            return
        asked = []
        for hook in hooks:
            kind = await self._matcher.kind_for(hook, attributes)
            if kind is not None:
                asked.append((hook, kind))
        if len(asked) == 1:
            await self._asker.ask(*asked[0], attributes)
            return
        calls = (self._asker.ask(hook, kind, attributes) for hook, kind in asked)
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
