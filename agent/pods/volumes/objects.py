"""configMap, secret, downwardAPI and projected volumes: files made of what the API says.

Made anew, all files at once, whenever an object they show has changed; tokens when they are due.
"""

import asyncio
from pathlib import Path

from agent.pods.payload import volume_payload, write_payload
from agent.pods.tokens import Tokens
from agent.pods.volumes.plugin import Provided, Wanted
from edgek.api.meta import Obj, get_path

TYPES = ("configMap", "secret", "downwardAPI", "projected")


class ObjectVolumes:
    types = TYPES

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def set_up(self, wanted: Wanted) -> Provided:
        path, volume = wanted.directory, {wanted.type: wanted.source}
        tokens = await self._read_tokens(wanted.pod, wanted.source, path)
        payload = volume_payload(
            wanted.pod, volume, wanted.around, token=lambda own: tokens[id(own)]
        )
        assert payload is not None
        group = fs_group(wanted.pod)

        def write() -> None:
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o755)
            write_payload(path, payload, gid=group)

        await asyncio.to_thread(write)
        return Provided(path=path, read_only=True)

    async def _read_tokens(self, pod: Obj, source: Obj, path: Path) -> dict[int, bytes]:
        tokens: dict[int, bytes] = {}
        for one in source.get("sources") or ():
            if own := one.get("serviceAccountToken"):
                old = await asyncio.to_thread(_read, path / own["path"])
                tokens[id(own)] = await self._tokens.get(pod, own, old=old)
        return tokens

    async def tear_down(self, directory: Path) -> None:
        pass


def fs_group(pod: Obj) -> int | None:
    group = get_path(pod, "spec", "securityContext", "fsGroup")
    return int(group) if group is not None else None


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None
