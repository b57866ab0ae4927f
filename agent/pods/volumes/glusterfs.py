"""glusterfs: mounted by its own helper, one client process for each pod.

As the in-tree plugin of Kubernetes had it before it left the kubelet (pkg/volume/glusterfs); the
API still says the type. The helper says nothing of why it fails but in its log, which is read.
"""

import re
from pathlib import Path

from agent.pods.mounts import MountError
from agent.pods.threads import in_thread
from agent.pods.volumes.daemons import Daemons
from agent.pods.volumes.nfs import make_mount_point
from agent.pods.volumes.plugin import Provided, VolumeError, Wanted
from edgek.api.meta import Obj, get_path, namespace
from edgek.kinds import ENDPOINTS

BACKUP_SERVERS = "backup-volfile-servers"
_ODD = re.compile(r"[\s*?\[\]]")
"""mount.glusterfs, a shell script, takes a path apart at these."""
_ERROR = re.compile(r"^\[[^]]*\] [EC] (.*)$", re.MULTILINE)
LOG_BYTES, ERRORS_SHOWN = 16384, 2


class GlusterFs:
    types = ("glusterfs",)

    def __init__(self, daemons: Daemons) -> None:
        self._daemons = daemons

    async def set_up(self, wanted: Wanted) -> Provided:
        path, volume = wanted.directory, str(wanted.source["path"])
        if _ODD.search(volume):
            raise VolumeError(f"glusterfs: {volume!r} is no name of a volume")
        servers = _servers(wanted)
        await in_thread(lambda: make_mount_point(path))
        log = path.parents[2] / f"glusterfs-{wanted.name}.log"
        options = _options(wanted.mount_options, servers, log)
        try:
            await self._daemons.mount(f"{servers[0]}:{volume}", path, kind="glusterfs",
                                      options=options)  # fmt: skip
        except MountError as err:
            raise VolumeError(await _explained(err, log, servers)) from err
        return Provided(path=path, read_only=wanted.read_only)

    async def tear_down(self, directory: Path) -> None:
        await self._daemons.end(directory)


def _options(asked: tuple[str, ...], servers: list[str], log: Path) -> tuple[str, ...]:
    """With what is not asked for otherwise. The log would else stay in /var/log for ever, one
    for each pod; and the other servers are asked where the first does not answer."""
    own = {"log-level": "ERROR", "log-file": str(log)}
    if len(servers) > 1:
        own[BACKUP_SERVERS] = ":".join(servers[1:])
    given = {option.partition("=")[0].replace("_", "-") for option in asked}
    return (*asked, *(f"{name}={value}" for name, value in own.items() if name not in given))


async def _explained(err: MountError, log: Path, servers: list[str]) -> str:
    said = await in_thread(lambda: _errors(log))
    if not said and "Invalid option" not in str(err):
        return f"{err} (it does not say why: is glusterd running at {', '.join(servers)}?)"
    if not said:
        return str(err)
    return (
        f"{err} the following error information was pulled from the glusterfs log to help "
        f"diagnose this issue: {'; '.join(said)}"
    )


def _errors(log: Path) -> list[str]:
    """The last errors, without their times: an event that is the same is counted."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_BYTES))
        text = file.read().decode(errors="replace")
    return [line.strip() for line in _ERROR.findall(text)][-ERRORS_SHOWN:]


def _servers(wanted: Wanted) -> list[str]:
    name = wanted.source["endpoints"]
    space = wanted.source.get("endpointsNamespace") or namespace(wanted.claim or wanted.pod)
    endpoints = wanted.around.lookup(ENDPOINTS, space, name)
    subsets: list[Obj] = get_path(endpoints, "subsets", default=[]) if endpoints else []
    found = [a["ip"] for subset in subsets for a in subset.get("addresses") or ()]
    if not found:
        raise VolumeError(f'no endpoint address found in endpoints "{space}/{name}"')
    return found
