"""Whether a webhook is asked about a request, and in which version of the kind.

Rules, selectors and match conditions are those of policies (server/admission/matching.py,
match_conditions.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from edgek.api.meta import Key, Obj
from edgek.kinds import NAMESPACE
from edgek.kinds.kind import Kind
from server.admission.chain import Attributes
from server.admission.matching import Equivalents
from server.admission.refusal import forbidden
from server.admission.webhooks.hooks import Hook
from server.admission.webhooks.versions import as_version
from server.request.reader import Reader

if TYPE_CHECKING:
    from server.admission.expressions import Ask
    from server.admission.match_conditions import Conditions


class WebhookMatcher:
    """``kinds`` gives all that are served: their versions are equivalent (matchPolicy). ``ask``
    answers what conditions want to know of permissions."""

    def __init__(self, reader: Reader, kinds: Callable[[], Sequence[Kind]], *, ask: "Ask") -> None:
        self._reader = reader
        self._equivalents = Equivalents(kinds)
        self._ask = ask

    async def kind_for(self, hook: Hook, attributes: Attributes) -> Kind | None:
        """As which kind to send the object; None where the webhook is not asked. Raises
        NotFound, Forbidden."""
        also = () if hook.matcher.exact else self._equivalents.of(attributes.kind)
        kind = hook.matcher.match(attributes, self._namespace, also)
        if kind is None or not hook.match_conditions:
            return kind
        return kind if await self._wanted(hook, kind, attributes) else None

    async def _wanted(self, hook: Hook, kind: Kind, attributes: Attributes) -> bool:
        """As matchconditions.Match: an error counts as the failure policy says."""
        from server.admission.expressions import pace_of, request_variables
        from server.cel import CelError

        seen = replace(
            attributes,
            obj=await as_version(attributes.obj, attributes, kind),
            old=await as_version(attributes.old, attributes, kind),
        )
        variables = request_variables(seen, kind, get_namespace=self._namespace, ask=self._ask)
        try:
            return await _compiled(hook.match_conditions).match(variables, pace_of(attributes))
        except CelError as err:
            if hook.ignores_failure:
                return False
            raise forbidden(attributes, str(err)) from err

    def _namespace(self, name: str) -> Obj | None:
        return self._reader.get(NAMESPACE, Key("", name))


@lru_cache(maxsize=256)
def _compiled(expressions: tuple[str, ...]) -> "Conditions":
    from server.admission.match_conditions import conditions_of

    return conditions_of([{"expression": text} for text in expressions], params=False)
