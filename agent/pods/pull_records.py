"""Who may use an image that is here: what is known of how it came.

An image that was pulled with a credential is private: another pod gets it only with the same
credential, or after a pull of its own. One that came without, or was brought to the node by hand
or in an archive, is for everybody. As pkg/kubelet/images/pullmanager, with its default policy
NeverVerifyPreloadedImages. Only hashes of credentials are kept, in a file of root's, which is
written when a private image came or its credentials are new.
"""

import asyncio
import hashlib
import json
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from agent.pods.image_credentials import Auth

log = logging.getLogger(__name__)

MAX_KEYS = 32
"""Credentials that are remembered of an image, the newest."""


class PullRecords:
    """``file`` None: nothing outlives this process."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._keys: dict[str, list[str]] = {}
        """Image id -> hashes of the credentials that it was pulled with."""
        if file is not None:
            with suppress(OSError, ValueError, AttributeError, TypeError):
                found = json.loads(file.read_text())
                self._keys = {str(k): [str(h) for h in v] for k, v in found.items()}

    def may_use(self, image_id: str, auths: Iterable[Auth]) -> bool:
        known = self._keys.get(image_id)
        return known is None or any(_hash(auth) in known for auth in auths)

    async def pulled(self, image_id: str, auth: Auth, *, new: bool) -> None:
        """``new``: the image was not here before. One that was open stays open."""
        known = self._keys.get(image_id)
        if not auth:
            if known is None:
                return
            del self._keys[image_id]
        elif (known is None and not new) or (known and _hash(auth) in known):
            return
        else:
            self._keys[image_id] = [*(known or ()), _hash(auth)][-MAX_KEYS:]
        await asyncio.to_thread(self._write)

    async def keep(self, image_ids: Iterable[str]) -> None:
        """Only of images that are still here."""
        here = set(image_ids)
        if gone := [image_id for image_id in self._keys if image_id not in here]:
            for image_id in gone:
                del self._keys[image_id]
            await asyncio.to_thread(self._write)

    def _write(self) -> None:
        if self._file is None:
            return
        new = self._file.with_name(f".{self._file.name}.new")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
                json.dump(self._keys, out)
                out.flush()
                os.fsync(out.fileno())
            new.replace(self._file)
        except OSError as err:  # this process still knows
            log.warning("pull records cannot be written path=%s err=%s", self._file, err)


def _hash(auth: Auth) -> str:
    return hashlib.sha256(json.dumps(dict(auth), sort_keys=True).encode()).hexdigest()
