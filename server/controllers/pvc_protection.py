"""Claim protection: a claim that is deleted stays while a pod uses it.

Takes the finalizer off once no scheduled pod names the claim, and puts it on claims that lack it.
As pkg/controller/volume/pvcprotection; a pod that has ended uses its claims until it is deleted,
as there.
"""

from collections.abc import Iterable, Sequence

from edgek.api.meta import Key, Obj, key_of
from edgek.control.controller import DONE, Context, ForKind, Mapped, Result, Watch
from edgek.kinds import PERSISTENT_VOLUME_CLAIM as CLAIM
from edgek.kinds import POD
from edgek.kinds.pods import claims_of, node_name
from server.controllers.storage_protection import protect

BY_CLAIM = "claim"


def index_by_claim(pod: Obj) -> Iterable[str]:
    return [str(key) for key in claims_of(pod)]


class ClaimProtection:
    name = "persistentvolumeclaim-protection-controller"
    kind = CLAIM

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._claims = context.informers.get(CLAIM)
        self._pods = context.informers.get(POD)
        self._pods.add_index(BY_CLAIM, index_by_claim)
        self.watches: Sequence[Watch] = (
            ForKind(CLAIM),
            Mapped(POD, claims_of, when=lambda old, new: new is None),
        )

    async def reconcile(self, key: Key) -> Result:
        claim = self._claims.get(key)
        if claim is not None:
            await protect(self._client, CLAIM, claim, in_use=self._is_used(claim))
        return DONE

    def _is_used(self, claim: Obj) -> bool:
        """NB: a pod that has no node yet will not start with a claim that is going."""
        return any(node_name(pod) for pod in self._pods.by_index(BY_CLAIM, str(key_of(claim))))


def build(context: Context) -> ClaimProtection:
    return ClaimProtection(context)
