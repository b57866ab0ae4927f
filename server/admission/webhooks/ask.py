"""One call of one webhook: what it is asked, and what becomes of it when it does not answer."""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edgek.api.errors import BadRequest, InternalError
from edgek.api.meta import Obj
from edgek.kinds.kind import Kind
from server.admission.chain import Attributes
from server.admission.webhooks.hooks import Hook
from server.admission.webhooks.review import (
    BadAnswer,
    Question,
    Verdict,
    add_warnings,
    review_of,
    verdict_of,
)
from server.admission.webhooks.versions import as_version
from server.webhooks.client import CallFailed, Unusable

log = logging.getLogger(__name__)

_SAFE = ("None", "NoneOnDryRun")


class Caller(Protocol):
    """server/webhooks/client.py is it."""

    async def call(self, client_config: Obj, request_body: Obj, *, timeout: float) -> Obj: ...


def new_uid() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True, kw_only=True)
class Asker:
    """``ask`` gives the webhook's verdict; None where it gave none and that is to be ignored."""

    caller: Caller
    mutating: bool
    uid: Callable[[], str] = new_uid

    async def ask(self, hook: Hook, kind: Kind, attributes: Attributes) -> Verdict | None:
        """Raises InternalError where the webhook must answer and does not, and what it refuses
        the request with."""
        if attributes.dry_run and hook.side_effects not in _SAFE:
            raise BadRequest(f'admission webhook "{hook.name}" does not support dry run')
        question = Question(
            hook=hook,
            kind=kind,
            obj=await as_version(attributes.obj, attributes, kind),
            old=await as_version(attributes.old, attributes, kind),
            uid=self.uid(),
        )
        verdict = await self._answer(question, attributes)
        if verdict is None:
            return None
        for key, value in verdict.annotations.items():
            attributes.annotations[f"{hook.name}/{key}"] = value
        add_warnings(attributes.warnings, verdict.warnings)
        if verdict.refusal is not None:
            raise verdict.refusal
        return verdict

    async def _answer(self, question: Question, attributes: Attributes) -> Verdict | None:
        hook = question.hook
        review = review_of(attributes, question)
        try:
            answer = await self.caller.call(hook.client_config, review, timeout=hook.timeout)
            return verdict_of(answer, question, mutating=self.mutating)
        except Unusable as err:
            why = str(err)
        except CallFailed as err:
            why = f"failed to call webhook: {err}"
        except BadAnswer as err:
            why = f"received invalid webhook response: {err}"
        why = f'failed calling webhook "{hook.name}": {why}'
        if not hook.ignores_failure:
            raise internal_error(why)
        log.warning("a webhook's failure is ignored webhook=%s error=%s", hook.name, why)
        return None


def internal_error(why: str) -> InternalError:
    """As apierrors.NewInternalError."""
    return InternalError(f"Internal error occurred: {why}", details={"causes": [{"message": why}]})
