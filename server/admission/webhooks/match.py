"""Whether a webhook is asked about a request, and in which version of the kind.

Rules and selectors are server/admission/matching.py's, as policies have them.
"""

from collections.abc import Callable, Sequence

from edgek.api.meta import Key, Obj
from edgek.kinds import NAMESPACE
from edgek.kinds.kind import Kind
from server.admission.chain import Attributes
from server.admission.webhooks.hooks import Hook
from server.request.reader import Reader


class WebhookMatcher:
    """``kinds`` gives all that are served: their versions are equivalent (matchPolicy)."""

    def __init__(self, reader: Reader, kinds: Callable[[], Sequence[Kind]]) -> None:
        self._reader = reader
        self._kinds = kinds

    async def kind_for(self, hook: Hook, attributes: Attributes) -> Kind | None:
        """As which kind to send the object; None where the webhook is not asked. Raises
        NotFound, Forbidden."""
        also = () if hook.matcher.exact else self._equivalents(attributes.kind)
        return hook.matcher.match(attributes, self._namespace, also)

    def _namespace(self, name: str) -> Obj | None:
        return self._reader.get(NAMESPACE, Key("", name))

    def _equivalents(self, kind: Kind) -> Sequence[Kind]:
        """The same objects, served in other versions or groups."""
        return [
            k
            for k in self._kinds()
            if k.storage_prefix == kind.storage_prefix and k != kind and not k.virtual
        ]
