"""cephfs and glusterfs: file systems of several servers, mounted by their own helpers.

As the in-tree plugins of Kubernetes had it before both left the kubelet; the API still says both
types. A secret reaches the helper in a file that only root can read, and only for the moment.
"""

import os
import tempfile
from pathlib import Path

from agent.pods.environment import data_of
from agent.pods.volumes.nfs import make_mount_point
from agent.pods.volumes.plugin import Mounter, Provided, VolumeError, Wanted, in_thread
from edgek.api.meta import Obj, get_path, namespace
from edgek.kinds import ENDPOINTS, SECRET

BACKUP_SERVERS = "backup-volfile-servers"


class CephFs:
    types = ("cephfs",)

    def __init__(self, mount: Mounter) -> None:
        self._mount = mount

    async def set_up(self, wanted: Wanted) -> Provided:
        source, path = wanted.source, wanted.directory
        await in_thread(lambda: make_mount_point(path))
        user = source.get("user") or "admin"
        where = f"{','.join(source['monitors'])}:{source.get('path') or '/'}"
        options = (*wanted.mount_options, f"name={user}")
        key = _secret_key(wanted)
        if key is None:
            file = source.get("secretFile") or f"/etc/ceph/{user}.secret"
            await self._mount(where, path, kind="ceph", options=(*options, f"secretfile={file}"))
            return Provided(path=path, read_only=wanted.read_only)
        file = _private_file(path.parents[2], key)
        try:
            await self._mount(where, path, kind="ceph", options=(*options, f"secretfile={file}"))
        finally:
            os.unlink(file)
        return Provided(path=path, read_only=wanted.read_only)

    async def tear_down(self, directory: Path) -> None:
        pass


def _secret_key(wanted: Wanted) -> bytes | None:
    ref = wanted.source.get("secretRef") or {}
    if not ref.get("name"):
        return None
    space = ref.get("namespace") or namespace(wanted.pod)
    secret = wanted.around.lookup(SECRET, space, ref["name"])
    entries = data_of(secret)
    if "key" not in entries:
        raise VolumeError(f'secret "{ref["name"]}" is not there or has no "key"')
    return entries["key"]


def _private_file(directory: Path, content: bytes) -> str:
    handle, file = tempfile.mkstemp(dir=directory, prefix="key-")  # made for its owner alone
    with os.fdopen(handle, "wb") as out:
        out.write(content)
    return file


class GlusterFs:
    types = ("glusterfs",)

    def __init__(self, mount: Mounter) -> None:
        self._mount = mount

    async def set_up(self, wanted: Wanted) -> Provided:
        path = wanted.directory
        servers = _servers(wanted)
        await in_thread(lambda: make_mount_point(path))
        options = wanted.mount_options
        # The others are asked where the first does not answer; as pkg/volume/glusterfs.
        if len(servers) > 1 and not any(o.startswith(BACKUP_SERVERS) for o in options):
            options = (*options, f"{BACKUP_SERVERS}={':'.join(servers[1:])}")
        where = f"{servers[0]}:{wanted.source['path']}"
        await self._mount(where, path, kind="glusterfs", options=options)
        return Provided(path=path, read_only=wanted.read_only)

    async def tear_down(self, directory: Path) -> None:
        pass


def _servers(wanted: Wanted) -> list[str]:
    name = wanted.source["endpoints"]
    space = wanted.source.get("endpointsNamespace") or namespace(wanted.claim or wanted.pod)
    endpoints = wanted.around.lookup(ENDPOINTS, space, name)
    subsets: list[Obj] = get_path(endpoints, "subsets", default=[]) if endpoints else []
    found = [a["ip"] for subset in subsets for a in subset.get("addresses") or ()]
    if not found:
        raise VolumeError(f'no endpoint address found in endpoints "{space}/{name}"')
    return found
