"""cephfs: mounted by ceph-fuse where that is installed, otherwise by the kernel and mount.ceph.

As the in-tree plugin of Kubernetes had it before it left the kubelet (pkg/volume/cephfs); the API
still says the type. The key reaches the helper in a file that only root can read, and only for
the moment. mount.fuse.ceph is not used: it hands a pod's words to a shell.
"""

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from agent.pods.environment import data_of
from agent.pods.mounts import MountError, missing_helper
from agent.pods.threads import in_thread
from agent.pods.volumes.daemons import Daemons
from agent.pods.volumes.nfs import make_mount_point
from agent.pods.volumes.plugin import Mounter, Provided, VolumeError, Wanted
from edgek.api.meta import namespace
from edgek.kinds import SECRET

MOUNT_SECONDS = 25
"""Less than what mounting may take, so that ceph-fuse says itself what it waits for."""
FILE_SYSTEM = ("fs=", "mds_namespace=")
"""What the kernel calls ceph-fuse's --client_fs."""


class CephFs:
    types = ("cephfs",)

    def __init__(
        self,
        daemons: Daemons,
        *,
        mount: Mounter,
        lacks: Callable[[str], str] = missing_helper,
    ) -> None:
        self._daemons = daemons
        self._mount = mount
        self._lacks = lacks

    async def set_up(self, wanted: Wanted) -> Provided:
        path, user = wanted.directory, str(wanted.source.get("user") or "admin")
        if set(", \t\n") & set(user):
            raise VolumeError(f"cephfs: {user!r} is no name of a Ceph user")
        await in_thread(lambda: make_mount_point(path))
        key = await _key(wanted, user)
        if not self._lacks("fuse.ceph"):
            await self._by_daemon(wanted, user, key)
        elif not self._lacks("ceph"):
            await self._by_kernel(wanted, user, key)
        else:
            raise VolumeError(
                "mounting cephfs needs ceph-fuse or mount.ceph, and this node lacks both: "
                "install the package ceph-fuse or ceph-common"
            )
        return Provided(path=path, read_only=wanted.read_only)

    async def _by_daemon(self, wanted: Wanted, user: str, key: bytes) -> None:
        named = tuple(o for o in wanted.mount_options if o.startswith(FILE_SYSTEM))
        others = tuple(o for o in wanted.mount_options if o not in named)
        keyring = b"[client.%s]\nkey = %s\n" % (user.encode(), key)
        with _PrivateFile(wanted, keyring) as file:
            arguments = (
                f"--id={user}", f"--keyring={file}",
                f"--mon_host={','.join(wanted.source['monitors'])}",
                f"--client_mountpoint={wanted.source.get('path') or '/'}",
                f"--client_mount_timeout={MOUNT_SECONDS}",
                *(f"--client_fs={o.partition('=')[2]}" for o in named[-1:]),
                "--log_file=", "--admin_socket=",  # they would be left behind
            )  # fmt: skip
            try:
                await self._daemons.mount(_where(wanted), wanted.directory, kind="fuse.ceph",
                                          options=(*arguments, *others))  # fmt: skip
            except MountError as err:
                raise VolumeError(explained(_without(key, err), user)) from None

    async def _by_kernel(self, wanted: Wanted, user: str, key: bytes) -> None:
        with _PrivateFile(wanted, key) as file:
            options = (*wanted.mount_options, f"name={user}", f"secretfile={file}")
            try:
                await self._mount(_where(wanted), wanted.directory, kind="ceph", options=options)
            except MountError as err:
                raise VolumeError(_without(key, err)) from None

    async def tear_down(self, directory: Path) -> None:
        await self._daemons.end(directory)


def _without(key: bytes, err: MountError) -> str:
    """Ceph shows a key that it cannot read."""
    text = key.decode(errors="replace")
    return str(err).replace(text, "***") if text else str(err)


_STAMP = re.compile(r"^(\d{4}-\S+ \S+ +-?\d+ |ceph-fuse\[\d+\]: )")
_NOISE = ("config file", "can't open ceph.conf", "starting ceph client", "init, newargv")
_MEANINGS = {
    "Malformed input": "this is no key of Ceph",
    "handle_auth_bad_method": 'the monitors refuse user "{user}" with this key',
    "failed to fetch mon config": "no monitor answers",
}


def explained(said: str, user: str) -> str:
    """What ceph-fuse said, on a line and without times (an event that is the same is counted),
    after what it means. Pure."""
    lines = [_STAMP.sub("", line).strip() for line in said.splitlines()]
    told = [line for line in lines if line and not any(word in line for word in _NOISE)]
    head = said.splitlines()[0].partition(" failed: ")[0] + " failed"
    meaning = next((m for sign, m in _MEANINGS.items() if sign in said), "")
    rest = [
        line.partition(" failed: ")[2] if line.startswith("mount of") else line for line in told
    ]
    parts = [meaning.format(user=user), *rest]
    return f"{head}: {'; '.join(part for part in parts if part)}"


def _where(wanted: Wanted) -> str:
    return f"{','.join(wanted.source['monitors'])}:{wanted.source.get('path') or '/'}"


async def _key(wanted: Wanted, user: str) -> bytes:
    ref = wanted.source.get("secretRef") or {}
    if not ref.get("name"):
        file = Path(wanted.source.get("secretFile") or f"/etc/ceph/{user}.secret")
        return _from_file(await in_thread(file.read_bytes))
    space = ref.get("namespace") or namespace(wanted.claim or wanted.pod)
    entries = data_of(wanted.around.lookup(SECRET, space, ref["name"]))
    if "key" not in entries:
        raise VolumeError(f'secret "{ref["name"]}" is not there or has no "key"')
    return entries["key"].strip()


def _from_file(content: bytes) -> bytes:
    """The key alone, or a keyring of one user: mount.ceph wants one, ceph-fuse the other."""
    for line in content.splitlines():
        name, equals, value = line.partition(b"=")
        if equals and name.strip() == b"key":
            return value.strip()
    return content.strip()


class _PrivateFile:
    """A file in the pod's directory that only root can read, for as long as it is needed."""

    def __init__(self, wanted: Wanted, content: bytes) -> None:
        self._directory = wanted.directory.parents[2]
        self._content = content

    def __enter__(self) -> str:
        handle, self._name = tempfile.mkstemp(dir=self._directory, prefix="key-")
        with os.fdopen(handle, "wb") as out:
            out.write(self._content)
        return self._name

    def __exit__(self, *failure: object) -> None:
        os.unlink(self._name)
