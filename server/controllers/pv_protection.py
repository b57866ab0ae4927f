"""Volume protection: a volume that is deleted stays while it is bound to a claim.

As pkg/controller/volume/pvprotection.
"""

from collections.abc import Sequence

from edgek.api.meta import Key, get_path
from edgek.control.controller import DONE, Context, ForKind, Result, Watch
from edgek.kinds import PERSISTENT_VOLUME as VOLUME
from server.controllers.storage_protection import protect


class VolumeProtection:
    name = "persistentvolume-protection-controller"
    kind = VOLUME
    watches: Sequence[Watch] = (ForKind(VOLUME),)

    def __init__(self, context: Context) -> None:
        self._client = context.client
        self._volumes = context.informers.get(VOLUME)

    async def reconcile(self, key: Key) -> Result:
        volume = self._volumes.get(key)
        if volume is not None:
            bound = get_path(volume, "status", "phase") == "Bound"
            await protect(self._client, VOLUME, volume, in_use=bound)
        return DONE


def build(context: Context) -> VolumeProtection:
    return VolumeProtection(context)
